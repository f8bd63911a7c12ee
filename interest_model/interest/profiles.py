"""Profiles: what is known and expected of each active user's interests, put together for people to read. Spark."""

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.interest.topic_tree import TopicTree, paths

_OF_STATES = (
    "user_id", "tier", "topic_id", "strength", "share", "trend_per_day", "status", "sudden", "confidence", "last_ts",
)  # fmt: skip


def user_profiles(states: DataFrame, forecasts: DataFrame, returns: DataFrame, tree: TopicTree) -> DataFrame:
    """One row per user and touched topic, as table user_profiles without run_date and versions.

    states: of every active user, see states.user_states; forecasts and returns: the same night's rows.
    """
    pair = F.struct("days_ahead", "share")
    ahead = forecasts.groupBy("user_id", "tier", "topic_id").agg(
        F.map_from_entries(F.sort_array(F.collect_list(pair))).alias("expected_shares"),
    )
    chance = F.struct("days_ahead", "return_probability")
    known = returns.where("return_probability is not null").groupBy("user_id")
    back = known.agg(F.map_from_entries(F.sort_array(F.collect_list(chance))).alias("return_probabilities"))
    nothing = F.create_map().cast("map<int,double>")
    joined = states.select(*_OF_STATES).join(F.broadcast(topic_paths(states.sparkSession, tree)), "topic_id")
    joined = joined.join(ahead, ["user_id", "tier", "topic_id"], "left").join(back, "user_id", "left")
    empty = {name: F.coalesce(name, nothing) for name in ("expected_shares", "return_probabilities")}
    return joined.withColumns(empty)


def topic_paths(spark, tree: TopicTree) -> DataFrame:
    """Rows topic_id, topic: the labels from tier 1 down to the topic."""
    table = pa.table({"topic_id": pa.array(tree.topic_ids, pa.string()), "topic": pa.array(paths(tree), pa.string())})
    return spark.createDataFrame(table)
