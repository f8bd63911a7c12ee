"""The ranker over Spark gives what the same steps give without it, whatever the partitions."""

import datetime
from types import SimpleNamespace

import numpy as np
import pytest

from interest_model.config import load_settings
from interest_model.errors import CheckError, DataError
from interest_model.recommend import model_rows, popularity, scoring
from interest_model.recommend.attributes import no_attributes
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.histories import between
from interest_model.recommend.interests import no_topics
from interest_model.recommend.members import nowhere
from interest_model.recommend.relisting import Diversity
from interest_model.source import load_source
from tests.recommend.worlds import counts_of, fitted, histories, ranker_settings

pytestmark = pytest.mark.spark
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
FIRST_DAY = START.timestamp() / 86_400
DAYS, N_ITEMS = 40, 30


@pytest.fixture(scope="module")
def world():
    """User id to (item, day) pairs: each user walks through a block of items, one or two steps a day."""
    rng = np.random.default_rng(5)
    users = {}
    for number in range(60):
        block, day, walk = number % 3 * 10, float(rng.integers(0, 10)), []
        while day < DAYS:
            walk.append((block + int(rng.integers(0, 10)), FIRST_DAY + day))
            day += float(rng.integers(1, 40)) / 8
        users[f"u{number:03d}"] = walk
    return users


@pytest.fixture(scope="module")
def events(spark, world):
    rows = [
        (user, f"item{item:04d}", START + datetime.timedelta(days=day - FIRST_DAY), f"{user}{n:04d}", 1.0, True)
        for user, walk in world.items()
        for n, (item, day) in enumerate(walk)
    ]
    ddl = "user_id string, item_id string, event_ts timestamp, event_id string, weight double, consumption boolean"
    return spark.createDataFrame(rows, ddl)


def spark_model(events, partitions):
    from interest_model.recommend.consumption import catalogue, consumed, user_histories
    from interest_model.recommend.daily import ItemViews, fit_ranker

    settings, at_day = ranker_settings(), FIRST_DAY + DAYS
    consumption = consumed(events)
    items = catalogue(consumption, at_day, settings.learning_days)
    frame = user_histories(consumption, items.item_ids, settings.seen_length).repartition(partitions).persist()
    n_items = len(items.item_ids)
    views = ItemViews(np.zeros((n_items, 4), np.float32), nowhere(n_items), no_topics(n_items), no_attributes(n_items))
    return frame, fit_ranker(frame, items, views, at_day, settings, False)


def test_the_model_is_that_of_the_same_steps_without_spark(world, events):
    _, model = spark_model(events, 2)
    bare = fitted(histories(world), N_ITEMS, FIRST_DAY + DAYS)
    expected, found = bare.to_arrays(), model.to_arrays()
    assert found.keys() == expected.keys()
    for name in expected:
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_the_model_is_the_same_bit_for_bit_however_users_are_spread(events):
    versions = {model_rows.version_of(spark_model(events, partitions)[1].to_arrays(), "blend") for partitions in (1, 3)}
    assert len(versions) == 1


def test_lists_over_spark_are_those_of_recommend(world, events):
    from interest_model.recommend.daily import daily_lists, list_rows

    frame, model = spark_model(events, 2)
    at_day = FIRST_DAY + DAYS
    settings = load_settings(overrides=["recommendations.list_length=7"]).recommendations
    films = load_source("movietweetings")
    assert not films.repeats
    rows = list_rows(daily_lists(frame, model, model.item_ids.astype(object), at_day, settings, films)).collect()
    found = {(row["user_id"], row["rank"]): (row["item_id"], row["score"], row["origin"]) for row in rows}
    known = histories(dict(sorted(world.items())))
    wide = Diversity(settings.diversity_method, settings.diversity_strength, settings.diversity_candidates)
    lists = scoring.recommend(known, model, at_day, 7, False, wide)
    expected = {
        (known.user_ids[user], rank): (model.item_ids[item], pytest.approx(score, rel=1e-5), MEMBERS[origin])
        for user, rank, item, score, origin in zip(*lists[:5], strict=True)
    }
    assert found == expected


def test_time_bins_in_sql_are_those_of_numpy(world, events):
    from interest_model.recommend.consumption import catalogue, consumed

    at_day = FIRST_DAY + DAYS
    items = catalogue(consumed(events), at_day, 52)
    bare = counts_of(between(histories(world), -np.inf, at_day), at_day)
    by_item = [popularity.decayed(counts, N_ITEMS, at_day, (0.5, 7.0)) for counts in (items.counts, bare)]
    np.testing.assert_allclose(*by_item, rtol=1e-9)


def test_histories_are_in_order_and_keep_the_latest(spark, events):
    from interest_model.recommend.consumption import consumed, user_histories

    ids = np.array([f"item{position:04d}" for position in range(N_ITEMS)])
    whole = {row["user_id"]: row for row in user_histories(consumed(events), ids, 1000).collect()}
    cut = {row["user_id"]: row for row in user_histories(consumed(events), ids, 3).collect()}
    for user, row in whole.items():
        assert row["days"] == sorted(row["days"])
        assert cut[user]["items"] == row["items"][-3:] and cut[user]["days"] == row["days"][-3:]


