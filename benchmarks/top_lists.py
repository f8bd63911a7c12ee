"""The best 50 items of every user: our blend against Spark ALS recommendForAllUsers (rank 64), same users and items.

    python benchmarks/top_lists.py --warehouse W --run-date D --source SRC [--rounds 3]

Reads a finished night: histories as the daily step sees them and that night's model. Fits ALS (implicit) on the same
events; only the making of the lists is timed, both counted to the last row. Prints medians and the ratio.
"""

import argparse
import statistics
import time
from datetime import date

from pyspark.ml.recommendation import ALS
from pyspark.sql import Window
from pyspark.sql import functions as F

from interest_model.config import load_settings
from interest_model.history.known import events_known
from interest_model.recommend.consumption import consumed, end_of_day, user_histories
from interest_model.recommend.daily import daily_lists, load_model
from interest_model.session import start_session
from interest_model.source import load_source
from interest_model.storage import Storage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    storage = Storage(start_session("benchmark", "local[2]"), options.warehouse)
    source, settings = load_source(options.source), load_settings()
    model, _ = load_model(storage.read_day("ranker_models", options.run_date))
    events = consumed(events_known(storage.read("events"), options.run_date))
    histories = user_histories(events, model.item_ids, settings.ranker.seen_length).repartition(2).persist()
    users = histories.count()
    at_day, length = end_of_day(options.run_date, source.zone), settings.recommendations.list_length
    als = fit_als(histories)
    makers = {
        "ranker": lambda: daily_lists(histories, model, model.item_ids, at_day, settings.recommendations, source),
        "als": lambda: als.recommendForAllUsers(length),
    }
    seconds = measure(makers, options.rounds)
    print(f"{users:,} users, {model.n_items:,} items, {length} each; seconds per round: {seconds}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratio = medians["als"] / medians["ranker"]
    print(f"median ranker {medians['ranker']:.2f} s, ALS {medians['als']:.2f} s: {ratio:.1f}x")


def fit_als(histories):
    """ALS of rank 64 on the users' items; few iterations, since only its lists are timed."""
    number = F.row_number().over(Window.orderBy("user_id"))
    users = histories.select(number.alias("user"), "items")
    ratings = users.select("user", F.explode("items").alias("item")).withColumn("rating", F.lit(1.0))
    return ALS(rank=64, maxIter=2, implicitPrefs=True, userCol="user", itemCol="item", seed=1).fit(ratings)


def measure(makers, rounds: int) -> dict[str, list[float]]:
    """Seconds per round of each, one maker after the other; one round of each before is not counted.

    Not in turn: Spark ends Python workers that were idle for a minute, and a round of ALS may take longer. A night's
    workers are warm.
    """
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for name, make in makers.items():
        for number in range(rounds + 1):
            begun = time.perf_counter()
            make().write.format("noop").mode("overwrite").save()
            if number:
                seconds[name].append(round(time.perf_counter() - begun, 2))
    return seconds


if __name__ == "__main__":
    main()
