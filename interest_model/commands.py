"""The console command's verbs that run nights (those that only read are in reading.py)."""

import argparse
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import SparkSession

from interest_model.errors import UsageError
from interest_model.flow import JOBS
from interest_model.job import Night, describe_steps, open_night
from interest_model.models import models, rollback
from interest_model.nightly import run_night, tracker_of
from interest_model.reading import (
    compare,
    export,
    metrics,
    print_first_lists,
    print_nightly_metrics,
    print_pooled_metrics,
    rejected,
    show,
    sql,
    tables,
)
from interest_model.runs import done_with_same_inputs
from interest_model.sample import write_log
from interest_model.tracking import Tracker

__all__ = [
    "backfill", "compare", "export", "metrics", "models", "rejected", "replay",
    "rollback", "run", "sample", "show", "sql", "tables",
]  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Each night of the range, ended by the first failure; then the first lists and where the tables are."""
    last = deque(each_night(options), maxlen=1)  # a night holds what its steps share
    if last:
        print_first_lists(last[0])


def replay(options: argparse.Namespace) -> None:
    """As run, with the metrics of each night and, at the end, of all nights together."""
    days = []
    night = None
    for night in each_night(options):
        print_nightly_metrics(night)
        days.append(night.run_date)
    if night is not None:
        print_pooled_metrics(night, days)


def backfill(options: argparse.Namespace) -> None:
    """The nights of a range, those skipped that are done with the same inputs and settings; goes on after a failure.

    Raises the first failure once all days have had their turn.
    """
    failures: list[tuple[date, Exception]] = []
    night = open_night(options, options.run_date)
    with closing(tracker_of(night)) as tracker:
        for run_date in _days(options):
            night = night.another(run_date)
            try:
                if done_with_same_inputs(night):
                    night.reporter.say(f"{run_date}: done already with the same inputs and settings")
                else:
                    _one_night(night, tracker, options)
            except Exception as error:
                failures.append((run_date, error))
                night.reporter.say(f"{run_date}: {type(error).__name__}: {error}")
    if failures:
        failed = ", ".join(str(day) for day, _ in failures)
        night.reporter.say(f"{len(failures)} of {len(_days(options))} nights failed: {failed}")
        raise failures[0][1]


def sample(options: argparse.Namespace) -> None:
    """Writes a synthetic log and says how to run a night on it."""
    write_log(
        Path(options.out),
        options.preset,
        users=options.users,
        days=options.days,
        seed=options.seed,
        first_day=options.first_day,
    )
    last = options.first_day + timedelta(days=options.days - 1)
    print(f"{options.out}: {options.users} users, {options.days} days from {options.first_day}")
    command = f"interest-model run --run-date {last} --source {options.preset} --raw {options.out}"
    print(f"next: {command} --warehouse warehouse")


def each_night(options: argparse.Namespace, spark: SparkSession | None = None) -> Iterator[Night]:
    """Runs the nights of the range one by one and hands each out when it is done; in `spark` where it is given."""
    night = open_night(options, options.run_date, spark)
    with closing(tracker_of(night)) as tracker:
        for run_date in _days(options):
            night = night.another(run_date)
            _one_night(night, tracker, options)
            if not options.dry_run:
                yield night


def _one_night(night: Night, tracker: Tracker, options: argparse.Namespace) -> None:
    if options.dry_run:
        describe_steps(night, JOBS)
        return
    total = run_night(night, tracker)
    night.reporter.finished(total)


def _days(options: argparse.Namespace) -> list[date]:
    last = options.to or options.run_date
    if last < options.run_date:
        raise UsageError(f"--to {last} is before --run-date {options.run_date}")
    return [options.run_date + timedelta(days=n) for n in range((last - options.run_date).days + 1)]
