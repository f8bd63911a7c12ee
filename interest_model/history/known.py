"""What a past night knew, from tables that have grown since."""

import datetime

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from interest_model.config import Windows
from interest_model.history.windows import build_windows


def events_known(events: DataFrame, run_date: datetime.date) -> DataFrame:
    """The events that had arrived by the end of `run_date`."""
    return events.where(F.col("arrival_date") <= F.lit(run_date))


def windows_known(windows: DataFrame, events: DataFrame, run_date: datetime.date, settings: Windows) -> DataFrame:
    """The windows as they stood on `run_date`: equal to `build_windows(events_known(events, run_date), settings)`.

    windows: table windows as it is now; `events` must hold all events of its days. A window without later arrivals
    is taken as stored; one with some is built again from what was known, and left out where that is nothing.
    Sessions have no such shortcut, because a late event can cut a session it does not belong to: build them from
    `events_known`.
    """
    unchanged = F.col("last_arrival_date") <= F.lit(run_date)
    rebuilt = build_windows(events_known(events, run_date), settings, only=windows.where(~unchanged))
    return windows.where(unchanged).unionByName(rebuilt)


def items_known(items: DataFrame, run_date: datetime.date) -> DataFrame:
    """One row per item: its latest row of table items (or item_embeddings) with known_date <= run_date."""
    newest = Window.partitionBy("item_id").orderBy(F.desc("known_date"))
    known = items.where(F.col("known_date") <= F.lit(run_date)).withColumn("_place", F.row_number().over(newest))
    return known.where("_place = 1").drop("_place")
