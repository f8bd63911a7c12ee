"""Interest states over Spark say what the numerical core says, whatever the partitions."""

import dataclasses
from datetime import date, datetime

import numpy as np
import pytest
import scipy.sparse as sp

from interest_model.config import load_settings
from interest_model.interest.states_of_users import states
from interest_model.interest.status import STATUSES
from interest_model.recommend.popularity import ItemCounts

pytestmark = pytest.mark.spark
AT_DAY = 20_454.0
OFF = load_settings().nearness


@pytest.fixture
def tiers():
    from interest_model.interest.states import Tier

    leaf = sp.csr_matrix(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]], dtype=np.float32))
    up = sp.csr_matrix(np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32))
    wide = Tier(np.array(["a", "b"], dtype=object), (leaf @ up).tocsr(), np.array([0.7, 0.3]))
    return [wide, Tier(np.array(["a1", "a2", "b1"], dtype=object), leaf, np.array([0.4, 0.3, 0.3]))]


def random_users(n):
    rng = np.random.default_rng(3)
    rows = []
    for user in range(n):
        days = np.sort(rng.uniform(AT_DAY - 90, AT_DAY, rng.integers(1, 40)))
        rows.append((f"u{user:02d}", rng.integers(0, 4, len(days)).tolist(), days.tolist(), [1.0] * len(days)))
    return rows


SCHEMA = "user_id string, items array<int>, days array<double>, weights array<double>"


def test_spark_gives_what_numpy_gives(spark, tiers):
    from interest_model.interest.states import state_settings, user_states
    from interest_model.recommend.histories import from_arrow

    settings = state_settings(load_settings().interest)
    frame = spark.createDataFrame(random_users(30), SCHEMA).repartition(3)
    rows = {
        (row["user_id"], row["topic_id"]): row for row in user_states(frame, tiers, AT_DAY, settings, OFF).collect()
    }
    histories = from_arrow(spark.createDataFrame(random_users(30), SCHEMA).toArrow())
    count = 0
    for number, tier in enumerate(tiers, start=1):
        found = states(histories, tier.membership, tier.prior, AT_DAY, settings)
        for k in range(len(found.users)):
            row = rows[histories.user_ids[found.users[k]], tier.topic_ids[found.topics[k]]]
            assert row["tier"] == number and row["status"] == STATUSES[found.status[k]]
            assert row["share"] == pytest.approx(found.share[k]) and row["sudden"] == bool(found.sudden[k])
            assert row["trend_per_day"] == pytest.approx(found.trend_per_day[k])
            count += 1
    assert count == len(rows) > 60


def test_a_parents_evidence_is_the_sum_of_its_childrens(spark, tiers):
    from interest_model.interest.states import state_settings, user_states

    settings = state_settings(load_settings().interest)
    rows = user_states(spark.createDataFrame(random_users(10), SCHEMA), tiers, AT_DAY, settings, OFF).collect()
    evidence = {(row["user_id"], row["topic_id"]): row["evidence"] for row in rows}
    for user in {row["user_id"] for row in rows}:
        children = evidence.get((user, "a1"), 0.0) + evidence.get((user, "a2"), 0.0)
        assert evidence.get((user, "a"), 0.0) == pytest.approx(children)


def test_the_last_time_comes_out_as_utc(spark, tiers):
    from interest_model.interest.states import state_settings, user_states

    one = [("u", [2], [AT_DAY - 0.5], [1.0])]
    rows = user_states(spark.createDataFrame(one, SCHEMA), tiers, AT_DAY, state_settings(load_settings().interest), OFF)
    assert {row["last_ts"] for row in rows.collect()} == {datetime(2025, 12, 31, 12)}


def test_what_was_far_away_or_at_another_hour_counts_less_where_asked(spark, tiers):
    """Two old events in town, one of each kind, at noon and at midnight; the latest, without a topic's say, in town."""
    from interest_model.interest.states import state_settings, user_states

    days = [AT_DAY - 2.5, AT_DAY - 2.0, AT_DAY - 1.5]  # noon, midnight, noon UTC
    one = [("u", [0, 1, 2], days, [1.0] * 3, [33.4, 51.0, 33.4], [-112.0, -114.0, -112.0], [0, 0, None])]
    frame = spark.createDataFrame(
        one, SCHEMA + ", latitude array<double>, longitude array<double>, utc_offset_minutes array<int>"
    )
    settings = state_settings(load_settings().interest)

    def evidence(**changes):
        rows = user_states(frame, tiers, AT_DAY, settings, dataclasses.replace(OFF, **changes)).collect()
        return {row["topic_id"]: row["evidence"] for row in rows}

    plain, place, hour = evidence(), evidence(half_km=10.0), evidence(hour=12.0, half_hours=4.0)
    assert place["a1"] == pytest.approx(plain["a1"]) and place["a2"] == pytest.approx(0.3 * plain["a2"], rel=1e-3)
    kernel = np.exp(-2 * np.log(2) / (1 - np.cos(2 * np.pi * 4 / 24)))  # twelve hours away
    assert hour["a1"] == pytest.approx(plain["a1"]) and hour["b1"] == pytest.approx(plain["b1"])
    assert hour["a2"] == pytest.approx((0.3 + 0.7 * kernel) * plain["a2"])


def test_population_shares_decay_and_are_equal_without_events():
    from interest_model.interest.states_of_users import population_shares

    membership = sp.identity(2, format="csr")
    counts = ItemCounts(np.array([0, 1]), np.array([AT_DAY, AT_DAY - 28.0]), np.array([3.0, 6.0]))
    assert population_shares(membership, counts, AT_DAY + 1e-9, 28.0) == pytest.approx([0.5, 0.5], abs=1e-6)
    nothing = ItemCounts(np.zeros(0, int), np.zeros(0), np.zeros(0))
    assert population_shares(membership, nothing, AT_DAY, 28.0).tolist() == [0.5, 0.5]


def test_only_users_whose_events_arrived_tonight_act(spark):
    from interest_model.interest.states import users_who_acted

    rows = [("early", date(2026, 1, 1)), ("late", date(2026, 1, 3)), ("tomorrow", date(2026, 1, 4))]
    events = spark.createDataFrame(rows, "user_id string, arrival_date date")
    names = {row[0] for row in users_who_acted(events, date(2026, 1, 2), date(2026, 1, 3)).collect()}
    assert names == {"late"}
    assert {row[0] for row in users_who_acted(events, None, date(2026, 1, 3)).collect()} == {"early", "late"}
