"""Shares, moves and forecasts of topics over all users: by hand, in planted worlds, at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from interest_model.interest import population
from interest_model.interest.population import MOVES, PopulationSettings

SETTINGS = PopulationSettings()
# two wide topics of two and one leaves
PARENTS = [np.array([-1, -1]), np.array([0, 0, 1])]


def flat(topics: int) -> list[np.ndarray]:
    return [np.full(topics, -1)]


def events(log_odds: np.ndarray, per_day: int, rng: np.random.Generator, spread: float = np.inf) -> np.ndarray:
    """Weights (days, k) of per_day events a day; a finite `spread` makes a day's shares Dirichlet around the truth."""
    shares = softmax(log_odds, axis=1)
    if np.isfinite(spread):
        shares = np.array([rng.dirichlet(spread * one) for one in shares])
    return np.array([rng.multinomial(per_day, one) for one in shares], dtype=np.float64)


def walks(days: int, topics: int, rng: np.random.Generator) -> np.ndarray:
    """(days, k) log-odds that walk and return to their level."""
    level, moved = np.linspace(-2.0, 2.0, topics), np.zeros((days, topics))
    for day in range(1, days):
        moved[day] = 0.98 * moved[day - 1] + 0.05 * rng.standard_normal(topics)
    return level + moved


def test_change_by_hand_and_unknown_for_a_topic_without_a_past():
    weights = np.array([[3.0, 1.0, 0.0]] * 28 + [[2.0, 1.0, 1.0]] * 28)
    found = population.moves(weights, SETTINGS)
    assert found.share == pytest.approx([0.5, 0.25, 0.25])
    assert found.share_before == pytest.approx([0.75, 0.25, 0.0])
    assert found.change[:2] == pytest.approx([2 / 3, 1.0])
    assert np.isnan(found.change[2])
    assert [MOVES[one] for one in found.move] == ["falling", "stable", "rising"]


@pytest.mark.parametrize(("days", "known"), [(30, False), (55, False), (56, True)])
def test_a_share_before_is_of_as_many_days_or_unknown(days, known):
    weights = np.random.default_rng(13).multinomial(20, [0.1, 0.3, 0.6], size=days).astype(float)
    found = population.moves(weights, SETTINGS)
    assert np.isfinite(found.share).all()
    assert np.isfinite(found.share_before).all() == np.isfinite(found.change).all() == known


def test_trend_and_move_find_what_was_planted():
    days = np.arange(56)
    log_odds = np.tile([-1.0, -1.0, -1.0, 1.0], (56, 1))
    log_odds[:, 0] += 0.02 * days
    log_odds[:, 1] -= 0.02 * days
    found = population.moves(events(log_odds, 400, np.random.default_rng(1)), SETTINGS)
    assert [MOVES[one] for one in found.move[:3]] == ["rising", "falling", "stable"]
    # the log-odds against all others move less than the planted term where the topic is itself a part of the sum
    odds = softmax(log_odds, axis=1)
    true = np.log(odds[-1] / (1 - odds[-1])) - np.log(odds[0] / (1 - odds[0]))
    assert (np.abs(found.trend_per_day - true / 55) < 4 * found.trend_se).all()
    assert (found.trend_se < 0.004).all()


@pytest.mark.parametrize("spread", [np.inf, 30.0])
def test_constant_topics_are_called_moving_at_the_level(spread):
    rng, called = np.random.default_rng(2), []
    for _ in range(25):
        weights = events(np.tile(np.linspace(-1.5, 1.5, 10), (56, 1)), 150, rng, spread)
        called.append(population.moves(weights, SETTINGS).move != 1)
    assert 0.01 < np.mean(called) < 0.09


@pytest.mark.parametrize("unit", [0.01, 0.2, 5.0])
@pytest.mark.parametrize("purchases", [0.0, 0.1])
def test_power_and_level_do_not_depend_on_the_unit_of_weight(unit, purchases):
    """Two topics of 100 events a day, one of which rises; some events are purchases and weigh five times a view."""
    rng, slope = np.random.default_rng(11), np.linspace(-0.4, 0.4, 56)
    still, called = np.full((56, 2), [-2.0, 0.0]), []
    for log_odds in (still, still + np.stack([slope, 0 * slope], axis=1)):
        for _ in range(40):
            bought = events(log_odds, 100, rng)
            dear = rng.binomial(bought.astype(int), purchases)
            weights, squares = unit * (bought + 4 * dear), unit**2 * (bought + 24 * dear).sum()
            called.append(population.moves(population.effective_events(weights, squares), SETTINGS).move[0])
    assert np.mean(np.array(called[:40]) != 1) < 0.15
    assert np.mean(np.array(called[40:]) == 2) > 0.85
    one = population.effective_events(np.array([[2.0, 1.0]]) * unit, 3 * unit**2)
    assert one == pytest.approx(np.array([[2.0, 1.0]]))


