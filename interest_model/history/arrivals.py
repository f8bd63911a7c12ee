"""Which days tonight's arrivals touch: history is corrected there and nowhere else."""

from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def arrived_between(after: date | None, run_date: date, column: str = "arrival_date") -> Column:
    """True for rows that arrived after `after` (None: ever) and by the end of run_date."""
    until = F.col(column) <= F.lit(run_date)
    return until if after is None else until & (F.col(column) > F.lit(after))


def has_ended(run_date: date, zone: str, now: datetime) -> bool:
    """Whether a day of the log's zone is over at a moment: until then files of the day grow."""
    return now.astimezone(ZoneInfo(zone)).date() > run_date


def touched_since(after: date | None) -> Column:
    """True for sessions and windows with an event that arrived after `after` (None: all): those of a night that is run
    again may have been touched by later nights too, and hold events that it no longer finds."""
    return F.lit(True) if after is None else F.col("last_arrival_date") > F.lit(after)


def days_of(frame: DataFrame, column: str = "event_date") -> set[date]:
    """The distinct days in a date column: as many as the touched days, never as many as rows."""
    return {row[0] for row in frame.select(column).distinct().collect()}


def in_windows(windows: Iterable[tuple[str, date]]) -> str:
    """SQL condition: the row belongs to one of these (window_kind, window_start); false where there is none."""
    starts: dict[str, list[str]] = {}
    for kind, start in sorted(windows):
        starts.setdefault(kind, []).append(f"DATE'{start}'")
    parts = [f"(window_kind = '{kind}' and window_start in ({', '.join(days)}))" for kind, days in starts.items()]
    return " or ".join(parts) or "false"
