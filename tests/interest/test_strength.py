import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.interest import strength
from interest_model.interest.states_of_users import StateSettings, states, touches_of
from interest_model.interest.status import STATUSES
from interest_model.recommend.histories import Histories
from tests.interest.planted import AT_DAY, TOPICS, world

SETTINGS = StateSettings()
HALVES = np.array([0.5, 0.5])


def histories(users: list[list[tuple[int, float, float]]]) -> Histories:
    """Histories from lists of (item, days before AT_DAY, weight), oldest first."""
    events = [event for one in users for event in one]
    return Histories(
        user_ids=np.arange(len(users)).astype(str).astype(object),
        indptr=np.cumsum([0, *map(len, users)]),
        items=np.array([item for item, _, _ in events], dtype=np.int32),
        days=AT_DAY - np.array([age for _, age, _ in events], dtype=np.float64),
        weights=np.array([weight for *_, weight in events], dtype=np.float32),
    )


def two_topics() -> sp.csr_matrix:
    """Items 0 and 1 of topics 0 and 1, item 2 of both, item 3 of none."""
    return sp.csr_matrix(np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 0]], np.float32))


def test_evidence_strength_and_shares_by_hand():
    # half life 28: 4 * 1/4 + 2 * 1/2 + 0.5 * 1 * 1/2 = 2.25 of topic 0, 0.25 of topic 1; item 3 has no topic
    one = histories([[(0, 56.0, 4.0), (0, 28.0, 2.0), (2, 28.0, 1.0), (3, 1.0, 9.0)]])
    found = states(one, two_topics(), HALVES, AT_DAY, SETTINGS)
    assert found.topics.tolist() == [0, 1]
    assert found.evidence == pytest.approx([2.25, 0.25])
    assert found.strength == pytest.approx(np.log([3.25, 1.25]))
    assert found.share == pytest.approx([3.25 / 4.5, 1.25 / 4.5])
    # half life 7: 4 / 256 + 2 / 16 + 0.5 / 16 = 0.171875 and 0.03125
    assert found.short_share == pytest.approx([1.171875 / 2.203125, 1.03125 / 2.203125])
    assert found.confidence == pytest.approx([2.5 / 4.5] * 2)
    assert found.last_day.tolist() == [AT_DAY - 28.0, AT_DAY - 28.0]


def test_a_factor_scales_events_and_a_zero_factor_removes_them():
    one = histories([[(0, 28.0, 1.0), (1, 28.0, 1.0)]])
    found = states(one, two_topics(), HALVES, AT_DAY, SETTINGS, factor=np.array([0.5, 0.0]))
    assert found.topics.tolist() == [0]
    assert found.evidence == pytest.approx([0.25])


def test_events_at_or_after_the_night_do_not_count():
    assert len(states(histories([[(0, 0.0, 1.0), (0, -1.0, 1.0)]]), two_topics(), HALVES, AT_DAY, SETTINGS).users) == 0


@pytest.mark.parametrize("users", [[], [[]], [[(3, 1.0, 1.0)]], [[(0, 1.0, 0.0)]]])
def test_without_events_that_count_there_are_no_rows(users):
    found = states(histories(users), two_topics(), HALVES, AT_DAY, SETTINGS)
    assert [len(column) for column in found] == [0] * len(found)


def test_one_event():
    found = states(histories([[], [(1, 28.0, 1.0)]]), two_topics(), HALVES, AT_DAY, SETTINGS)
    assert (found.users.tolist(), found.topics.tolist()) == ([1], [1])
    assert (found.trend_per_day.tolist(), found.trend_se.tolist()) == ([0.0], pytest.approx([SETTINGS.trend_prior_sd]))
    assert (STATUSES[found.status[0]], bool(found.sudden[0])) == ("stable", False)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="prior"):
        states(histories([[]]), two_topics(), np.ones(3) / 3, AT_DAY, SETTINGS)
    with pytest.raises(ValueError, match="item 4"):
        states(histories([[(4, 1.0, 1.0)]]), two_topics(), HALVES, AT_DAY, SETTINGS)


def test_a_batch_gives_each_user_what_the_user_alone_gives():
    users = [[(0, 9.0, 1.0), (1, 5.0, 2.0)], [(1, 40.0, 1.0)], [(2, 30.0, 1.0), (0, 2.0, 1.0), (0, 1.0, 1.0)]]
    whole = states(histories(users), two_topics(), HALVES, AT_DAY, SETTINGS)
    for number, events in enumerate(users):
        alone = states(histories([events]), two_topics(), HALVES, AT_DAY, SETTINGS)
        for name in ("topics", "evidence", "share", "long_share", "trend_per_day", "trend_se", "status", "last_day"):
            assert getattr(whole, name)[whole.users == number] == pytest.approx(getattr(alone, name))