def test_events_that_consume_nothing_are_left_out(spark, events):
    from interest_model.recommend.consumption import consumed

    returned = events.limit(1).selectExpr("user_id", "item_id", "event_ts", "event_id", "weight", "false consumption")
    assert consumed(events.union(returned)).count() == events.count()


def test_the_end_of_a_day_is_midnight_of_the_logs_zone():
    from interest_model.recommend.consumption import end_of_day

    day = datetime.date(2024, 3, 10)  # clocks go forward in New York on this day
    assert end_of_day(day, "UTC") == datetime.datetime(2024, 3, 11, tzinfo=datetime.UTC).timestamp() / 86_400
    assert (end_of_day(day, "America/New_York") - end_of_day(day, "UTC")) * 24 == pytest.approx(4.0)


LIST = "user_id string, item_ids array<string>, scores array<double>, origins array<string>, reasons array<string>"


@pytest.mark.parametrize(
    "lists, fault",
    [
        ([("a", ["x", "y"], [2.0, 1.0])], "users_without_list"),
        ([("a", ["x", "y"], [2.0, 1.0]), ("b", [], [])], "users_without_list"),
        ([("a", ["x", "x"], [2.0, 1.0]), ("b", ["x"], [1.0])], "items_twice"),
        ([("a", ["x", "y"], [1.0, 2.0]), ("b", ["x"], [1.0])], "scores_out_of_order"),
        ([("a", ["x", "y"], [float("nan"), 1.0]), ("b", ["x"], [1.0])], "odd_scores"),
        ([("a", ["x", "y", "z"], [3.0, 2.0, 1.0]), ("b", ["x"], [1.0])], "lists_too_long"),
        ([("a", ["x"], [1.0]), ("a", ["x"], [1.0]), ("b", ["x"], [1.0])], "users_with_two_lists"),
    ],
)
def test_lists_with_a_fault_are_not_issued(spark, lists, fault):
    from interest_model.recommend.checks import check_lists

    frame = spark.createDataFrame([(*row, ["o"] * len(row[1]), ["r"] * len(row[1])) for row in lists], LIST)
    active = spark.createDataFrame([("a",), ("b",)], "user_id string")
    with pytest.raises(CheckError, match=fault):
        check_lists(frame, active, 2)


def test_sound_lists_pass(spark):
    from interest_model.recommend.checks import check_lists

    rows = [("a", ["x", "y"], [1.0, 1.0], ["o"] * 2, ["r"] * 2), ("b", ["x"], [1.0], ["o"], ["r"])]
    check_lists(spark.createDataFrame(rows, LIST), spark.createDataFrame([("a",), ("b",)], "user_id string"), 2)


def test_events_that_consume_nothing_are_named_before_lists_are_tried(spark):
    """A mapping whose condition of consumption never holds, or a log before its first purchase."""
    from jobs.ranker import run

    kinds = "user_id string, item_id string, event_ts timestamp, event_date date, consumption boolean"
    views = spark.createDataFrame(
        [("a", "i1", datetime.datetime(2024, 1, 5, 9), datetime.date(2024, 1, 5), False)], kinds
    )
    night = SimpleNamespace(
        run_date=datetime.date(2024, 1, 5), settings=load_settings(), known_events=lambda: views,
        source=SimpleNamespace(zone="UTC", name="shop", repeats=True),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"up to 2024-01-05: no event counts(?s:.*)`consumption` in the mapping shop"):
        run(night)


def test_a_place_whose_events_have_all_faded_has_no_list_of_its_own(spark):
    """0.5 ** (135 days / 3 hours) is zero: a shop closed for half a year, where half lives are short."""
    from interest_model.recommend.fallback import fallback_lists

    visits = [("open", f"i{k % 3}", 364.0) for k in range(9)] + [("closed", f"i{k % 3}", 200.0) for k in range(9)]
    visits += [("open", "faded", 200.0)] * 9
    visits = spark.createDataFrame(visits, "place_id string, item_id string, day double")
    model = SimpleNamespace(
        trends=np.array([[0.5], [0.3], [0.2]]), item_ids=np.array(["i0", "i1", "i2"]), half_lives=np.array([0.125])
    )
    overrides = ("recommendations.fallback_place_events=5", "recommendations.active_days=365")
    settings = load_settings(overrides=overrides).recommendations
    rows = fallback_lists(visits, model, 365.0, settings).collect()
    assert {row["segment"] for row in rows} == {"all", "place:open"}
    assert {row["item_id"] for row in rows} == {"i0", "i1", "i2"} and all(row["score"] > 0 for row in rows)
    assert sum(row["score"] for row in rows if row["segment"] == "place:open") == pytest.approx(1.0)
