"""Windows become texts of their latest distinct items, then vectors."""

import hashlib
from datetime import date

import pytest

from interest_model import tables
from interest_model.config import Behaviour

MONDAY = date(2024, 4, 29)
WINDOWS = "user_id string, window_kind string, window_start date, n_events int, item_ids array<string>"
ITEMS = "item_id string, title string, text string"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def texts_of(spark, windows, items, max_items=20):
    from interest_model.encoding.behaviour_embeddings import behaviour_texts

    frame = behaviour_texts(
        spark.createDataFrame(windows, WINDOWS), spark.createDataFrame(items, ITEMS), Behaviour("week", max_items)
    )
    return {row.user_id: row for row in frame.collect()}


@pytest.mark.spark
def test_latest_distinct_items_latest_first(spark):
    items = [("a", "Alpha", "Alpha long"), ("b", None, "beta text"), ("c", "Gamma", None), ("d", None, None)]
    windows = [
        ("u1", "week", MONDAY, 6, ["a", "b", "a", "c", "d", "unknown", None, None]),
        ("u2", "week", MONDAY, 70, ["c", "b", "c", "b", "a"]),
        ("u3", "week", MONDAY, 1, ["d", None]),
        ("u4", "day", MONDAY, 1, ["a"]),
    ]
    rows = texts_of(spark, windows, items)
    found = {user: row.text for user, row in rows.items()}
    assert found == {"u1": "Gamma; Alpha; beta text", "u2": "Alpha; beta text; Gamma"}
    assert rows["u2"].asDict() == {
        "user_id": "u2",
        "window_kind": "week",
        "window_start": MONDAY,
        "n_events": 70,
        "text": "Alpha; beta text; Gamma",
        "text_hash": sha("Alpha; beta text; Gamma"),
    }


@pytest.mark.spark
def test_no_more_than_max_items(spark):
    items = [(str(i), f"title {i}", None) for i in range(12)]
    rows = texts_of(spark, [("u", "week", MONDAY, 12, [str(i) for i in range(12)])], items, max_items=11)
    assert rows["u"].text == "; ".join(f"title {i}" for i in range(11, 0, -1))  # by number, not by letter


@pytest.mark.spark
def test_windows_join_the_cache(spark):
    from interest_model.encoding.behaviour_embeddings import behaviour_embeddings

    texts = [("u1", "week", MONDAY, 3, "Alpha", sha("Alpha")), ("u2", "week", MONDAY, 1, "bad", sha("bad"))]
    texts_schema = "user_id string, window_kind string, window_start date, n_events int, text string, text_hash string"
    cache_schema = ", ".join(f"{column.name} {column.type}" for column in tables.TEXT_EMBEDDINGS.columns)
    bad = [(sha("bad"), "v1", "IndexError", None), (sha("bad"), "v2", None, [1.0])]
    cache = [(sha("Alpha"), "v1", None, [1.0, 0.0]), *bad]
    rows = behaviour_embeddings(
        spark.createDataFrame(texts, texts_schema), spark.createDataFrame(cache, cache_schema), "v1", date(2024, 5, 2)
    )
    assert rows.dtypes == [(column.name, column.type) for column in tables.BEHAVIOUR_EMBEDDINGS.columns]
    assert sorted(map(tuple, rows.collect())) == [
        (date(2024, 5, 2), "u1", "week", MONDAY, "v1", 3, sha("Alpha"), [1.0, 0.0]),
        (date(2024, 5, 2), "u2", "week", MONDAY, "v1", 1, sha("bad"), None),
    ]
