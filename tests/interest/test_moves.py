import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from interest_model.interest import moves
from tests.interest.words import hits


def test_rank_chance_by_hand():
    # hits at places 4, 7, 8 of 0 to 8, together 19 against 12 on average: z = 6.5 / sqrt(15) = 1.6783; 1 - Phi(z) =
    # 0.04664, flatness 72 / 3600, z^3 - 3 z = -0.3076, phi(z) = 0.09756: 0.04724. Exactly: 4 of 84 orders, 0.0476
    late, chance = moves.lateness(hits("000010011"))
    assert (late, chance) == (pytest.approx([7.0]), pytest.approx([0.04724], abs=1e-5))
    # places 6, 7, 8: the sum says 0.0112, but one order of 84 is 0.0119; the same to the other side
    late, chance = moves.lateness(hits("000000111", "111000000"))
    assert (late, chance) == (pytest.approx([9.0, -9.0]), pytest.approx([1 / 84, 1 / 84]))
    assert moves.lateness(hits("0000", "111", "1"))[1].tolist() == [1.0, 1.0, 1.0]


def orders_by_sum(n: int, count: int) -> np.ndarray:
    """Chance of each sum of `count` places of 0 to n - 1, all choices alike."""
    ways = np.zeros((count + 1, n * (n - 1) // 2 + 1))
    ways[0, 0] = 1
    for place in range(n):
        for chosen in range(min(count, place + 1), 0, -1):
            ways[chosen, place:] += ways[chosen - 1, : ways.shape[1] - place]
    return ways[count] / ways[count].sum()


@pytest.mark.parametrize("level", [0.021, 0.0125, 0.005])
def test_the_rank_test_holds_its_level_exactly(level):
    """Every number of hits in 2 to 24 visits, every order: what is found has no more than the level's chance."""
    for n in range(2, 25):
        for count in range(1, n):
            chances = orders_by_sum(n, count)
            late = np.arange(len(chances)) - count * (n - 1) / 2
            said = moves.rank_chance(late, np.full(len(late), count), np.full(len(late), n - count))
            assert chances[(said <= level) & (late > 0)].sum() <= level


def test_silence_ratio_by_hand():
    # one share 4 / 7: 4 ln(4/7) + 3 ln(3/7) = -4.7804; silence at the end: nothing left to explain, or 3 of 4: -2.2493
    ratio = moves.silence_ratio(hits("1111000", "1011000"), np.array([0, 1]), np.array([True, True]))
    assert ratio == pytest.approx([2 * 4.7804, 2 * (4.7804 - 2.2493)], abs=1e-3)
    # the longest before a hit is that of four visits, whether a hit lies before it or not
    ratio = moves.silence_ratio(hits("0101000011", "0000110101"), np.array([0, 1]), np.array([False, False]))
    one, rest = 4 * np.log(0.4) + 6 * np.log(0.6), 4 * np.log(4 / 6) + 2 * np.log(2 / 6)
    assert ratio == pytest.approx([2 * (rest - one)] * 2)


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
