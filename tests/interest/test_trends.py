"""Table interest_trends: what Spark sums is what numpy sums, planted moves come out, and an issued night stays."""

import dataclasses
import shutil
from datetime import date, timedelta

import numpy as np
import pytest

from interest_model.config import load_settings
from interest_model.interest.forecast_models import Topics
from interest_model.recommend.popularity import ItemCounts

pytestmark = pytest.mark.spark
NIGHT = date(2026, 3, 1)
LEAVES = ["a1", "a2", "b1"]
PARENTS = [np.array([-1, -1]), np.array([0, 0, 1])]
ITEMS = {"i1": {"a1": 1.0}, "i2": {"a2": 1.0}, "i3": {"b1": 1.0}, "i4": {"a1": 0.25, "b1": 0.75}, "i5": {}}
SETTINGS = load_settings().trends
EVENTS = "item_id string, event_date date, weight double"


@pytest.fixture(scope="module")
def topics():
    ids = [np.array(["a", "b"], dtype=object), np.array(LEAVES, dtype=object)]
    return Topics(ids, PARENTS, [], ItemCounts(np.zeros(0, int), np.zeros(0), np.zeros(0)))


@pytest.fixture(scope="module")
def item_topics(spark):
    known = [(item, date(2026, 1, 1), list(of), list(of.values())) for item, of in ITEMS.items()]
    known.append(("i1", NIGHT + timedelta(days=1), ["b1"], [1.0]))  # tomorrow's topics are not known tonight
    known.append(("gone", date(2026, 1, 1), ["no longer a topic"], [1.0]))
    columns = "item_id string, known_date date, topic_ids array<string>, weights array<float>"
    return spark.createDataFrame(known, columns)


def by_topic(table) -> dict[str, dict]:
    return {row["topic_id"]: row for row in table.to_pylist()}


def rows_of(weights: np.ndarray, topics: Topics, settings=SETTINGS, unit: float = 1.0) -> dict[str, dict]:
    """Rows of the table by topic; weights (days, 3) are numbers of events that weigh `unit` each."""
    from interest_model.interest.trends import DailyWeights, trend_rows

    return by_topic(trend_rows(DailyWeights(weights * unit, weights.sum() * unit**2), topics, settings))


def planted(days: int, per_day: int) -> np.ndarray:
    """(days, 3) weights: a1 rises from a fifth to half of a day's events, b1 falls by as much, a2 stays."""
    risen = np.linspace(0.0, 0.3, days)[:, None] * [[1.0, 0.0, -1.0]]
    return np.random.default_rng(4).multinomial(per_day, [0.2, 0.3, 0.5] + risen).astype(np.float64)


def test_spark_sums_what_numpy_sums_whatever_the_partitions(spark, item_topics):
    from interest_model.interest.trends import daily_weights

    rng = np.random.default_rng(1)
    names, back = [*ITEMS, "gone", "never seen"], rng.integers(-2, 50, 3000)  # some lie after the night
    rows = [
        (names[item], NIGHT - timedelta(days=int(days)), float(weight))
        for item, days, weight in zip(rng.integers(0, len(names), 3000), back, rng.uniform(0, 3, 3000), strict=True)
    ]
    expected, squares = np.zeros((40, 3)), 0.0
    for item, day, weight in rows:
        age = (NIGHT - day).days
        for topic, part in ITEMS.get(item, {}).items() if 0 <= age < 40 else ():
            expected[39 - age, LEAVES.index(topic)] += weight * part
            squares += weight**2 * part
    frames = (spark.createDataFrame(rows, EVENTS).repartition(parts) for parts in (1, 7))
    one, other = (daily_weights(frame, item_topics, NIGHT, 40, LEAVES) for frame in frames)
    assert one.weights == pytest.approx(expected, abs=1e-5) and one.squares == pytest.approx(squares)
    assert (one.weights == other.weights).all() and one.squares == other.squares


def test_days_begin_with_the_log_and_quiet_days_are_zero(spark, item_topics):
    from interest_model.interest.trends import daily_weights

    rows = [("i5", NIGHT - timedelta(days=9), 1.0), ("i4", NIGHT - timedelta(days=3), 2.0)]  # i5 has no topic
    found = daily_weights(spark.createDataFrame(rows, EVENTS), item_topics, NIGHT, 100, LEAVES)
    assert found.weights.tolist() == [[0.5, 0.0, 1.5], [0.0] * 3, [0.0] * 3, [0.0] * 3] and found.squares == 4.0
    nothing = daily_weights(spark.createDataFrame([], EVENTS), item_topics, NIGHT, 100, LEAVES)
    assert nothing.weights.tolist() == [[0.0] * 3] and nothing.squares == 0.0


