"""A night run again: what the tables of events and items hold of its arrivals, and of later ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.errors import DataError
from interest_model.history.arrivals import has_ended
from interest_model.history.raw import RawFile, files_due
from interest_model.source import Reading

if TYPE_CHECKING:
    from interest_model.job import Night

_NAMED = 5


@dataclass(frozen=True)
class Held:
    """What the table holds of arrivals after the night before: days and files of the night's own events, and whether
    later nights have taken in others."""

    days: set[date]
    files: set[str]
    later: bool


def held_since(events: DataFrame, after: date | None, run_date: date) -> Held:
    """What `events` (as table events) holds of arrivals in (after, run_date], and whether it holds later ones."""
    since = events if after is None else events.where(F.col("arrival_date") > F.lit(after))
    later = F.col("arrival_date") > F.lit(run_date)
    own = [F.when(~later, F.col(name)) for name in ("event_date", "file")]
    rows = since.select(later, *own).distinct().collect()
    mine = [row for row in rows if not row[0]]
    return Held({row[1] for row in mine}, {row[2] for row in mine}, len(mine) < len(rows))


def files_read(night: "Night", readings: Sequence[Reading]) -> list[list[RawFile]]:
    """Of each reading the raw files that the running step of a night reads."""
    return [files_due(night.spark, one, night.raw, night.after, night.run_date) for one in readings]


def about_files(night: "Night", files: Sequence[Sequence[RawFile]]) -> list[str]:
    """What a person should know of the event files of a night, of which it reads `files`: a sentence each. Later nights
    do not look for what these days' files lacked."""
    day, zone, inputs = night.run_date, night.source.zone, night.source.inputs
    told = [
        f"no file '{reading.files}' of {day}: where it is only late, run this night again with it"
        for reading in without_file(inputs, files, day)
    ]
    told += [
        f"'{name}' was changed after the night of {night.after} had read it: run that night again, then this one"
        for name in changed_since_read(night, inputs)
    ]
    if not has_ended(day, zone, datetime.now(UTC)):
        told.append(f"{day} has not ended in {zone}: run this night again once it has, or it misses the rest")
    return told


def without_file(readings: Sequence[Reading], files: Sequence[Sequence[RawFile]], day: date) -> list[Reading]:
    """The dated ones among `readings` that have no file of a day among their files. Later nights do not look for it."""
    found = zip(readings, files, strict=True)
    return [reading for reading, own in found if reading.dated and all(file.day != day for file in own)]


def changed_since_read(night: "Night", readings: Sequence[Reading]) -> list[str]:
    """Dated files of the last day that an earlier night took in, changed after the running step of that night began:
    later nights do not read them, so what came to them since is in no table."""
    dated = [one for one in readings if one.dated]
    if night.after is None or not dated:
        return []
    runs = night.read("runs").where(f"job = '{night.step.job}' and state = 'done' and run_date = DATE'{night.after}'")
    begun = runs.agg(F.max("started_ts")).head()[0].replace(tzinfo=UTC)
    day_before = night.after - timedelta(days=1)
    files = [file for one in dated for file in files_due(night.spark, one, night.raw, day_before, night.after)]
    return sorted({file.name for file in files if file.changed > begun.timestamp() * 1000})


def of_nights_until(day: date | None, readings: Sequence[Reading], names: Iterable[str]) -> set[str]:
    """Those of `names` that hold arrivals of days until `day`, which nights of those days have read: what a night says
    of items it may have from files of several days, before an earlier night was run."""
    days = {name: [one.file_day(name) for one in readings if one.dated] for name in names}
    return {name for name, found in days.items() if day and any(one and one <= day for one in found)}


def check_files(table: str, held: set[str], files: Sequence[Sequence[RawFile]], run_date: date) -> None:
    """DataError where one of the files `held` that the night's rows of a table came from is no longer among the raw
    files read: its rows would go with it, for a night replaces all that it took in."""
    there = {_unpacked(file.name) for own in files for file in own}
    gone = sorted(one for one in held if not {_unpacked(one), *map(str, PurePosixPath(one).parents)} & there)
    if gone:
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        raise DataError(
            f"table {table} holds what run_date {run_date} read from {', '.join(gone[:_NAMED])}{more}, which the raw "
            "folder holds no more: run again without it, the night would lose these rows",
            f"put it back; an empty file of that name takes its rows out, as does deleting them from table {table}",
        )


def _unpacked(name: str) -> str:
    """The name without what compression adds: a file may be packed once it is old."""
    return name.removesuffix(".gz").removesuffix(".bz2")


def taken_earlier(events: DataFrame, taken: DataFrame, run_date: date) -> DataFrame:
    """event_id and event_date of the events that a later night took in and that now arrive on this one, as `taken`: a
    file was delivered again with lines that had come in a later one."""
    later = events.where(F.col("arrival_date") > F.lit(run_date)).select("event_id", "event_date")
    return later.join(taken.select("event_id"), "event_id", "left_semi")
