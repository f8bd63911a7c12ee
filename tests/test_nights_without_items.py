"""A log of events alone: no item has a text or a category, so there are no topics, and nights finish all the same."""

import shutil
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from interest_model.config import load_settings
from interest_model.errors import MissingTableError
from interest_model.interest import forecast_models, topics
from interest_model.interest.forecasts import fit_models
from interest_model.interest.states_of_users import StateSettings
from interest_model.interest.topics import TopicItems
from interest_model.job import open_night
from interest_model.nightly import run_night
from interest_model.recommend.histories import from_arrow
from interest_model.recommend.popularity import ItemCounts
from interest_model.storage import Storage, schema_of
from interest_model.tables import ITEMS
from tests.nights import options

FIRST, SECOND = date(2026, 1, 8), date(2026, 1, 9)
OF_TOPICS = ("topics", "item_topics", "interest_states", "interest_forecasts", "user_profiles", "interest_trends")
MAPPING = """
name: bare
repeats: true
inputs:
  - files: events_{date}.csv
    event_type: play
    columns: {user_id: person, item_id: thing, event_ts: time}
weights: {play: 1.0}
"""


def write_events(folder, users=10, items=12, days=9):
    """Day files from 2026-01-01; every user plays three things a day."""
    (folder / "bare.yaml").write_text(MAPPING)
    rng = np.random.default_rng(3)
    for day in range(days):
        begin = datetime(2026, 1, 1) + timedelta(days=day)
        lines = [
            f"u{user},i{rng.integers(items)},{(begin + timedelta(hours=float(hour))).isoformat(timespec='seconds')}\n"
            for user in range(users)
            for hour in rng.uniform(1, 23, 3)
        ]
        (folder / f"events_{begin:%Y-%m-%d}.csv").write_text("".join(["person,thing,time\n", *lines]))
    return folder


# What begins a hierarchy


def items_of(paths, vectors=None) -> TopicItems:
    n = len(paths)
    vectors = np.full((n, 1), np.nan) if vectors is None else vectors
    return TopicItems([f"i{k}" for k in range(n)], ["a word"] * n, paths, np.asarray(vectors, dtype=np.float32))


