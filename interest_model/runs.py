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
from interest_model.report import StepRecord
from interest_model.source import Reading
from interest_model.storage import Storage, schema_of
from interest_model.tables import RUNS

if TYPE_CHECKING:
    from interest_model.job import Night


def covered_until(storage: Storage, run_date: date) -> date | None:
    """The latest day before run_date whose arrivals have been taken in; None: there is none."""
    done = storage.read("runs").where(f"job = 'events' and state = 'done' and run_date < DATE'{run_date}'")
    return done.agg(F.max("run_date")).head()[0]


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
    """True where this day's last whole run is done with the same settings, mapping and raw files."""
    runs = night.storage.read("runs").where(f"job = 'night' and run_date = DATE'{night.run_date}'")
    last = runs.where("state != 'running'").orderBy(F.desc("started_ts")).head()
    return (
        last is not None
        and last["state"] == "done"
        and last["settings_hash"] == settings_hash(night)
        and (last["raw_hash"] == raw_hash(night))
    )


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


def _row(night: "Night", step: StepRecord) -> tuple:
    started = step.started.astimezone(UTC).replace(tzinfo=None)
    running = step.state == "running"
    finished = None if running else started + timedelta(seconds=step.seconds)
    return (
        night.run_id, night.run_date, step.job, step.state, night.owner, night.source.name, started, finished,
        None if running else step.seconds, settings_hash(night), raw_hash(night),
        code_revision(), night.model_version, step.message,
        step.inputs, step.outputs, step.rows(),
    )  # fmt: skip


def settings_hash(night: "Night") -> str:
    """Fingerprint of everything but the data that decides what a night writes."""
    return f"{night.settings.fingerprint()[:32]}{night.source.fingerprint()[:32]}"


def raw_hash(night: "Night") -> str:
    """sha2-256 of name, size and change time of each raw file that the night could read."""
    found = sorted(
        (status.getPath().toString(), status.getLen(), status.getModificationTime())
        for reading in (*night.source.inputs, *night.source.item_files)
        for status in _raw_files(night, reading)
    )
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _raw_files(night: "Night", reading: Reading) -> list:
    path = night.spark._jvm.org.apache.hadoop.fs.Path(f"{night.raw}/{reading.glob(None)}")
    system = path.getFileSystem(night.spark._jsc.hadoopConfiguration())
    found = list(system.globStatus(path) or [])
    if not reading.dated:
        return found
    # files of later days may come and go: they are no input of this night
    return [
        one for one in found if _is_due(reading.file_day(_below(night.raw, one.getPath().toString())), night.run_date)
    ]


def _below(folder: str, path: str) -> str:
    return path.partition(folder.rstrip("/") + "/")[2]


def _is_due(day: date | None, run_date: date) -> bool:
    return day is not None and day <= run_date


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
