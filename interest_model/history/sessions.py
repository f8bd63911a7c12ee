"""Sessions: a user's events cut by gaps, by the log's own session id, and, where a chain is very long, by midnight.

The rule. Within one user and one session_key (events without one form a group of their own), ordered by
(event_ts, event_id), a *chain* is a maximal run of events in which no gap is longer than the permitted one:
gap_minutes for events without a session_key, max_hours for events with one, because the log's own session id is
trusted over the clock. A gap of exactly the permitted length does not end a chain. A chain not longer than max_hours
is one session; a longer one is cut wherever event_date changes, so each of its sessions lies in one day.

What a late event can change. Let g be the longest gap inside a chain, H = max_hours, and m (`reach_days`) the
smallest number of days of 22 hours (the shortest a change of clocks makes) that together are longer than H + g.
An event of day E changes only the chains it lies in or within g of. Take a session in such a chain, in the old or in
the new state, that starts on a day before E - m. From its start to the last event of its chain before the late one
at least m whole days less g go by, which is more than H: in both states the chain is longer than H and cut at
midnight, so the session holds the chain's events of one day, all before the late one and the same in both. After
E + m the same holds mirrored. So only sessions that start on E - m to E + m change. And since a chain that runs from
day d beyond d - m or d + m is longer than H by the same count, the events of d - m to d + m decide whether a chain
that touches d is to be cut, and where it starts if it is not.
"""

import datetime
from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from interest_model.config import Sessions

SHORTEST_DAY_HOURS = 22  # clocks go forward by two hours at most (Antarctica/Troll)
_KEPT = ("event_ts", "event_id", "event_date", "arrival_date", "event_type", "item_id")  # the first two give the order


def build_sessions(events: DataFrame, settings: Sessions) -> DataFrame:
    """One row per session of `events` (table events), as table sessions; the rule is above.

    Sessions that start on day d are right where all events of d - m to d + m are given (`session_input_days`).
    """
    chains = _numbered_chains(events, settings).groupBy("user_id", "session_key", "chain")
    chains = chains.agg(F.sort_array(F.collect_list(F.struct(*_KEPT))).alias("whole"))
    # a session is a chain or one day of it: chains too long are rare, so only they are taken apart
    pieces = F.when(_span_micros(F.col("whole")) > settings.max_hours * 3_600_000_000, _cut_by_day(F.col("whole")))
    parts = chains.select("user_id", "whole", F.explode_outer(pieces).alias("piece"))
    return _summarised(parts.select("user_id", F.coalesce("piece", "whole").alias("rows")))


def reach_days(settings: Sessions) -> int:
    """m: how many days before and after its own a late event can change sessions (the proof is above)."""
    longest_gap = max(settings.gap_minutes / 60, settings.max_hours)
    return int((settings.max_hours + longest_gap) // SHORTEST_DAY_HOURS) + 1


def touched_session_days(event_days: Iterable[datetime.date], settings: Sessions) -> set[datetime.date]:
    """Days of whose sessions some may change when events of `event_days` arrive: rewrite them all."""
    return _widened(event_days, reach_days(settings))


def session_input_days(session_days: Iterable[datetime.date], settings: Sessions) -> set[datetime.date]:
    """Days of whose events all must be read to build the sessions that start on `session_days`."""
    return _widened(session_days, reach_days(settings))


def _widened(days: Iterable[datetime.date], reach: int) -> set[datetime.date]:
    return {day + datetime.timedelta(days=step) for day in days for step in range(-reach, reach + 1)}


def _numbered_chains(events: DataFrame, settings: Sessions) -> DataFrame:
    """The events with `chain`, the number of their chain within user and session_key, from 1."""
    ordered = Window.partitionBy("user_id", "session_key").orderBy("event_ts", "event_id")
    micros = F.unix_micros("event_ts")
    permitted = F.when(F.col("session_key").isNull(), settings.gap_minutes * 60_000_000)
    permitted = permitted.otherwise(settings.max_hours * 3_600_000_000)
    continues = (micros - F.lag(micros).over(ordered)) <= permitted
    marked = events.select("user_id", "session_key", *_KEPT, F.when(continues, 0).otherwise(1).alias("starts"))
    running = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return marked.withColumn("chain", F.sum("starts").over(running))


def _span_micros(rows: Column) -> Column:
    return F.unix_micros(F.element_at(rows, -1)["event_ts"]) - F.unix_micros(F.element_at(rows, 1)["event_ts"])


def _cut_by_day(rows: Column) -> Column:
    days = F.array_distinct(rows["event_date"])
    return F.transform(days, lambda day: F.filter(rows, lambda row: row["event_date"] == day))


def _summarised(sessions: DataFrame) -> DataFrame:
    """Table sessions from one row per session with `rows`, its ordered events."""
    rows = F.col("rows")
    first, last = F.element_at(rows, 1), F.element_at(rows, -1)
    return sessions.select(
        F.md5(F.concat_ws("/", "user_id", first["event_id"])).alias("session_id"),
        "user_id",
        first["event_date"].alias("session_date"),
        first["event_ts"].alias("start_ts"),
        last["event_ts"].alias("end_ts"),
        (_span_micros(rows) / 1e6).alias("duration_seconds"),
        F.size(rows).alias("n_events"),
        F.size(F.array_distinct(rows["item_id"])).alias("n_items"),
        F.array_max(rows["arrival_date"]).alias("last_arrival_date"),
        rows["event_type"].alias("event_types"),
        rows["item_id"].alias("item_ids"),
    )
