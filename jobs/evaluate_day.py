"""evaluation: what the day just closed says about the lists of 1, 7 and 28 days ago."""

from datetime import timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.evaluation.day import cases, judged, metric_rows, truth_of
from interest_model.history.known import events_known
from interest_model.job import Night, main
from interest_model.recommend.consumption import consumed, end_of_day, ranker_histories
from interest_model.recommend.daily import load_model


def run(night: Night) -> None:
    settings, source, frames = night.settings.evaluation, night.source, []
    known = night.known_events()
    for horizon in settings.horizons_days:
        list_date = night.run_date - timedelta(days=horizon)
        lists = night.read("daily_recommendations").where(F.col("run_date") == F.lit(list_date))
        if lists.isEmpty():
            continue
        model, _ = load_model(night.storage.read_day("ranker_models", list_date))
        truth = truth_of(consumed(known), list_date, night.run_date)
        before = consumed(events_known(known, list_date)).join(truth.select("user_id"), "user_id", "left_semi")
        histories = ranker_histories(before, model.item_ids, night.settings.ranker)
        at_day = end_of_day(list_date, source.zone)
        sums = judged(cases(truth, histories, lists, model.item_ids), model, at_day, settings, source.repeats)
        rows = night.spark.createDataFrame(metric_rows(sums))
        frames.append(rows.withColumns({"horizon_days": F.lit(horizon), "list_date": F.lit(list_date)}))
    if frames:
        stamp = {"protocol": "replay", "source": source.name, "seed": 0}
        rows = reduce(DataFrame.unionByName, frames).withColumns({name: F.lit(value) for name, value in stamp.items()})
        where = f"run_date = DATE'{night.run_date}' and protocol = 'replay'"  # offline protocols keep their rows
        night.replace("evaluation", rows.withColumn("run_date", F.lit(night.run_date)), where)


if __name__ == "__main__":
    raise SystemExit(main("evaluate_day", run, __doc__))
