"""The pictures of docs/interests.md, from the tables of one night.

Reads user_profiles and interest_trends of the night, and for a topic's past the events as known on it.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pyspark.sql import functions as F

from interest_model.history.known import events_known
from interest_model.interest.population import roll_up
from interest_model.interest.topics import SHOWN, load_tree, version_in_force
from interest_model.interest.trends import daily_weights
from interest_model.job_arguments import day
from interest_model.session import start_session
from interest_model.storage import Storage

COLOURS = {"rising": "#2a7f3f", "stable": "#8a8a8a", "falling": "#b03a2e"}
POOLED, ARIMA = "#1f4e8c", "#c77f1a"
WEEK = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--run-date", type=day, required=True)
    parser.add_argument("--user", required=True, help="pseudonym")
    parser.add_argument("--topic", required=True, help="end of a topic's path")
    parser.add_argument("--out", default=str(Path(__file__).parent / "images"))
    given = parser.parse_args()
    storage = Storage(start_session("interest plots"), given.warehouse)
    trends = storage.read_day("interest_trends", given.run_date).orderBy("tier", F.desc("weight")).toPandas()
    profiles = storage.read_day("user_profiles", given.run_date)
    own = profiles.where((F.col("user_id") == given.user) & (F.col("tier") == 2)).toPandas()
    back = profiles.groupBy("user_id").agg(F.first("return_probabilities").alias("of_days")).toPandas()["of_days"]
    (topic,) = (row for row in trends.to_dict("records") if row["topic"].endswith(given.topic))
    figures = {
        "topic_moves": moves(trends),
        "topic_forecast": topic_forecast(topic, weekly_shares(storage, given.run_date, topic["topic_id"])),
        "person": person(own),
        "returns": returns(back),
    }
    Path(given.out).mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(Path(given.out) / f"{name}.png", dpi=72, bbox_inches="tight")


def weekly_shares(storage: Storage, run_date, topic_id: str) -> np.ndarray:
    """(weeks,) the topic's share of its tier in each whole week of the known events, the last ends with run_date."""
    tree, _ = load_tree(version_in_force(storage.read("topics"), run_date, included=True), SHOWN)
    events = events_known(storage.read("events"), run_date)
    leaves = tree.topic_ids[tree.in_tier(tree.depth)]
    days = daily_weights(events, storage.read("item_topics"), run_date, 730, leaves).weights
    places = [tree.in_tier(tier) for tier in range(1, tree.depth + 1)]
    parents = [tree.parents[place] - (places[at - 1][0] if at else 0) for at, place in enumerate(places)]
    position = int(np.flatnonzero(tree.topic_ids == topic_id)[0])
    tier = int(tree.tiers[position]) - 1
    weeks = len(days) // WEEK
    sums = roll_up(days[len(days) - weeks * WEEK :].reshape(weeks, WEEK, -1).sum(axis=1), parents)[tier]
    return sums[:, position - places[tier][0]] / np.maximum(sums.sum(axis=1), 1.0)


def moves(trends: pd.DataFrame) -> Figure:
    """Trends with 95 % intervals: of tiers 1 and 2 the twelve largest topics each."""
    shown = trends.groupby("tier").head(12).query("tier <= 2").iloc[::-1]
    figure = Figure(figsize=(9, 5.5))
    axes = figure.add_subplot()
    for at, row in enumerate(shown.itertuples()):
        colour = COLOURS[row.move]
        axes.errorbar(row.trend_per_day, at, xerr=1.96 * row.trend_se, fmt="o", color=colour, ecolor=colour, capsize=2)
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_yticks(range(len(shown)), shown["topic"], fontsize=8)
    axes.set_xlabel("trend of the share, log-odds per day, with 95 % interval")
    axes.set_title("Rising (green), stable (grey) and falling (red) topics", fontsize=10)
    return figure


def topic_forecast(topic: dict, weekly: np.ndarray) -> Figure:
    """A topic's share week by week, and what both forecasters say of the next 7 and 28 days."""
    figure = Figure(figsize=(9, 3.6))
    axes = figure.add_subplot()
    axes.plot(-WEEK * np.arange(len(weekly))[::-1] - WEEK / 2, weekly, "k.-", linewidth=0.8, label="share of each week")
    for name, colour, prefix in (("pool", POOLED, ""), ("AutoARIMA", ARIMA, "arima_")):
        shares = dict(topic["expected_shares" if not prefix else "arima_shares"])
        low, high = dict(topic[f"{prefix}q10_shares"]), dict(topic[f"{prefix}q90_shares"])
        for number, days in enumerate(sorted(shares)):
            axes.hlines(shares[days], 0, days, color=colour, label=None if number else f"expected: {name}")
            if days in low:
                axes.fill_between([0, days], low[days], high[days], color=colour, alpha=0.15, linewidth=0)
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(f"days from the end of {topic['run_date']}; shaded: 80 % intervals")
    axes.set_ylabel("share of the tier")
    axes.set_title(topic["topic"], fontsize=10)
    axes.legend(fontsize=8)
    return figure


def person(own: pd.DataFrame) -> Figure:
    """One person's ten largest interests of tier 2 now, and expected in the next 28 days."""
    shown = own.nlargest(10, "share").iloc[::-1]
    expected = [dict(one).get(28, np.nan) for one in shown["expected_shares"]]
    labels = [f"{row.topic.split(' > ')[-1]}  ({row.status})" for row in shown.itertuples()]
    figure = Figure(figsize=(9, 3.6))
    axes = figure.add_subplot()
    axes.barh(range(len(shown)), shown["share"], color="#a8bfd9", label="share now")
    axes.plot(expected, range(len(shown)), "o", color=POOLED, label="expected in the next 28 days")
    axes.set_yticks(range(len(shown)), labels, fontsize=8)
    axes.set_title("One person's interests", fontsize=10)
    axes.legend(fontsize=8)
    return figure


def returns(of_days: pd.Series) -> Figure:
    """How likely active users are to come back in 7 and in 28 days."""
    figure = Figure(figsize=(9, 3.0))
    axes = figure.add_subplot()
    for days, colour in ((7, ARIMA), (28, POOLED)):
        chances = [dict(one)[days] for one in of_days if days in dict(one)]
        axes.hist(chances, bins=np.linspace(0, 1, 41), histtype="step", color=colour, label=f"within {days} days")
    axes.set_xlabel("chance of any event")
    axes.set_ylabel("active users")
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main()
