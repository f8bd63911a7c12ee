"""The night's forecast models: what they are fitted on is what a night at each cut would have read."""

import numpy as np
import pytest

from interest_model.interest.forecast_models import Plan, Topics, fit, forecast
from interest_model.interest.forecaster_training import TrainingSettings
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


def test_a_cut_reads_what_a_night_would_have_read():
    whole = histories({"a": [(0, AT_DAY - age) for age in range(600, 0, -1)], "b": [(1, AT_DAY - 2)]})
    known = PLAN.as_of(whole, AT_DAY - 30)
    assert known.lengths.tolist() == [200, 0] and known.days.max() == AT_DAY - 31
    few = PLAN._replace(lookback_days=10.0).as_of(whole, AT_DAY - 30)
    assert few.lengths.tolist() == [10, 0] and PLAN.reach_days == 49