def test_a_planted_rise_and_fall_come_out_of_events(spark, topics, item_topics):
    from interest_model.interest.trends import daily_weights, trend_rows

    weights = planted(days=140, per_day=200)
    rows = [
        (f"i{topic + 1}", NIGHT - timedelta(days=139 - day), 1.0)
        for day, topic in np.ndindex(weights.shape)
        for _ in range(int(weights[day, topic]))
    ]
    frame = spark.createDataFrame(rows, EVENTS)
    table = trend_rows(daily_weights(frame, item_topics, NIGHT, 730, LEAVES), topics, SETTINGS)
    found = {row["topic_id"]: row.asDict() for row in spark.createDataFrame(table).collect()}
    assert {name: row["move"] for name, row in found.items()} == {
        "a": "rising", "b": "falling", "a1": "rising", "a2": "stable", "b1": "falling",
    }  # fmt: skip
    latest, before = weights[-28:].sum(axis=0), weights[-56:-28].sum(axis=0)
    assert found["a1"]["weight"] == latest[0] and found["a"]["weight"] == latest[:2].sum()
    assert found["b"]["change"] == pytest.approx(latest[2] / before[2])  # 200 events on every day
    # in 7 and 28 days the planted shares go on: 0.2 and 0.3 / 140 a day
    for model in ("expected", "arima"):
        assert found["b1"][f"{model}_shares"][28] == pytest.approx(0.2 - 14 * 0.3 / 140, abs=0.05)
    for low, middle, high in (("q10", "expected", "q90"), ("arima_q10", "arima", "arima_q90")):
        ends = [found["a1"][f"{name}_shares"][28] for name in (low, middle, high)]
        assert ends[0] < ends[1] < ends[2] < ends[0] + 0.15


def test_what_an_event_weighs_changes_the_weight_and_nothing_else(topics):
    """A shop whose views weigh 0.2 and one whose views weigh 1 learn the same of the same views."""
    weights = planted(days=140, per_day=50)
    settings = dataclasses.replace(SETTINGS, arima_topics=0)
    ones, fifths = (rows_of(weights, topics, settings, unit) for unit in (1.0, 0.2))
    for name, row in ones.items():
        assert fifths[name].pop("weight") == pytest.approx(0.2 * row.pop("weight"))
        for column, value in row.items():
            found = fifths[name][column]
            if isinstance(value, str):
                assert found == value
            elif isinstance(value, list):
                assert dict(found) == pytest.approx(dict(value), rel=1e-4)
            else:
                assert found == pytest.approx(value, rel=1e-4)
    assert [ones[name]["move"] for name in "ab"] == ["rising", "falling"]


def test_only_the_largest_topics_have_a_model_of_their_own(topics):
    weights = planted(days=140, per_day=50)
    settings = dataclasses.replace(SETTINGS, arima_topics=1)
    found = rows_of(weights, topics, settings)
    largest = LEAVES[int(weights.sum(axis=0).argmax())]
    fitted = {name for name, row in found.items() if row["arima_shares"]}
    assert largest in fitted and len(fitted) == 2  # of each tier one
    assert all(len(row["expected_shares"]) == 2 for row in found.values())
    for name in fitted:
        assert len(found[name]["arima_q10_shares"]) == len(found[name]["arima_q90_shares"]) == 2


def test_a_young_log_says_what_it_does_not_know(topics):
    found = rows_of(np.array([[2.0, 0.0, 1.0]]), topics)
    assert found["a1"]["share"] == pytest.approx(2 / 3) and found["a1"]["move"] == "stable"
    for row in found.values():
        assert row["share_before"] is None and row["change"] is None
        assert not row["q10_shares"] and not row["arima_shares"] and len(row["expected_shares"]) == 2
    nothing = rows_of(np.zeros((1, 3)), topics)
    assert nothing["a1"]["share"] is None and nothing["a1"]["weight"] == 0.0
    assert dict(nothing["a1"]["expected_shares"])[7] == pytest.approx(1 / 3)


def test_a_late_event_changes_no_issued_night_and_a_rerun_gives_equal_rows(
    spark, fixed_keys, sample_log, first_night_warehouse, tmp_path
):
    from pyspark.sql import functions as F

    from interest_model.job import open_night
    from interest_model.storage import Storage
    from jobs import interest_trends
    from tests.nights import options

    warehouse = tmp_path / "warehouse"
    shutil.copytree(first_night_warehouse, warehouse)
    first, second = date(2026, 1, 8), date(2026, 1, 9)

    def rows(day):
        return sorted(Storage(spark, str(warehouse)).read_day("interest_trends", day).collect(), key=str)

    def issue(day):
        night = open_night(options(sample_log, warehouse, day), day, spark)
        night.run_step("interest_trends", interest_trends.run)
        return rows(day)

    issued = rows(first)
    storage = Storage(spark, str(warehouse))
    again = storage.read("events").where("event_date = DATE'2026-01-05'").orderBy("event_id").limit(20)
    new = {"event_id": F.md5("event_id"), "arrival_date": F.lit(second)}
    storage.insert_missing("events", again.withColumns(new))
    after = issue(second)
    weight = {day: sum(row["weight"] for row in found if row["tier"] == 1) for day, found in ((1, issued), (2, after))}
    assert weight[2] > weight[1]  # the next night counts it
    assert rows(first) == issued  # the issued one stands,
    assert issue(first) == issued  # also when it is run again,
    assert issue(second) == after  # and the same inputs give the same rows