@given(st.lists(st.floats(0, 50), min_size=3, max_size=3), st.floats(0, 200))
@settings(max_examples=30, deadline=None)
def test_shares_are_the_softmax_of_strengths_and_drift_to_the_prior(evidence, days):
    evidence, prior = np.array(evidence), np.array([0.2, 0.3, 0.5])
    later = strength.shares_after(evidence, evidence.sum(), prior, days, 28.0, 2.0)
    left = evidence * 2 ** (-days / 28.0)
    softmax = strength.forecast_shares(strength.strengths(left, prior, 2.0), np.zeros(3), 0.0)
    assert later == pytest.approx(softmax)
    assert later.sum() == pytest.approx(1.0)
    now = strength.shares_after(evidence, evidence.sum(), prior, 0.0, 28.0, 2.0)
    assert np.all(np.abs(later - prior) <= np.abs(now - prior) + 1e-12)


def test_days_without_events_give_the_same_as_a_later_night():
    one = histories([[(0, 9.0, 1.0), (1, 5.0, 2.0), (1, 1.0, 1.0)]])
    now = states(one, two_topics(), HALVES, AT_DAY, SETTINGS)
    later = states(one, two_topics(), HALVES, AT_DAY + 10, SETTINGS)
    closed = strength.shares_after(now.evidence, now.evidence.sum(), HALVES, 10.0, 28.0, 2.0)
    assert later.share == pytest.approx(closed)


def test_forecast_by_hand():
    v, r = np.array([3.0, 2.0, 1.0]), np.array([0.8, -0.2, 0.3])
    assert strength.forecast_shares(v, r, 0) == pytest.approx([0.6652, 0.2447, 0.0900], abs=5e-5)
    assert strength.forecast_shares(v, r, 1) == pytest.approx([0.8214, 0.1112, 0.0674], abs=5e-5)  # e^3.8, e^1.8, e^1.3
    assert strength.forecast_shares(v, r, 2) == pytest.approx([0.9094, 0.0453, 0.0453], abs=5e-5)  # topic 3 draws level
    assert strength.forecast_shares(v, r, 3) == pytest.approx([0.9537, 0.0175, 0.0288], abs=5e-5)
    orders = [np.argsort(-(v + r * day), kind="stable").tolist() for day in (0, 1, 3)]
    assert orders == [[0, 1, 2], [0, 1, 2], [0, 2, 1]]


def test_trend_by_hand():
    # four visits, all weights equal; y = 0 0 1 1: sxx 5, sxy 2, p = (2 + 1) / (4 + 2), A = 1.25, P = 100
    one = histories([[(0, 4.0, 3.0), (0, 3.0, 3.0), (1, 2.0, 3.0), (1, 1.0, 3.0)]])
    found = states(one, two_topics(), HALVES, AT_DAY, StateSettings(half_life_days=1e9))
    assert found.trend_per_day == pytest.approx([-2 / 101.25, 2 / 101.25])
    assert found.trend_se == pytest.approx([np.sqrt(101.25) / 101.25] * 2)


def test_trends_do_not_depend_on_the_unit_of_weights():
    events = [(0, 30.0, 1.0), (1, 20.0, 2.0), (0, 10.0, 1.0), (1, 1.0, 1.0)]
    one = states(histories([events]), two_topics(), HALVES, AT_DAY, SETTINGS)
    ten = states(histories([[(i, age, 10 * w) for i, age, w in events]]), two_topics(), HALVES, AT_DAY, SETTINGS)
    assert ten.trend_per_day == pytest.approx(one.trend_per_day)
    assert ten.trend_se == pytest.approx(one.trend_se)


def test_events_of_one_sitting_are_one_visit():
    minute = 1 / 1440
    alone = [(0, 30.0, 1.0), (0, 20.0, 1.0), (1, 2.0, 1.0)]
    sitting = alone[:2] + [(1, 2.0 - step * minute, 1 / 8) for step in range(8)]
    one = states(histories([alone]), two_topics(), HALVES, AT_DAY, SETTINGS)
    many = states(histories([sitting]), two_topics(), HALVES, AT_DAY, SETTINGS)
    assert many.trend_per_day == pytest.approx(one.trend_per_day, rel=1e-3)
    assert many.trend_se == pytest.approx(one.trend_se, rel=1e-3)


def test_all_at_one_instant_has_no_trend():
    found = states(histories([[(0, 3.0, 1.0), (1, 3.0, 1.0), (1, 3.0, 1.0)]]), two_topics(), HALVES, AT_DAY, SETTINGS)
    assert found.trend_per_day == pytest.approx([0.0, 0.0])
    assert found.trend_se == pytest.approx([SETTINGS.trend_prior_sd] * 2)


