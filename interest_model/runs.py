"""What ran: the table `runs`, written at the start and the end of every command."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from interest_model import __version__
from interest_model.history.raw import files_due
from interest_model.report import StepRecord
from interest_model.storage import Storage, schema_of
from interest_model.tables import RUNS

if TYPE_CHECKING:
    from interest_model.job import Night


def covered_until(storage: Storage, run_date: date) -> dict[str, date]:
    """For each step the latest day before run_date for which it was done: what arrived by then is taken in by it."""
    done = storage.read("runs").where(f"state = 'done' and run_date < DATE'{run_date}'")
    return {row[0]: row[1] for row in done.groupBy("job").agg(F.max("run_date")).collect()}


def recorded_steps(night: "Night") -> list[StepRecord]:
    """The steps that this run's processes have recorded so far, in order of their start."""
    mine = night.read("runs").where(f"run_date = DATE'{night.run_date}' and run_id = '{night.run_id}'")
    return [
        StepRecord(
            night.run_date, row["job"], row["started_ts"].replace(tzinfo=UTC), row["seconds"] or 0.0,
            counts=row["rows"], inputs=row["inputs"], outputs=row["outputs"],
            state=row["state"], message=row["message"],
        )
        for row in mine.orderBy("started_ts").collect()
    ]  # fmt: skip


def done_with_same_inputs(night: "Night") -> bool:
    """True where this day's last run is done with the same settings, mapping and raw files. One that was killed stands
    as running: what it left is no night's tables."""
    runs = night.storage.read("runs").where(f"job = 'night' and run_date = DATE'{night.run_date}'")
    last = runs.orderBy(F.desc("started_ts"), F.col("state") == "running").head()
    return (
        last is not None
        and last["state"] == "done"
        and last["settings_hash"] == settings_hash(night)
        and last["raw_hash"] == night.note_raw_files()
    )


def noted(night: "Night") -> tuple[str | None, str | None]:
    """What steps of this run noted, as processes of their own: events the raw_hash, before it read the files, and
    ranker the model_version that it made."""
    mine = night.read("runs").where(f"run_date = DATE'{night.run_date}' and run_id = '{night.run_id}'")
    rows = {row["job"]: row for row in mine.where("job in ('events', 'ranker')").collect()}
    pairs = (("events", "raw_hash"), ("ranker", "model_version"))
    raw, version = (rows[job][column] if job in rows else None for job, column in pairs)
    return raw, version


def record_start(storage: Storage, night: "Night") -> None:
    """Mirrors the claim: one row `night` in state running."""
    step = StepRecord(night.run_date, "night")
    storage.append("runs", storage.spark.createDataFrame([_row(night, step)], schema_of(RUNS)))


def record_steps(storage: Storage, night: "Night", steps: Sequence[StepRecord]) -> None:
    """Writes the steps' rows, in place of those that this run has of the same jobs."""
    rows = [_row(night, step) for step in steps]
    jobs = ", ".join(f"'{step.job}'" for step in steps)
    where = f"run_date = DATE'{night.run_date}' and run_id = '{night.run_id}' and job in ({jobs})"
    storage.replace("runs", storage.spark.createDataFrame(rows, schema_of(RUNS)), where)


def end_run(night: "Night", steps: Sequence[StepRecord], release: bool = True) -> None:
    """Drops what the run has cached, writes its steps' rows, and gives the claim back also where that fails.

    Rows that cannot be written are an error only where the steps are done: else theirs is the one to see.
    """
    try:
        night.spark.catalog.clearCache()
        record_steps(night.storage, night, steps)
    except Exception as error:
        if all(step.state == "done" for step in steps):
            raise
        night.reporter.say(f"warning: table runs: what ran could not be written: {type(error).__name__}: {error}")
    finally:
        if release:
            night.claim.release()


def _row(night: "Night", step: StepRecord) -> tuple:
    started = step.started.astimezone(UTC).replace(tzinfo=None)
    running = step.state == "running"
    finished = None if running else started + timedelta(seconds=step.seconds)
    return (
        night.run_id, night.run_date, step.job, step.state, night.owner, night.source.name, started, finished,
        None if running else step.seconds, settings_hash(night), night.note_raw_files(),
        code_revision(), night.model_version, step.message,
        step.inputs, step.outputs, step.rows(),
    )  # fmt: skip


def settings_hash(night: "Night") -> str:
    """Fingerprint of everything but the data that decides what a night writes."""
    return f"{night.settings.fingerprint()[:32]}{night.source.fingerprint()[:32]}"


def raw_hash(night: "Night") -> str:
    """sha2-256 of name, size and change time of each raw file that the night reads: those of other nights may go."""
    events = [(one, night.covered.get("events")) for one in night.source.inputs]
    items = [(one, night.covered.get("items")) for one in night.source.item_files]
    found = sorted(
        (file.name, file.size, file.changed)
        for reading, after in events + items
        for file in files_due(night.spark, reading, night.raw, after, night.run_date)
    )
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


@cache
def code_revision() -> str:
    """The git revision of a checkout ("+" where files differ from it), else the package version."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return __version__
    try:
        options = {"capture_output": True, "text": True, "check": True, "cwd": root}
        revision = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], **options).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], **options).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return revision + ("+" if changed else "")