def test_dispersion_widens_the_error_of_the_trend():
    log_odds = np.tile([0.0, 0.5, 1.0], (56, 1))
    calm = population.moves(events(log_odds, 300, np.random.default_rng(3)), SETTINGS)
    rough = population.moves(events(log_odds, 300, np.random.default_rng(3), spread=10.0), SETTINGS)
    # variance of a day's share: (300 + 10) / (10 + 1) = 28 times binomial
    assert (rough.trend_se / calm.trend_se).mean() == pytest.approx(np.sqrt(28), rel=0.25)


def test_log_shares_by_hand():
    weights = np.array([[3.0, 1.0], [0.0, 4.0]])
    found = population.log_shares(weights, 2, PopulationSettings(half_lives=(1.0,), credibility_events=2.0))
    everything = np.array([3.5, 5.5]) / 9
    # decayed by a day: (1.5, 4.5), of 6
    moved = everything * (np.array([1.5, 4.5]) + 2) / (6 * everything + 2)
    assert np.exp(found) == pytest.approx(np.array([everything, moved / moved.sum()]))


def test_the_pool_finds_the_member_that_is_right():
    rng = np.random.default_rng(4)
    known = np.log(rng.dirichlet(np.full(6, 5.0), size=(30, 2)))
    found = population.pool_weights(known, np.exp(known[:, 1]), 1e-6)
    assert found == pytest.approx([0.0, 1.0], abs=0.01)
    assert population.pool_weights(known[:0], np.zeros((0, 6)), 0.1).tolist() == [0.5, 0.5]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 150), st.sampled_from([7, 28]))
def test_shares_sum_to_one_and_children_to_parents(seed, days, horizon):
    rng = np.random.default_rng(seed)
    weights = rng.poisson(rng.gamma(0.5, 3.0, 3), (days, 3)) * (rng.random((days, 1)) < 0.8)
    found = population.forecast(weights, PARENTS, horizon)
    wide, narrow = found.expected
    assert narrow.sum() == pytest.approx(1.0)
    assert wide == pytest.approx(np.array([narrow[0] + narrow[1], narrow[2]]))
    for low, expected, high in zip(found.low, found.expected, found.high, strict=True):
        assert (np.isnan(low) | ((low >= 0) & (low <= expected) & (expected <= high) & (high <= 1))).all()


@pytest.mark.parametrize("horizon", [7, 28])
def test_intervals_hold_the_truth_in_four_of_five_cases(horizon):
    rng, inside = np.random.default_rng(5), []
    for _ in range(12):
        weights = events(walks(364 + horizon, 12, rng), 60, rng)
        found = population.forecast(weights[:364], flat(12), horizon)
        truth = weights[364:].sum(axis=0) / weights[364:].sum()
        inside.append((truth >= found.low[0]) & (truth <= found.high[0]))
    assert 0.7 < np.mean(inside) < 0.9


def test_forecasts_beat_the_last_window_and_the_long_mean_in_a_world_of_walks():
    rng, errors = np.random.default_rng(6), []
    for _ in range(12):
        weights = events(walks(371, 12, rng), 60, rng)
        past, truth = weights[:364], weights[364:].sum(axis=0) / weights[364:].sum()
        ours = population.forecast(past, flat(12), 7).expected[0]
        last, long = past[-7:].sum(axis=0), past.sum(axis=0)
        errors.append([np.abs(truth - one / one.sum()).mean() for one in (ours, last, long)])
    ours, last, long = np.mean(errors, axis=0)
    assert ours < 0.95 * min(last, long)


def test_what_happens_after_the_cut_changes_nothing():
    rng = np.random.default_rng(7)
    weights = events(walks(200, 3, rng), 40, rng)
    other = weights.copy()
    other[150:] = rng.poisson(50, other[150:].shape)
    assert np.array_equal(population.log_shares(weights, 150, SETTINGS), population.log_shares(other, 150, SETTINGS))
    for model in population.MODELS:
        a = population.forecast(weights[:150], PARENTS, 7, model)
        b = population.forecast(other[:150], PARENTS, 7, model)
        assert all(np.array_equal(x, y) for one, two in zip(a, b, strict=True) for x, y in zip(one, two, strict=True))


