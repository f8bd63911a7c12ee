import numpy as np
import pytest

from interest_model.evaluation import bootstrap

USERS = np.array([f"user{number}" for number in range(400)], dtype=object)


def test_weights_are_poisson_with_mean_one():
    weights = bootstrap.weights(USERS, 500, seed=1)
    assert weights.mean() == pytest.approx(1.0, abs=0.01)
    assert weights.var() == pytest.approx(1.0, abs=0.02)
    assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.005)


def test_users_and_replicates_are_independent():
    weights = bootstrap.weights(USERS, 500, seed=1)
    between_replicates = np.corrcoef(weights[:, :50].T)[np.triu_indices(50, 1)]
    between_users = np.corrcoef(weights[:50])[np.triu_indices(50, 1)]
    assert np.abs(between_replicates).mean() < 0.06 and np.abs(between_users).mean() < 0.05


def test_a_user_has_the_same_weights_wherever_they_stand():
    whole = bootstrap.weights(USERS, 20, seed=1)
    assert np.array_equal(bootstrap.weights(USERS[[7, 3]], 20, seed=1), whole[[7, 3]])
    assert np.array_equal(bootstrap.weights(USERS, 10, seed=1), whole[:, :10])
    assert not np.array_equal(bootstrap.weights(USERS, 20, seed=2), whole)


def test_interval_agrees_with_plain_resampling():
    rng = np.random.default_rng(0)
    values = rng.beta(0.3, 1.5, len(USERS))
    weights = bootstrap.weights(USERS, 2000, seed=3)
    low, high = bootstrap.interval(values @ weights, weights.sum(axis=0))
    plain = values[rng.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    expected = np.quantile(plain, [0.025, 0.975])
    assert [low, high] == pytest.approx(expected, abs=0.15 * (expected[1] - expected[0]))


def test_paired_interval_agrees_with_plain_resampling_of_differences():
    rng = np.random.default_rng(1)
    first = rng.beta(0.3, 1.5, len(USERS))
    second = first - 0.02 + 0.05 * rng.standard_normal(len(USERS))
    weights = bootstrap.weights(USERS, 2000, seed=3)
    counts = weights.sum(axis=0)
    low, high = bootstrap.paired_interval((first @ weights, counts), (second @ weights, counts))
    plain = (first - second)[rng.integers(0, len(USERS), (2000, len(USERS)))].mean(axis=1)
    expected = np.quantile(plain, [0.025, 0.975])
    assert [low, high] == pytest.approx(expected, abs=0.15 * (expected[1] - expected[0]))
    assert low > 0 > bootstrap.interval(first @ weights, counts)[0] - bootstrap.interval(second @ weights, counts)[1]


def test_no_user_gives_no_interval():
    assert all(np.isnan(bootstrap.interval(np.zeros(5), np.zeros(5))))
