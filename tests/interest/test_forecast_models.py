"""The night's forecast models: what they are fitted on is what a night at each cut would have read."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from interest_model.interest import forecast_features as ff
from interest_model.interest import forecast_models
from interest_model.interest.forecast_models import LEARNED_CUTS, ROWS_KEPT, Plan, Topics, fit, forecast, rule_shares
from interest_model.interest.forecaster_training import TrainingSettings, train
from interest_model.interest.states_of_users import StateSettings
from interest_model.recommend.histories import latest
from interest_model.recommend.popularity import ItemCounts
from tests.recommend.worlds import histories

AT_DAY = 20_454.0
NO_TOPICS = Topics([], [], [], ItemCounts(np.zeros(0, int), np.zeros(0), np.zeros(0)))
PLAN = Plan((1.0, 7.0, 28.0), 4, 7.0, 20.0, 30.0, 365.0, history_length=200)


def test_users_of_long_histories_are_expected_to_go_on_as_they_did():
    """Everybody acts at a rate of their own, 1 to 30 events a day; most have more events than a night reads of them."""
    rng, users = np.random.default_rng(2), {}
    rates = np.exp(rng.uniform(0.0, np.log(30.0), 300))
    for user, rate in enumerate(rates):
        days = np.sort(rng.uniform(AT_DAY - 150, AT_DAY, rng.poisson(150 * rate)))
        users[f"u{user:03d}"] = [(0, day) for day in days]
    whole = histories(users)
    arrays = fit(whole, NO_TOPICS, AT_DAY, PLAN, StateSettings(), TrainingSettings())
    tonight = latest(whole, PLAN.history_length)
    for days, found in zip(
        PLAN.horizons, forecast(tonight, NO_TOPICS, AT_DAY, PLAN.horizons, arrays, StateSettings()), strict=True
    ):
        assert found.events.sum() == pytest.approx(days * rates.sum(), rel=0.1)


def test_models_whose_networks_give_other_numbers_are_not_readable():
    returns = {"returns/knots": np.zeros((3, 9))}
    assert forecast_models.readable({}) and forecast_models.readable(returns | {"returns/reach": np.zeros(3)})
    assert not forecast_models.readable(returns)
    assert forecast_models.readable({"1/spread.b2": np.zeros(5), "2/spread.b2": np.zeros(5), "2/mix.b2": np.zeros(3)})
    assert not forecast_models.readable({"1/spread.b2": np.zeros(5), "2/spread.b2": np.zeros(3)})


def test_a_cut_reads_what_a_night_would_have_read():
    whole = histories({"a": [(0, AT_DAY - age) for age in range(600, 0, -1)], "b": [(1, AT_DAY - 2)]})
    reach = PLAN.reach(whole, AT_DAY)
    known = reach.as_of(whole, AT_DAY - 30)
    assert known.lengths.tolist() == [200, 0] and known.days.max() == AT_DAY - 31
    few = reach._replace(lookback_days=10.0).as_of(whole, AT_DAY - 30)
    assert few.lengths.tolist() == [10, 0] and PLAN.reach_days == 49


def two_tiers(days: np.ndarray) -> Topics:
    """Two topics of two narrower ones each, an item of each; events of everybody on these days."""
    counts = ItemCounts((np.arange(len(days)) % 4).astype(np.int32), days, np.ones(len(days)))
    wide = sp.csr_matrix(np.repeat(np.eye(2, dtype=np.float32), 2, axis=0))
    ids = [np.array(list("ab"), dtype=object), np.array(list("cdef"), dtype=object)]
    return Topics(ids, [np.full(2, -1), np.array([0, 0, 1, 1])], [wide, sp.identity(4, np.float32, "csr")], counts)


@pytest.mark.parametrize(("lookback", "log_days", "stray"), [(365.0, 20, 200), (365.0, 20, 440), (20.0, 18, 90)])
def test_a_clock_that_stood_wrong_makes_no_old_log_of_a_young_one(lookback, log_days, stray):
    rng, users = np.random.default_rng(6), {}
    for user, rate in enumerate(rng.gamma(0.7, 1.2, 600)):
        days = np.sort(rng.uniform(AT_DAY - log_days, AT_DAY, rng.poisson(log_days * rate)))
        users[f"u{user:03d}"] = [(0, day) for day in days]
    users["u000"] = [(0, AT_DAY - stray), *users["u000"]]
    plan = PLAN._replace(lookback_days=lookback)
    assert fit(histories(users), NO_TOPICS, AT_DAY, plan, StateSettings(), TrainingSettings()) == {}


def test_cuts_before_which_nobody_is_known_teach_nothing():
    """Everybody acts in two weeks of four months: a lookback of 10 days knows nobody at the cuts between."""
    rng = np.random.default_rng(7)
    ages = np.concatenate([rng.uniform(113, 120, 40), rng.uniform(0, 7, 40)])
    users = histories({f"u{k}": [(0, AT_DAY - age) for age in np.sort(ages)[::-1] + k / 100] for k in range(20)})
    plan = PLAN._replace(lookback_days=10.0, cuts=10)
    assert fit(users, NO_TOPICS, AT_DAY, plan, StateSettings(), TrainingSettings()) == {}


def test_models_of_another_reading_of_users_are_not_used():
    arrays = {"returns/knots": np.zeros((3, 9)), "returns/reach": np.array([20_000.0, 365.0, 200.0])}
    assert forecast_models.usable(arrays, PLAN) and forecast_models.usable({}, PLAN)
    assert not forecast_models.usable(arrays, PLAN._replace(history_length=1_000))
    assert not forecast_models.usable(arrays, PLAN._replace(lookback_days=90.0))
    assert not forecast_models.usable({"returns/knots": np.zeros((3, 9))}, PLAN)


def steady_users(days: int, n: int = 30):
    """n users who act twice a day for the last `days` days, each on two items of their own."""
    ages = np.arange(days - 0.25, 0, -0.5)
    return histories({f"u{k:02d}": [((k + i % 2) % 4, AT_DAY - age) for i, age in enumerate(ages)] for k in range(n)})


@pytest.mark.parametrize(("log_days", "learned"), [(35, 0), (43, 1), (50, 2), (56, 2), (70, 3), (100, 3)])
def test_returns_of_a_young_log_are_as_many_as_come(log_days, learned):
    """Everybody acts at a rate of their own that never changes; the log begins log_days before the night."""
    rng, users = np.random.default_rng(5), {}
    rates = rng.gamma(0.7, 1.2, 2_000)
    for user, rate in enumerate(rates):
        users[f"u{user:04d}"] = [
            (0, day) for day in np.sort(rng.uniform(AT_DAY - log_days, AT_DAY, rng.poisson(log_days * rate)))
        ]
    known = histories(users)
    rates = rates[known.lengths > 0]
    arrays = fit(known, NO_TOPICS, AT_DAY, PLAN, StateSettings(), TrainingSettings())
    made = forecast(known, NO_TOPICS, AT_DAY, PLAN.horizons, arrays, StateSettings())
    for place, (days, found) in enumerate(zip(PLAN.horizons, made, strict=True)):
        came, events = found.came[known.lengths > 0], found.events[known.lengths > 0]
        assert np.isnan(came).all() == (place >= learned)
        if place < learned:
            assert events.sum() == pytest.approx(days * rates.sum(), rel=0.08)
            assert came.mean() == pytest.approx((1 - np.exp(-rates * days)).mean(), abs=0.03)


@pytest.mark.parametrize(("log_days", "learned"), [(28, []), (49, [1.0, 7.0]), (70, [1.0, 7.0, 28.0])])
def test_a_horizon_seen_after_too_few_cuts_keeps_the_rule(log_days, learned):
    users = steady_users(log_days)
    topics = two_tiers(np.arange(AT_DAY - log_days, AT_DAY))
    arrays = fit(users, topics, AT_DAY, PLAN, StateSettings(), TrainingSettings(steps=5))
    assert [arrays.get(f"{tier}/horizons", np.zeros(0)).tolist() for tier in (1, 2)] == [learned, learned]
    at_cut = ff.features(users, topics.memberships[1], topics.populations(1, AT_DAY), AT_DAY, StateSettings())
    rule = rule_shares(at_cut, StateSettings().prior_events).expected
    made = forecast(users, topics, AT_DAY, PLAN.horizons, arrays, StateSettings())
    for horizon, found in zip(PLAN.horizons, made, strict=True):
        by_rule = found.shares[1].expected == pytest.approx(rule, abs=1e-12)
        assert by_rule == (horizon not in learned)
        assert all(np.isnan(one).all() == by_rule for one in found.quantiles)
        assert np.bincount(found.shares[0].users, found.shares[0].expected) == pytest.approx(1.0, abs=0.1)


def test_few_cuts_asked_for_are_enough():
    plan = PLAN._replace(cuts=LEARNED_CUTS - 2)
    users, topics = steady_users(49), two_tiers(np.arange(AT_DAY - 49, AT_DAY))
    arrays = fit(users, topics, AT_DAY, plan, StateSettings(), TrainingSettings(steps=5))
    assert arrays["2/horizons"].tolist() == [1.0, 7.0]


def test_no_more_windows_are_kept_than_most_rows_allows(monkeypatch):
    users, topics, held = steady_users(70, n=60), two_tiers(np.arange(AT_DAY - 70, AT_DAY)), []
    settings = TrainingSettings(steps=2, most_rows=100)

    def noted(windows, training):
        held.append(windows)
        return train(windows, training)

    monkeypatch.setattr(forecast_models, "train", noted)
    arrays = fit(users, topics, AT_DAY, PLAN, StateSettings(), settings)
    assert len(held) == 2 and all(0 < len(one.windows) <= ROWS_KEPT * settings.most_rows for one in held)
    assert arrays["2/horizons"].tolist() == [1.0, 7.0, 28.0]
    again = fit(users, topics, AT_DAY, PLAN, StateSettings(), settings)
    assert all(np.array_equal(array, again[name]) for name, array in arrays.items())
    other = fit(users, topics, AT_DAY, PLAN, StateSettings(), dataclasses.replace(settings, seed=8))
    assert not np.array_equal(held[0].draws, held[-2].draws) and other.keys() == arrays.keys()