def test_arima_of_a_wide_topic_is_its_own_whatever_its_leaves():
    """40 narrow topics, most too rare for a fit, in three wide ones of which the first rises."""
    days, leaves = 210, np.arange(40) % 3
    parents = [np.full(3, -1), leaves]
    log_odds = np.linspace(0.0, 1.5, days)[:, None] * (leaves == 0)
    weights = events(log_odds, 30, np.random.default_rng(12))
    found = population.forecast(weights, parents, 28, "arima")
    weekly = population.roll_up(weights.reshape(30, 7, -1).sum(axis=1), parents)[0]
    for topic, series in enumerate((weekly / weekly.sum(axis=1, keepdims=True)).T):
        mean, width = population._arima_of(series, [4])[:, 0]
        ends = found.low[0][topic], found.expected[0][topic], found.high[0][topic]
        assert ends == pytest.approx((max(mean - width, 0.0), mean, min(mean + width, 1.0)))
    assert found.own[0].all() and not found.own[1].all()


def test_arima_follows_a_drift_and_keeps_rare_topics_at_the_pool():
    log_odds = np.tile([0.0, 0.0, 0.0, -7.0], (280, 1))
    log_odds[:, 0] += np.linspace(-1.0, 1.0, 280)
    weights = events(log_odds, 300, np.random.default_rng(8))
    found, pooled = (population.forecast(weights, flat(4), 28, model) for model in ("arima", "pooled"))
    expected = found.expected[0]
    assert expected[0] > weights[-28:, 0].sum() / weights[-28:].sum()
    assert expected[3] == pooled.expected[0][3] and found.own[0].tolist() == [True, True, True, False]
    assert ((found.low[0] <= expected) & (expected <= found.high[0])).all()


@pytest.mark.parametrize(
    "variances, of_the_mean",
    [([4.0] * 4, 4.0 / 4), ([1.0, 2.0, 3.0, 4.0], (1 + 4 + 9 + 16) / 16)],
    ids=["independent weeks", "random walk"],
)
def test_the_arima_interval_of_a_mean_by_hand(monkeypatch, variances, of_the_mean):
    class Fitted:
        def __init__(self, **_):
            pass

        def forecast(self, y, h, level):
            half = 1.2815515655446004 * np.sqrt(variances[:h])
            return {"mean": np.full(h, y[-1]), "lo-80": y[-1] - half, "hi-80": y[-1] + half}

    monkeypatch.setattr("statsforecast.models.AutoARIMA", Fitted)
    mean, width = population._arima_of(np.array([3.0, 1.0, 2.0]), [2, 4])[:, 1]
    # the library sees the series over its mean, 2
    assert mean == pytest.approx(2.0)
    assert width == pytest.approx(2 * 1.28155 * np.sqrt(of_the_mean), rel=1e-5)


def test_the_arima_interval_of_constant_shares_is_binomial():
    weights = events(np.zeros((350, 2)), 500, np.random.default_rng(9))
    week = population.forecast(weights, flat(2), 7, "arima")
    # 1.2816 * 2 * sqrt(0.25 / 3500)
    assert week.high[0] - week.low[0] == pytest.approx(0.0217, rel=0.2)


@pytest.mark.parametrize("model", population.MODELS)
@pytest.mark.parametrize("days", [1, 6, 60, 200])
def test_without_events_shares_are_equal_and_errors_unknown(days, model):
    weights = np.zeros((days, 3))
    found = population.forecast(weights, PARENTS, 7, model)
    assert found.expected[1] == pytest.approx(1 / 3)
    assert np.isnan(found.low[1]).all() and np.isnan(found.high[0]).all()
    still = population.moves(weights, SETTINGS)
    assert (still.move == 1).all() and np.isnan(still.share).all() and (still.trend_per_day == 0).all()


def test_one_day_and_one_topic():
    day = np.array([[8.0, 0.0, 2.0]])
    found = population.forecast(day, PARENTS, 28)
    assert found.expected[1].argmax() == 0 and np.isnan(found.low[0]).all()
    assert population.moves(day, SETTINGS).move.tolist() == [1, 1, 1]
    alone = np.random.default_rng(10).poisson(5.0, (120, 1)).astype(float)
    for model in population.MODELS:
        one = population.forecast(alone, flat(1), 7, model)
        assert (one.expected[0], one.low[0], one.high[0]) == (1.0, pytest.approx(1.0), pytest.approx(1.0))
    assert population.moves(alone, SETTINGS).move.tolist() == [1]


def test_what_cannot_be_forecast_is_refused():
    weights = np.ones((30, 3))
    with pytest.raises(ValueError, match="horizon 10"):
        population.forecast(weights, PARENTS, 10)
    with pytest.raises(ValueError, match="model other"):
        population.forecast(weights, PARENTS, 7, "other")
    with pytest.raises(ValueError, match="the tree has 3 leaves"):
        population.forecast(np.ones((30, 2)), PARENTS, 7)
