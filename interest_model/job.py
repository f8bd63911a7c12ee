"""What all jobs share: arguments, the night they work on, running alone, exit codes."""

import argparse
import os
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from interest_model import errors
from interest_model.claim import Claim, default_owner
from interest_model.config import Settings, load_settings
from interest_model.errors import InterestModelError, SetupError, UsageError
from interest_model.flow import JOBS, STEPS
from interest_model.history.known import events_known
from interest_model.job_arguments import add_night_arguments
from interest_model.privacy import KEY_FILE, Keys, keys_of_tables, note_user_key
from interest_model.report import Reporter, StepRecord
from interest_model.runs import code_revision, covered_until, end_run, raw_hash, settings_hash
from interest_model.session import check_disk, start_session
from interest_model.source import Source, load_source
from interest_model.storage import Expand, Storage, check_file_system, is_uri, local_path

# jobs that take or give back the claim themselves, for nights whose steps are processes of their own
UNDER_A_CLAIM = ("claim", "finish")
Made = TypeVar("Made")
_TOLD = re.compile(r"interest_model\.errors\.(\w+): ([^\n]*(?:\n  remedy: [^\n]*)?)")

# the columns of events that judging and ranking read
_RANKED = (
    "event_id", "user_id", "item_id", "event_ts", "event_date", "arrival_date",
    "weight", "consumption", "positive", "place_id", "latitude", "longitude", "utc_offset_minutes",
)  # fmt: skip


@dataclass
class Night:
    """One day's run: what every step is given.

    raw: folder of the log's files. owner: who holds the day's claim; takeover: replace a dead run's claim.
    model_version: version of the ranker that the run made or used. metrics: the day's figures, for the tracking store.
    """

    run_date: date
    settings: Settings
    source: Source
    raw: str
    storage: Storage
    owner: str
    takeover: bool = False
    run_id: str = ""
    reporter: Reporter = field(default_factory=Reporter)
    # what one night gathers: another night begins without it
    steps: list[StepRecord] = field(default_factory=list, init=False)
    model_version: str | None = field(default=None, init=False)
    metrics: dict[str, float] = field(default_factory=dict, init=False)
    _made: dict[str, tuple] = field(default_factory=dict, init=False)
    _raw_hash: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # processes of one owner and day are one run
        self.run_id = self.run_id or uuid.uuid5(uuid.NAMESPACE_OID, f"{self.owner} {self.run_date}").hex

    @property
    def spark(self) -> SparkSession:
        return self.storage.spark

    @property
    def step(self) -> StepRecord:
        """The step that runs now."""
        return self.steps[-1]

    @cached_property
    def covered(self) -> dict[str, date]:
        """For each step the latest earlier day for which it was done."""
        return covered_until(self.storage, self.run_date)

    @property
    def after(self) -> date | None:
        """Last arrival day that the step which runs now has taken in on an earlier night; None: this is its first. It
        takes in what a night before it left, which failed at it after others were done."""
        return self.covered.get(self.step.job)

    def note_raw_files(self, noted: str | None = None) -> str:
        """The fingerprint of the night's raw files (see runs.raw_hash) at the first call, or the one `noted`. It comes
        before they are read: of a file that arrives meanwhile `backfill` sees that the night has not read it."""
        self._raw_hash = noted or self._raw_hash or raw_hash(self)
        return self._raw_hash

    @property
    def claim(self) -> Claim:
        return Claim(self.storage.local_folder("claims"), self.run_date, self.owner)

    def another(self, run_date: date) -> "Night":
        """A night of another day with the same log, tables and settings, in the same session."""
        storage = Storage(self.spark, self.storage.root)
        return replace(self, run_date=run_date, storage=storage, run_id="")

    @cached_property
    def keys(self) -> Keys:
        """The secrets of pseudonyms and refused lines; in local mode made on first use, which is said."""
        local = self.spark.sparkContext.master.startswith("local")
        folder = self.storage.local_folder("keys")
        keys, made = keys_of_tables(folder, os.environ, make=local)
        if made:
            kept = folder / KEY_FILE
            self.reporter.say(f"made keys for pseudonyms and refused lines: {kept} (keep it; local mode only)")
        note_user_key(folder, keys)
        return keys

    def read(self, name: str) -> DataFrame:
        return self.storage.read(name)

    def counted(self, name: str, frame: DataFrame) -> DataFrame:
        """The same frame; its rows are counted as what the step read of table `name`."""
        self.step.read[name] = self.step.read.get(name, 0) + frame.count()
        return frame

    def issued(self, frame: DataFrame) -> DataFrame:
        """The frame with the night's run_date and model version on every row."""
        return frame.withColumns({"run_date": F.lit(self.run_date), "model_version": F.lit(self.model_version)})

    def known_events(self) -> DataFrame:
        """The events as known tonight, as far as judging and ranking read them; kept until the night's end."""
        return self.counted("events", self.once("known events", self._events_known))

    def _events_known(self) -> DataFrame:
        return events_known(self.read("events"), self.run_date).select(*_RANKED).persist()

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What several steps of the night need, worked out by the first that asks for it; each of them has read the
        tables it is made of."""
        if name not in self._made:
            with self.storage.noting() as (read, _):
                self._made[name] = (make(), read)
        made, read = self._made[name]
        self.storage.note_read(read)
        return made

    def replace_days(self, name: str, frame: DataFrame, days: Iterable[date] | None = None) -> int:
        """Writes the table's rows of the given days (default: the run_date) and notes how many."""
        days = [self.run_date] if days is None else days
        return self._wrote(name, self._stamped().replace_days(name, frame, days))

    def replace(self, name: str, frame: DataFrame, where: str, expand: Expand | None = None) -> int:
        """Writes the table's rows that `where` selects and notes how many; expand: see Storage.replace."""
        return self._wrote(name, self._stamped().replace(name, frame, where, expand))

    def insert_missing(self, name: str, frame: DataFrame) -> int:
        return self._wrote(name, self._stamped().insert_missing(name, frame))

    def _stamped(self) -> Storage:
        """The storage, told what to record with its next commit."""
        self.storage.commit_info = {
            "run_id": self.run_id,
            "run_date": str(self.run_date),
            "code_revision": code_revision(),
            "settings_hash": settings_hash(self),
            "model_version": self.model_version,
        }
        return self.storage

    def _wrote(self, name: str, rows: int) -> int:
        self.step.written[name] = self.step.written.get(name, 0) + rows
        return rows

    def run_step(self, job: str, function: Callable[["Night"], None]) -> StepRecord:
        """Runs one step under its name; its record says what it read, wrote and took, also where it fails."""
        step = StepRecord(self.run_date, job)
        self.steps.append(step)
        self.reporter.started(step)
        begun = time.monotonic()
        try:
            with self.storage.noting() as (step.inputs, step.outputs):
                function(self)
            step.state = "done"
        except BaseException as error:
            step.state, step.message = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            step.seconds = round(time.monotonic() - begun, 3)
            self.reporter.finished(step)
        return step


