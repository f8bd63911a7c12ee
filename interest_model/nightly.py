"""A whole night in one session: all steps of the flow in order, under one claim."""

import importlib
import time
from collections.abc import Sequence
from contextlib import closing

from interest_model.errors import CheckError
from interest_model.evaluation.report import day_metrics
from interest_model.flow import JOBS
from interest_model.job import Night
from interest_model.report import StepRecord
from interest_model.runs import end_run, noted, record_start, record_steps, recorded_steps
from interest_model.settings_names import check_names
from interest_model.tracking import Tracker


def run_night(night: Night, tracker: Tracker | None = None, jobs: Sequence[str] = JOBS) -> StepRecord:
    """Takes the day's claim, runs the steps, records them, gives the claim back; returns the night's own record.

    A step's error ends the night: the steps before it stay (each wrote its own days whole) and a rerun replaces them;
    the day's recommendations are written last, so readers keep yesterday's.
    """
    check_names(night.settings)
    night.claim.take(night.takeover)
    total = StepRecord(night.run_date, "night")
    begun = time.monotonic()
    try:
        record_start(night.storage, night)
        for job in jobs:
            night.run_step(job, importlib.import_module(f"jobs.{job}").run)
        total.state = "done"
    except BaseException as error:
        total.state, total.message = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        total.seconds = round(time.monotonic() - begun, 3)
        total.inputs, total.outputs = dict(night.storage.versions_read), dict(night.storage.versions_written)
        end_run(night, [total, *night.steps])
    if tracker is not None:
        night.metrics = day_metrics(night.read("evaluation"), night.run_date)
        tracker.log_night(night, total, night.steps)
    return total


def close_night(night: Night) -> None:
    """Ends a night whose steps ran as processes of their own: records and logs it, gives the claim back.

    CheckError: a step of the flow is not done.
    """
    steps = {step.job: step for step in recorded_steps(night)}
    missing = [job for job in JOBS if job not in steps or steps[job].state != "done"]
    if missing:
        raise CheckError(
            f"run_date {night.run_date}: steps not done: {', '.join(missing)}", "run them, then finish again"
        )
    done = [steps[job] for job in JOBS]
    total = StepRecord(night.run_date, "night", steps["night"].started if "night" in steps else done[0].started)
    total.seconds, total.state = round(sum(step.seconds for step in done), 3), "done"
    for step in done:
        total.inputs, total.outputs = step.inputs | total.inputs, total.outputs | step.outputs
    raw_files, night.model_version = noted(night)
    night.note_raw_files(raw_files)
    record_steps(night.storage, night, [total])
    night.claim.release()
    night.metrics = day_metrics(night.read("evaluation"), night.run_date)
    with closing(tracker_of(night)) as tracker:
        tracker.log_night(night, total, done)


def tracker_of(night: Night) -> Tracker:
    """A tracker for the store that the night's settings name, by default beside its tables."""
    return Tracker(night.settings.tracking, night.storage.local_folder("mlflow"), night.reporter)
