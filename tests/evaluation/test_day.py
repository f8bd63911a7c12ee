"""Earlier lists joined with what was taken since, by hand."""

from datetime import date, datetime

import numpy as np
import pytest

from interest_model.config import load_settings
from tests.recommend.worlds import fitted, histories

pytestmark = pytest.mark.spark
LISTED = date(2024, 1, 5)


@pytest.fixture
def consumption(spark):
    rows = [
        ("a", "item0001", datetime(2024, 1, 5, 23), date(2024, 1, 5), True),  # the list's own day: not judged
        ("a", "item0002", datetime(2024, 1, 6, 1), date(2024, 1, 6), True),
        ("a", "item0002", datetime(2024, 1, 6, 2), date(2024, 1, 6), True),  # twice is once
        ("a", "item0003", datetime(2024, 1, 6, 3), date(2024, 1, 6), False),  # consumed, but no hit
        ("b", "brandnew", datetime(2024, 1, 6, 4), date(2024, 1, 6), True),
        ("b", "item0002", datetime(2024, 1, 7, 4), date(2024, 1, 7), True),  # a later day
    ]
    return spark.createDataFrame(
        rows, "user_id string, item_id string, event_ts timestamp, event_date date, positive boolean"
    )


def test_truth_is_positive_consumption_of_the_days_after_the_list(consumption):
    from interest_model.evaluation.day import truth_of

    one_day = {tuple(row) for row in truth_of(consumption, LISTED, date(2024, 1, 6)).collect()}
    assert one_day == {("a", "item0002"), ("b", "brandnew")}
    two_days = {tuple(row) for row in truth_of(consumption, LISTED, date(2024, 1, 7)).collect()}
    assert two_days == one_day | {("b", "item0002")}


def test_a_hand_worked_day(spark, consumption):
    from interest_model.evaluation.day import cases, judged, metric_rows, truth_of

    model = fitted(histories({"a": [(0, 19_720.0), (1, 19_722.0)], "c": [(2, 19_721.0)]}), 5, 19_728.0)
    known = spark.createDataFrame(
        [("a", [0, 1], [19_720.0, 19_722.0], [1.0, 1.0])],
        "user_id string, items array<int>, days array<double>, weights array<double>",
    )
    lists = spark.createDataFrame(
        [("a", 2, "item0002"), ("a", 1, "item0004")], "user_id string, rank int, item_id string"
    )
    rows = cases(truth_of(consumption, LISTED, date(2024, 1, 6)), known, lists, model.item_ids).collect()
    by_user = {row["user_id"]: row for row in rows}
    assert by_user["a"]["truth"] == [2] and by_user["a"]["listed"] == [4, 2]
    assert by_user["b"]["truth"][0] >= model.n_items and by_user["b"]["items"] is None
    frame = cases(truth_of(consumption, LISTED, date(2024, 1, 6)), known, lists, model.item_ids)
    settings = load_settings().evaluation
    table = metric_rows(judged(frame, model, 19_728.0, settings, False)).to_pylist()
    figures = {(row["model"], row["metric"], row["k"], row["segment"]): (row["value"], row["n_users"]) for row in table}
    assert figures["ranker", "ndcg", 10, "all"] == (pytest.approx(1 / np.log2(3)), 1)
    assert figures["ranker", "mrr", 10, "all"] == (0.5, 1)
    assert figures["ranker", "hit_rate", 10, "no_history"] == (0.0, 1)
