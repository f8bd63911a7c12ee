import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from interest_model.interest import moves
from tests.interest.words import hits


def brute_ratio(word: str) -> float:
    def fit(part):
        share = part.mean() if len(part) else 0.0
        return sum(np.log(share if hit else 1 - share) for hit in part)

    values = np.array(list(word)) == "1"
    return max((2 * (fit(values[:k]) + fit(values[k:]) - fit(values)) for k in range(1, len(values))), default=0.0)


@given(st.lists(st.text("01", min_size=1, max_size=12).filter(lambda word: "1" in word), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_the_scan_beside_hits_finds_the_best_of_all_cuts(words):
    users = hits(*words)
    ratio, _ = moves.scan(users)
    for number, word in enumerate(words):
        own = ratio[2 * users.indptr[number] : 2 * users.indptr[number + 1]]
        assert own.max() == pytest.approx(max(brute_ratio(word), 0.0), abs=1e-9)


def test_chance_of_the_maximum_by_hand():
    # b = 3, n = 21: pdf(3) = 0.0044318, (3 - 1/3) * 2 ln 20 = 15.9773, 4/3: 0.0767
    found = moves.chance_of_maximum(np.array([3.0, 0.0]), np.array([21, 21]))
    assert found == pytest.approx([0.0767, 0.9679], abs=1e-4)


@pytest.mark.parametrize("word", ["00010110100111011111", "00000000000011111111", "11111011010000100000"])
@pytest.mark.parametrize("steepest", [0.02, 0.5])
def test_slow_moves_against_a_general_optimiser(word, steepest):
    users = hits(word)
    days = users.visit_days - users.visit_days.mean()
    values = np.array(list(word)) == "1"

    def loss(level, slope):
        return -(values * (level + slope * days) - np.logaddexp(0, level + slope * days)).sum()

    best = minimize(lambda x: loss(*x), [0.0, 0.0], bounds=[(-20, 20), (-steepest, steepest)], method="L-BFGS-B").fun
    share = values.mean()
    expected = 2 * (loss(np.log(share / (1 - share)), 0.0) - best)
    assert moves.slow_ratio(users, np.array([0]), steepest) == pytest.approx([expected], abs=1e-3)
