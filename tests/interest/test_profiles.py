"""A profile's row says the topic's whole path, what is expected, and whether the user comes back."""

from datetime import datetime

import pytest

from interest_model.interest.topic_tree import from_categories

pytestmark = pytest.mark.spark
STATE = (
    "user_id string, tier int, topic_id string, strength double, share double, trend_per_day double, "
    "status string, sudden boolean, confidence double, last_ts timestamp"
)


def test_a_row_by_hand(spark):
    from interest_model.interest.profiles import user_profiles

    tree = from_categories([["home", "kitchen"], ["home", "garden"], ["sport", "ball"]])
    topic = dict(zip(tree.labels, tree.topic_ids, strict=True))
    moment = datetime(2026, 1, 2, 3)
    states = spark.createDataFrame(
        [("u", 2, topic["garden"], 1.5, 0.6, 0.1, "rising", True, 0.9, moment)]
        + [("v", 1, topic["home"], 0.5, 0.4, 0.0, "stable", False, 0.5, moment)],
        STATE,
    )
    rows = [("u", 7, 2, topic["garden"], 0.7), ("u", 1, 2, topic["garden"], 0.65), ("u", 7, 1, topic["home"], 0.8)]
    forecasts = spark.createDataFrame(rows, "user_id string, days_ahead int, tier int, topic_id string, share double")
    chances = [("u", 7, 0.5), ("u", 1, 0.2), ("u", 28, None), ("v", 7, None)]
    returns = spark.createDataFrame(chances, "user_id string, days_ahead int, return_probability double")
    found = {row["user_id"]: row.asDict() for row in user_profiles(states, forecasts, returns, tree).collect()}
    assert found["u"]["topic"] == "home > garden" and found["v"]["topic"] == "home"
    assert found["u"]["expected_shares"] == {1: 0.65, 7: 0.7} and found["u"]["return_probabilities"] == {1: 0.2, 7: 0.5}
    assert found["v"]["expected_shares"] == found["v"]["return_probabilities"] == {}
    assert found["u"]["status"] == "rising" and found["u"]["last_ts"] == moment
