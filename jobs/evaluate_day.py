"""evaluation: what the day just closed says about the lists of 1, 7 and 28 days ago."""

from datetime import timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.evaluation.day import day_sums, metric_rows
from interest_model.job import Night, main


def run(night: Night) -> None:
    frames, known = [], night.known_events()
    for horizon in night.settings.evaluation.horizons_days:
        list_date = night.run_date - timedelta(days=horizon)
        rows = night.spark.createDataFrame(metric_rows(day_sums(night, known, list_date)))
        frames.append(rows.withColumns({"horizon_days": F.lit(horizon), "list_date": F.lit(list_date)}))
    stamp = {"protocol": "replay", "source": night.source.name, "seed": 0, "run_date": night.run_date}
    rows = reduce(DataFrame.unionByName, frames).withColumns({name: F.lit(value) for name, value in stamp.items()})
    where = f"run_date = DATE'{night.run_date}' and protocol = 'replay'"  # offline protocols keep their rows
    night.replace("evaluation", rows, where)


if __name__ == "__main__":
    raise SystemExit(main("evaluate_day", run, __doc__))
