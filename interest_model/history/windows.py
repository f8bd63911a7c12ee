"""Windows: a user's events of one day, week or month as aligned, padded arrays."""

import datetime
from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from interest_model.config import Windows

_ARRAYS = {
    "item_ids": "item_id",
    "event_types": "event_type",
    "event_ts": "event_ts",
    "weights": "weight",
    "latitudes": "latitude",
    "longitudes": "longitude",
    "place_ids": "place_id",
}
_KEPT = ("event_ts", "event_id", "item_id", "event_type", "weight", "latitude", "longitude", "place_id")  # two order it
_KEY = ("user_id", "window_kind", "window_start")


def build_windows(events: DataFrame, settings: Windows, only: DataFrame | None = None) -> DataFrame:
    """One row per user and day / week / month with events, as table windows: see collect_windows and padded."""
    return padded(collect_windows(events, settings, only), settings)


def collect_windows(events: DataFrame, settings: Windows, only: DataFrame | None = None) -> DataFrame:
    """One row per user and day / week / month with events: _KEY, n_events, last_arrival_date, and `rows`, the latest
    context_length events, oldest first by (event_ts, event_id).

    only: frame of (user_id, window_kind, window_start); other windows are left out. A window is right where all
    events of its days are given (`window_input_days`).
    """
    # one shuffle by user, all that follows stays within it; each event is collected once, into its day, and the days
    # into their windows: measured faster than collecting events into three windows, or grouping three times
    days = events.repartition("user_id").groupBy("user_id", "event_date")
    days = days.agg(F.sort_array(F.collect_list(F.struct(*_KEPT))).alias("day"), F.max("arrival_date").alias("arrived"))
    placed = days.select("user_id", "day", "arrived", _windows_of(settings))
    keyed = placed.select("user_id", "window.*", "day", "arrived")
    if only is not None:
        keyed = keyed.join(only.select(*_KEY), list(_KEY), "left_semi")
    collected = keyed.groupBy(*_KEY).agg(
        # sorting runs that are in order already is cheap, and right where clocks go back across a midnight
        F.sort_array(F.flatten(F.collect_list("day"))).alias("rows"),
        F.max("arrived").alias("last_arrival_date"),
    )
    n_events, length = F.size("rows"), settings.context_length
    latest = F.when(n_events > length, F.slice("rows", -length, length)).otherwise(F.col("rows"))
    return collected.select(*_KEY, n_events.alias("n_events"), "last_arrival_date", latest.alias("rows"))


def first_day(kind: str, day: datetime.date) -> datetime.date:
    """First day of the day, week (Monday) or month window that holds `day`."""
    if kind == "week":
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1) if kind == "month" else day


def end_day(kind: str, start: datetime.date) -> datetime.date:
    """First day after the window that starts on `start`."""
    if kind == "month":
        return (start + datetime.timedelta(days=31)).replace(day=1)
    return start + datetime.timedelta(days=7 if kind == "week" else 1)


def touched_windows(event_days: Iterable[datetime.date], settings: Windows) -> set[tuple[str, datetime.date]]:
    """(kind, first day) of the windows that hold `event_days`: what to rewrite when events of these days arrive."""
    return {(kind, first_day(kind, day)) for day in event_days for kind in settings.kinds}


def window_input_days(windows: Iterable[tuple[str, datetime.date]]) -> set[datetime.date]:
    """Days of whose events all must be read to build the windows given as (kind, first day)."""
    days = set()
    for kind, start in windows:
        length = (end_day(kind, start) - start).days
        days.update(start + datetime.timedelta(days=step) for step in range(length))
    return days


def _windows_of(settings: Windows) -> Column:
    day = F.col("event_date")
    starts = {"day": day, "week": F.trunc(day, "week"), "month": F.trunc(day, "month")}
    windows = [
        F.struct(F.lit(kind).alias("window_kind"), starts[kind].alias("window_start")) for kind in settings.kinds
    ]
    return F.explode(F.array(*windows)).alias("window")


def padded(collected: DataFrame, settings: Windows) -> DataFrame:
    """Table windows, row by row, from what collect_windows gives: arrays of length context_length, nulls at the end.

    Most windows hold few events: padded rows are many times as large, so they are made last, see jobs/windows.py.
    """
    start, kind = F.col("window_start"), F.col("window_kind")
    ends = F.when(kind == "day", F.date_add(start, 1)).when(kind == "week", F.date_add(start, 7))
    n_kept = F.size("rows")
    n_free = settings.context_length - n_kept
    # null rows are put at the end once, instead of nulls in each array: a null row's fields are null
    kept = F.concat("rows", F.array_repeat(F.get("rows", F.lit(-1)), n_free))
    mask = F.concat(F.array_repeat(F.lit(True), n_kept), F.array_repeat(F.lit(False), n_free))
    filled = collected.withColumns(
        {"window_end": ends.otherwise(F.add_months(start, 1)), "mask": mask, "kept": kept}
    ).drop("rows")
    return filled.select("*", *[F.col("kept")[field].alias(name) for name, field in _ARRAYS.items()]).drop("kept")