ONE_VECTOR = [[np.nan, np.nan], [0.0, 1.0]]
CASES = {
    "no items": ("auto", items_of([]), False),
    "neither vectors nor categories": ("auto", items_of([None, None]), False),
    "one vector": ("auto", items_of([None, None], ONE_VECTOR), True),
    "categories that form a tree": ("auto", items_of([["a", "b"], ["c", "d"]]), True),
    "categories that form none": ("auto", items_of([["a"], ["b"]]), False),
    "free categories asked for": ("categories", items_of([["a"], None]), True),
    "categories asked for, none there": ("categories", items_of([None, [""]], ONE_VECTOR), False),
    "vectors asked for, none there": ("embeddings", items_of([["a", "b"], ["c", "d"]]), False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hierarchy_can_begin_exactly_where_the_step_would_make_topics(case):
    origin, items, expected = CASES[case]
    settings = load_settings(overrides=(f"topics.origin={origin}",)).topics
    assert topics.can_begin(items, settings) is expected
    made = topics.next_version(None, items, settings, "20260101")
    assert (made.base.depth > 0) is expected


def test_without_topics_returns_are_learned_and_no_shares():
    none = forecast_models.Topics([], [], [], ItemCounts(np.zeros(0, int), np.zeros(0), np.zeros(0)))
    at_day, settings = 20_454.0, load_settings().forecast
    days = [(at_day - 60 + np.arange(60.0)).tolist()] * 20
    users = pa.table({"user_id": [f"u{k:02d}" for k in range(20)], "items": [[0] * 60] * 20, "days": days})
    users = from_arrow(users.append_column("weights", pa.array([[1.0] * 60] * 20)))
    arrays = fit_models(users, none, at_day, settings, load_settings().interest)
    assert arrays and all(name.startswith("returns/") for name in arrays)
    (made,) = forecast_models.forecast(users, none, at_day, (7.0,), arrays, StateSettings())
    assert made.shares == [] and (made.came > 0.5).all()


# Nights


@pytest.fixture(scope="module")
def bare_log(tmp_path_factory):
    return write_events(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def bare_night(spark, run_nights, bare_log, tmp_path_factory):
    """The whole second night of the bare log, after a first that made no more than its lists."""
    warehouse, source = tmp_path_factory.mktemp("bare_night") / "warehouse", str(bare_log / "bare.yaml")
    first = open_night(options(bare_log, warehouse, FIRST, source=source), FIRST, spark)
    run_night(first, None, ["events", "items", "ranker", "daily_recommendations"])
    return run_nights(bare_log, warehouse, SECOND, source=source)


@pytest.mark.spark
@pytest.mark.slow
def test_nights_of_events_alone_make_lists_and_no_topic_rows(spark, bare_night):
    assert {step.state for step in bare_night.steps} == {"done"}
    storage = Storage(spark, bare_night.storage.root)
    for name in OF_TOPICS:
        assert storage.exists(name) and storage.read(name).isEmpty(), name
    lists = storage.read_day("daily_recommendations", SECOND)
    assert lists.select("user_id").distinct().count() == 10
    assert lists.where("reason is null or length(reason) < 10").count() == 0
    judged = storage.read_day("evaluation", SECOND).where("model = 'ranker' and metric = 'ndcg'")
    judged = judged.where("protocol = 'replay' and segment = 'all' and n_users = 10")
    assert judged.where("variant = 'repeat' and value between 0.1 and 1").count() > 0  # twelve things, all in the list
    returns = storage.read_day("user_returns", SECOND)  # whether a user comes back needs no topics
    assert returns.where("return_probability between 0 and 1").select("user_id").distinct().count() == 10


@pytest.mark.spark
@pytest.mark.slow
def test_a_step_topics_that_was_not_run_is_still_an_error(spark, bare_night, bare_log, tmp_path):
    def tree_in_force(warehouse, day):
        night = open_night(options(bare_log, warehouse, day, source=str(bare_log / "bare.yaml")), day, spark)
        return topics.tree_in_force(night)[0]

    with pytest.raises(MissingTableError, match="run the step topics first"):
        tree_in_force(tmp_path / "empty", FIRST)
    shutil.copytree(bare_night.storage.root, tmp_path / "warehouse")
    row = dict.fromkeys(ITEMS.names) | {"known_date": SECOND, "file": "items.csv"}
    rows = [tuple((row | {"item_id": name, "categories": [name, f"part of {name}"]}).values()) for name in ("i1", "i2")]
    described = spark.createDataFrame(rows, schema_of(ITEMS))
    Storage(spark, str(tmp_path / "warehouse")).insert_missing("items", described)
    assert tree_in_force(tmp_path / "warehouse", FIRST).depth == 0  # nothing was known of them then
    with pytest.raises(MissingTableError, match="run the step topics first"):
        tree_in_force(tmp_path / "warehouse", SECOND)


@pytest.mark.spark
def test_a_version_of_which_rules_show_nothing_comes_back_without_topics(spark, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{rule: forbid, topic: a}, {rule: forbid, topic: c}]")
    settings = load_settings(overrides=(f"topics.rules={rules}",)).topics
    version = topics.next_version(None, items_of([["a", "b"], ["c", "d"]]), settings, "20260101")
    assert (version.base.depth, version.shown.depth, version.tiers) == (2, 0, [])
    rows = topics.topic_rows(version, spark.createDataFrame([], "topic_version string"), FIRST, "e1")
    frame = spark.createDataFrame(rows)
    shown, number = topics.load_tree(frame, topics.SHOWN)
    assert shown.depth == 0 and number == topics.load_tree(frame, topics.BASE)[1]
    assert topics.load_tree(frame, topics.BASE)[0].labels.tolist() == version.base.labels.tolist()
