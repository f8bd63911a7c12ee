"""Lists for people not known yet: what is popular now, in all and in each place with enough events."""

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from interest_model.config import Recommendations
from interest_model.recommend import scoring
from interest_model.recommend.blend import Model

ALL = "all"


def fallback_lists(consumption: DataFrame, model: Model, at_day: float, settings: Recommendations) -> DataFrame:
    """Rows of table fallback_recommendations, without run_date and model_version.

    Popularity decays with the half life that the night's ranker found. A place has a list of its own where at least
    fallback_place_events consumptions of the last active_days happened there; it holds what that leaves any of.
    """
    overall = _overall(consumption, model, settings.list_length)
    return overall.unionByName(_by_place(consumption, float(model.half_lives[0]), at_day, settings))


def _overall(consumption: DataFrame, model: Model, length: int) -> DataFrame:
    items, scores = scoring.fallback(model, length)
    rows = pa.table(
        {
            "segment": pa.array([ALL] * len(items), pa.string()),
            "rank": pa.array(range(1, len(items) + 1), pa.int32()),
            "item_id": pa.array([str(model.item_ids[item]) for item in items], pa.string()),
            "score": pa.array(scores, pa.float64()),
            "reason": pa.array(["Popular with everyone lately"] * len(items), pa.string()),
        }
    )
    return consumption.sparkSession.createDataFrame(rows)


def _by_place(consumption: DataFrame, half_life: float, at_day: float, settings: Recommendations) -> DataFrame:
    recent = consumption.where(F.col("place_id").isNotNull() & (F.col("day") >= at_day - settings.active_days))
    decay = F.pow(F.lit(0.5), (F.lit(at_day) - F.col("day")) / half_life)
    sums = recent.groupBy("place_id", "item_id").agg(F.sum(decay).alias("popularity"), F.count("*").alias("events"))
    place = Window.partitionBy("place_id")
    # rounded, so that the order in which Spark adds cannot reverse two items that are level
    left = F.sum("popularity").over(place)
    ranked = sums.withColumns(
        {"here": F.sum("events").over(place), "share": F.round(F.try_divide(F.col("popularity"), left), 9)}
    ).where((F.col("here") >= settings.fallback_place_events) & (F.col("share") > 0))
    best = place.orderBy(F.desc("share"), "item_id")
    return (
        ranked.withColumn("rank", F.row_number().over(best))
        .where(F.col("rank") <= settings.list_length)
        .select(
            F.concat(F.lit("place:"), "place_id").alias("segment"),
            "rank",
            "item_id",
            F.col("share").alias("score"),
            F.concat(F.lit("Popular lately at "), "place_id").alias("reason"),
        )
    )
