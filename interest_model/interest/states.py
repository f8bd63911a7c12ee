"""Interest states over Spark: each user's strengths, shares and trends as of one night, from the user's own events."""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Interest, Nearness
from interest_model.interest.forecast_models import Topics
from interest_model.interest.states_of_users import StateSettings, population_shares, states
from interest_model.interest.status import STATUSES, StatusRule
from interest_model.interest.strength import hour_factor, place_factor
from interest_model.on_executors import Batches, gather_rows, map_users
from interest_model.recommend.histories import Histories, from_arrow

_USERS_AT_ONCE = 20_000
_STATE_DDL = (
    "user_id string, tier int, topic_id string, strength double, share double, short_share double, long_share double, "
    "trend_per_day double, trend_se double, status string, sudden boolean, confidence double, evidence double, "
    "last_ts timestamp"
)


def state_settings(interest: Interest) -> StateSettings:
    """The numerical settings of states and their status rule, out of the settings file's section."""
    values = dataclasses.asdict(interest)
    own = {one.name: values[one.name] for one in dataclasses.fields(StateSettings) if one.name in values}
    rule = StatusRule(**{one.name: values[one.name] for one in dataclasses.fields(StatusRule)})
    return StateSettings(**own, status=rule)


class Tier(NamedTuple):
    """One tier of the hierarchy: topic_ids (k,) str; membership (n_items, k) CSR, rows sum to one or are empty; prior
    (k,): the population's shares, sum one."""

    topic_ids: np.ndarray
    membership: sp.csr_matrix
    prior: np.ndarray


def as_tiers(topics: Topics, at_day: float, half_life_days: float) -> list[Tier]:
    """The hierarchy's tiers with the population's shares at a moment."""
    return [
        Tier(ids, membership, population_shares(membership, topics.counts, at_day, half_life_days))
        for ids, membership in zip(topics.ids, topics.memberships, strict=True)
    ]


def user_states(
    histories: DataFrame, tiers: list[Tier], at_day: float, settings: StateSettings, nearness: Nearness
) -> DataFrame:
    """One row per user and touched topic of each tier, as table interest_states without run_date and topic_version.

    histories: see consumption.user_histories, with nearness.columns; items are positions in the tiers' memberships.
    """
    shared = histories.sparkSession.sparkContext.broadcast(tiers)

    def rows(batches: Batches) -> Iterator[pa.RecordBatch]:
        for table in gather_rows(batches, _USERS_AT_ONCE):
            known = from_arrow(table)
            factor = near_factor(known, table, nearness)
            for number, tier in enumerate(shared.value, start=1):
                found = states(known, tier.membership, tier.prior, at_day, settings, factor)
                yield _batch(found, known.user_ids, tier.topic_ids, number)

    return map_users(histories, rows, _STATE_DDL)


def near_factor(known: Histories, table: pa.Table, nearness: Nearness) -> np.ndarray | None:
    """(m,) what distance from the user's latest place and from the hour leave of each event; None: neither counts.

    table: the rows that `known` comes from, with nearness.columns.
    """
    columns = {name: _of_events(table, name) for name in nearness.columns}
    factor = np.ones(len(known.items)) if columns else None
    if nearness.half_km > 0:
        factor *= place_factor(known, columns["latitude"], columns["longitude"], nearness.half_km, nearness.floor)
    if nearness.hour >= 0:
        local = (known.days * 24.0 + columns["utc_offset_minutes"] / 60.0) % 24.0
        factor *= hour_factor(local, nearness.hour, nearness.half_hours, nearness.floor)
    return factor


def _of_events(table: pa.Table, name: str) -> np.ndarray:
    """(m,) float64, NaN where an event has no value."""
    values = table.column(name).combine_chunks().flatten().cast(pa.float64())
    return values.to_numpy(zero_copy_only=False)


def _batch(found, user_ids: np.ndarray, topic_ids: np.ndarray, tier: int) -> pa.RecordBatch:
    micros = np.round(found.last_day * 86_400_000_000).astype(np.int64)
    columns = {
        "user_id": pa.array(user_ids, pa.string()).take(pa.array(found.users)),
        "tier": pa.array(np.full(len(found.users), tier, dtype=np.int32)),
        "topic_id": pa.array(topic_ids, pa.string()).take(pa.array(found.topics)),
        "status": pa.array(STATUSES, pa.string()).take(pa.array(found.status.astype(np.int32))),
        "sudden": pa.array(found.sudden),
        "last_ts": pa.array(micros, pa.timestamp("us", tz="UTC")),
    }
    plain = ("strength", "share", "short_share", "long_share", "trend_per_day", "trend_se", "confidence", "evidence")
    columns |= {name: pa.array(getattr(found, name), pa.float64()) for name in plain}
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def users_who_acted(events: DataFrame, after: datetime.date | None, run_date: datetime.date) -> DataFrame:
    """The distinct user_id of events that arrived in (after, run_date]; after None: up to run_date."""
    arrived = F.col("arrival_date") <= F.lit(run_date)
    if after is not None:
        arrived = arrived & (F.col("arrival_date") > F.lit(after))
    return events.where(arrived).select("user_id").distinct()
