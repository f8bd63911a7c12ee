"""Topics over all users, over Spark: weights by day and topic summed on executors, then population.py on the driver.

Only one row per day and topic reaches the driver, however many users and events there are.
"""

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Trends
from interest_model.history.known import items_known
from interest_model.interest import population
from interest_model.interest.forecast_models import Topics
from interest_model.interest.population import MOVES, PopulationForecast, PopulationSettings
from interest_model.on_executors import nullable

_MAPS = {
    "pooled": ("expected_shares", "q10_shares", "q90_shares"),
    "arima": ("arima_shares", "arima_q10_shares", "arima_q90_shares"),
}
_PARTS = ("expected", "low", "high")


class DailyWeights(NamedTuple):
    """weights (days, k): summed weight of the events of each day and topic, the oldest day first, 0 where nothing
    happened; squares: sum of the squared weights of these events."""

    weights: np.ndarray
    squares: float


def population_settings(trends: Trends) -> PopulationSettings:
    """The numerical settings of shares and their forecasts, out of the settings file's section."""
    return PopulationSettings(
        change_days=trends.change_days,
        level=trends.level,
        arima_topics=trends.arima_topics,
        arima_min_events=trends.arima_min_events,
        arima_min_weeks=trends.arima_min_weeks,
    )


def daily_weights(
    events: DataFrame, item_topics: DataFrame, run_date: datetime.date, lookback_days: int, leaves: Sequence[str]
) -> DailyWeights:
    """Weights of the lookback_days days up to run_date and the topics in `leaves`, from known events and the table
    item_topics.

    An event counts for its item's topics as known on run_date, by their weights; topics not in `leaves` do not count.
    Days begin with the first that has any weight; none: run_date alone, without weight.
    """
    since = run_date - datetime.timedelta(days=lookback_days)
    counted = events.where((F.col("event_date") > F.lit(since)) & (F.col("event_date") <= F.lit(run_date)))
    pairs = F.explode(F.arrays_zip("topic_ids", "weights")).alias("pair")
    topics = items_known(item_topics, run_date).select("item_id", pairs).select("item_id", "pair.*")
    # decimals: a sum of doubles depends on the order in which Spark adds
    weight = (F.col("weight") * F.col("weights")).cast("decimal(28,9)")
    square = (F.col("weight") * F.col("weight") * F.col("weights")).cast("decimal(28,14)")
    joined = counted.select("item_id", "event_date", "weight").join(topics, "item_id")
    by_topic = joined.groupBy("event_date", F.col("topic_ids").alias("topic_id"))
    both = {"weight": weight, "square": square}
    sums = by_topic.agg(*(F.sum(one).cast("double").alias(name) for name, one in both.items()))
    return _daily(sums.orderBy("event_date", "topic_id").toArrow(), run_date, leaves)


def _daily(sums: pa.Table, run_date: datetime.date, leaves: Sequence[str]) -> DailyWeights:
    column = {name: position for position, name in enumerate(leaves)}
    topics = np.array([column.get(name, -1) for name in sums.column("topic_id").to_pylist()], dtype=np.int64)
    days = np.asarray(sums.column("event_date").to_numpy(), dtype="datetime64[D]").astype(np.int64)
    weights = sums.column("weight").to_numpy()
    last = np.datetime64(run_date, "D").astype(np.int64)
    counts = (topics >= 0) & (weights > 0)
    first = days[counts].min(initial=last)
    values = np.zeros((last - first + 1, len(leaves)))
    values[days[counts] - first, topics[counts]] = weights[counts]
    return DailyWeights(values, float(sums.column("square").to_numpy()[counts].sum()))


def trend_rows(daily: DailyWeights, topics: Topics, settings: Trends) -> pa.Table:
    """One row per topic of every tier, as table interest_trends without topic, topic_version and run_date.

    daily: of the deepest tier's topics. Its unit of weight shows in the column weight alone.
    """
    weights = population.effective_events(*daily)
    numbers = population_settings(settings)
    maps = {}
    for model, names in _MAPS.items():
        made = population.forecasts(weights, topics.parents, settings.horizons_days, model, numbers)
        maps |= {name: _by_tier(made, part, settings) for name, part in zip(names, _PARTS, strict=True)}
    summed = population.roll_up(daily.weights[-settings.change_days :].sum(axis=0), topics.parents)
    tiers = []
    for tier, (ids, values) in enumerate(zip(topics.ids, population.roll_up(weights, topics.parents), strict=True)):
        found = population.moves(values, numbers)
        columns = {
            "tier": pa.array(np.full(len(ids), tier + 1, dtype=np.int32)),
            "topic_id": pa.array(ids, pa.string()),
            "weight": pa.array(summed[tier], pa.float64()),
            "move": pa.array(MOVES, pa.string()).take(pa.array(found.move, pa.int32())),
        }
        plain = ("share", "share_before", "change", "trend_per_day", "trend_se")
        columns |= {name: nullable(getattr(found, name)) for name in plain}
        columns |= {name: of_tiers[tier] for name, of_tiers in maps.items()}
        tiers.append(pa.table(columns))
    return pa.concat_tables(tiers)


def _by_tier(made: list[PopulationForecast], part: str, settings: Trends) -> list[pa.MapArray]:
    """Of each tier a map per topic, days ahead to value; a topic that the model itself says nothing of has none."""
    found = []
    for tier in range(len(made[0].expected)):
        values = np.array([np.where(one.own[tier], getattr(one, part)[tier], np.nan) for one in made]).T
        known = np.isfinite(values)
        offsets = np.concatenate([[0], np.cumsum(known.sum(axis=1))]).astype(np.int32)
        days = np.broadcast_to(np.array(settings.horizons_days, dtype=np.int32), values.shape)
        found.append(pa.MapArray.from_arrays(offsets, pa.array(days[known]), pa.array(values[known], pa.float64())))
    return found