@pytest.mark.parametrize("n_events", [20, 50, 200])
@pytest.mark.parametrize("per_day", [0.0, 0.02, 0.045])
def test_trend_intervals_hold_the_truth(n_events, per_day):
    """95 % intervals hold the planted slope in 93 to 98.5 % of 1,500 users; 60 days, so up to 2.7 logits in all."""
    rng = np.random.default_rng(11)
    ages = -np.sort(-rng.uniform(0, 60, (1500, n_events)), axis=1)
    about = rng.random(ages.shape) < 1 / (1 + np.exp(-per_day * (30 - ages)))
    one = Histories(
        np.arange(1500).astype(str).astype(object),
        np.arange(1501) * n_events,
        about.ravel().astype(np.int32),
        AT_DAY - ages.ravel(),
        np.ones(ages.size, np.float32),
    )
    found = states(one, two_topics(), HALVES, AT_DAY, SETTINGS)
    of_it = found.topics == 1
    inside = np.abs(found.trend_per_day[of_it] - per_day) < 1.96 * found.trend_se[of_it]
    assert 0.93 <= inside.mean() <= 0.985


def test_great_circle_of_a_quarter_and_of_a_degree():
    quarter = np.pi / 2 * strength.EARTH_RADIUS_KM
    found = strength.great_circle_km(np.zeros(2), np.zeros(2), np.array([90.0, 0.0]), np.array([0.0, 1.0]))
    assert found == pytest.approx([quarter, quarter / 90])


def test_place_factor_by_hand():
    # user 0: latest place (0, 1), one degree = 111.195 km from the first; the middle event has no place; user 1: none
    one = histories([[(0, 3.0, 1.0), (0, 2.0, 1.0), (0, 1.0, 1.0)], [(0, 1.0, 1.0)]])
    latitudes, longitudes = np.array([0.0, np.nan, 0.0, np.nan]), np.array([0.0, np.nan, 1.0, np.nan])
    found = strength.place_factor(one, latitudes, longitudes, half_distance_km=111.195, floor=0.2)
    assert found == pytest.approx([0.2 + 0.8 / 2, 1.0, 1.0, 1.0], abs=1e-5)


def test_hour_factor_goes_around_the_clock():
    found = strength.hour_factor(np.array([23.0, 1.0, 22.0, 2.0, 12.0, np.nan]), 0.0, half_hours=2.0, floor=0.0)
    assert found[0] == pytest.approx(found[1]) and found[0] > 0.5
    assert found[2:4] == pytest.approx([0.5, 0.5])
    assert found[4] < 0.01 and found[5] == 1.0


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="half_life_days"):
        strength.decay(np.ones(1), 0.0)
    with pytest.raises(ValueError, match="half_hours"):
        strength.hour_factor(np.ones(1), 0.0, 0.0, 0.0)


def test_forecast_order_is_right_for_planted_users():
    """A week ahead the planted topic is above (below) every topic whose true share is smaller (larger) by 0.3."""
    planted = world(100, seed=21)
    now = states(planted.histories, planted.membership, planted.prior, AT_DAY, SETTINGS)
    untouched = np.zeros((len(planted.moves), TOPICS))
    levels, trends = strength.strengths(untouched, planted.prior, SETTINGS.prior_events), untouched.copy()
    levels[now.users, now.topics], trends[now.users, now.topics] = now.strength, now.trend_per_day
    ahead = strength.forecast_shares(levels, trends, 7.0)
    rows = np.arange(len(planted.moves))
    true_gap = planted.shares_at_end - planted.shares_at_end[rows, planted.planted][:, None]
    gap = ahead - ahead[rows, planted.planted][:, None]
    right = np.all((np.abs(true_gap) < 0.3) | (np.sign(gap) == np.sign(true_gap)), axis=1)
    judged = (np.abs(true_gap) >= 0.3).any(axis=1)
    assert judged.sum() >= 400
    assert right[judged].mean() >= 0.95


def sparse_world(n_users: int, n_topics: int, n_events: int) -> tuple[Histories, sp.csr_matrix]:
    """Events of users by chance, of items of one topic each."""
    rng = np.random.default_rng(3)
    users = np.sort(rng.integers(0, n_users, n_events))
    indptr = np.searchsorted(users, np.arange(n_users + 1))
    days, items = np.zeros(n_events), rng.integers(0, n_topics, n_events).astype(np.int32)
    names = np.arange(n_users).astype(str)
    return Histories(names, indptr, items, days, np.ones(n_events, np.float32)), sp.identity(n_topics, format="csr")


def test_touches_are_those_of_a_cell_for_each_user_and_topic():
    few, membership = sparse_world(50, 7, 400)
    found = touches_of(few, membership)
    cells = np.zeros((50, 7), dtype=bool)
    cells[few.rows, few.items] = True
    assert np.array_equal(np.stack([found.users, found.topics]), np.stack(np.nonzero(cells)))
    assert np.array_equal(found.users[found.pairs], few.rows) and np.array_equal(found.topics[found.pairs], few.items)


def test_a_tier_of_thousands_of_topics_costs_what_its_events_cost():
    few = sparse_world(20_000, 5_000, 20_000)
    tracemalloc.start()
    touches_of(*few)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6  # a cell for each user and topic: 900 MB