def open_night(options: argparse.Namespace, run_date: date, spark: SparkSession | None = None) -> Night:
    """The night that the arguments describe, with a session of its own unless one is given."""
    settings = load_settings(options.config, options.set)
    source = load_source(options.source)
    raw = local_path(options.raw)
    if not is_uri(raw) and not Path(raw).is_dir():
        raise UsageError(f"--raw {options.raw}: there is no such folder")
    warehouse = local_path(options.warehouse)
    check_disk(Path() if is_uri(warehouse) else Path(warehouse), settings.runtime.min_free_disk_gb)
    spark = spark or start_session("interest-model", master=settings.runtime.master)
    spark.conf.set("spark.sql.shuffle.partitions", settings.runtime.shuffle_partitions)
    check_file_system(spark, raw, "--raw")
    check_file_system(spark, warehouse, "--warehouse")
    storage = Storage(spark, options.warehouse)
    owner = options.owner or default_owner()
    return Night(run_date, settings, source, raw, storage, owner, options.takeover)


def main(
    job: str, function: Callable[[Night], None], description: str | None = None, argv: Sequence[str] | None = None
) -> int:
    """Runs one job alone: takes the day's claim unless its owner holds it, records the step, returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    add_night_arguments(parser)
    options = parser.parse_args(argv)
    return guarded(lambda: run_alone(job, function, options))


def run_alone(job: str, function: Callable[[Night], None], options: argparse.Namespace) -> None:
    if options.dry_run and job not in JOBS:
        raise UsageError(f"--dry-run: {job} is no step of a night, and has nothing to tell of", "leave it out")
    night = open_night(options, options.run_date)
    if options.dry_run:
        describe_steps(night, [job])
        return
    if job in UNDER_A_CLAIM:
        night.run_step(job, function)
        return
    taken = night.claim.take(options.takeover)
    try:
        night.run_step(job, function)
    finally:
        end_run(night, night.steps, release=taken)


def describe_steps(night: Night, jobs: Sequence[str]) -> None:
    """What the steps would read and write, with the tables' present versions."""
    present = {name: night.storage.version(name) for name in night.storage.existing()}
    after = night.covered.get("events", "the beginning")
    night.reporter.say(f"run_date {night.run_date}: arrivals after {after} of {night.raw}")
    for step in STEPS:
        if step.job in jobs:
            reads = ", ".join(f"{name}@{present[name]}" if name in present else name for name in step.reads)
            night.reporter.say(f"  {step.job}: reads {reads}; writes {', '.join(step.writes)}")


def guarded(command: Callable[[], None]) -> int:
    """Runs a command; an error of the project becomes its message and exit code, any other a traceback and 1."""
    try:
        command()
    except InterestModelError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno == 28:  # no space left on device
            print(f"SetupError: {error}\n  remedy: free some space on that disk", file=sys.stderr)
            return SetupError.exit_code
        traceback.print_exc()
        return InterestModelError.exit_code
    except Exception as error:
        return _of_a_task(error)
    return 0


def _of_a_task(error: Exception) -> int:
    """The exit code of an error that the project raised in a task, where Spark hands on its words only; else 1, with a
    traceback."""
    told = _TOLD.search(str(error))
    kind = getattr(errors, told.group(1), None) if told else None
    if kind is None:
        traceback.print_exc()
        return InterestModelError.exit_code
    print(f"{told.group(1)}: {told.group(2)}", file=sys.stderr)
    return kind.exit_code
