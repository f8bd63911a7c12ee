"""interest_trends: every topic's share of everybody's events, its change and move, and forecasts of it."""

from pyspark.sql import functions as F

from interest_model.interest.profiles import topic_paths
from interest_model.interest.topics import load_tonight
from interest_model.interest.trends import daily_weights, trend_rows
from interest_model.job import Night, main
from interest_model.storage import schema_of
from interest_model.tables import INTEREST_TRENDS


def run(night: Night) -> None:
    settings, day = night.settings.trends, night.run_date
    known = night.known_events()
    _, tonight = load_tonight(night, known)
    if not tonight.tree.depth:
        night.replace_days("interest_trends", night.spark.createDataFrame([], schema_of(INTEREST_TRENDS)))
        return
    leaves = tonight.topics.ids[-1]
    daily = daily_weights(known, night.read("item_topics"), day, settings.lookback_days, leaves)
    night.step.counts["days"] = len(daily.weights)
    rows = night.spark.createDataFrame(trend_rows(daily, tonight.topics, settings))
    paths = topic_paths(night.spark, tonight.tree)
    stamp = {"run_date": F.lit(day), "topic_version": F.lit(tonight.version)}
    night.replace_days("interest_trends", rows.join(F.broadcast(paths), "topic_id").withColumns(stamp))


if __name__ == "__main__":
    raise SystemExit(main("interest_trends", run, __doc__))
