import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interest_model.evaluation import metrics

HITS = np.array([[True, False, True], [False, True, False], [False, False, False]])
N_TRUTH = np.array([2, 5, 1])
GAIN = 1 / np.log2(3)  # at rank 2


def test_ndcg_by_hand():
    ideal_two, ideal_three = 1 + GAIN, 1 + GAIN + 0.5
    assert metrics.ndcg(HITS, N_TRUTH, 3) == pytest.approx([1.5 / ideal_two, GAIN / ideal_three, 0])


def test_ndcg_at_one_looks_at_the_first_rank_only():
    assert metrics.ndcg(HITS, N_TRUTH, 1).tolist() == [1, 0, 0]


def test_recall_hit_rate_and_mrr_by_hand():
    assert metrics.recall(HITS, N_TRUTH, 3).tolist() == [1, 0.2, 0]
    assert metrics.hit_rate(HITS, N_TRUTH, 1).tolist() == [1, 0, 0]
    assert metrics.mrr(HITS, N_TRUTH, 3).tolist() == [1, 0.5, 0]
    assert metrics.mrr(HITS, N_TRUTH, 1).tolist() == [1, 0, 0]


def test_a_list_shorter_than_the_cutoff_counts_what_it_has():
    assert metrics.ndcg(HITS[:, :1], N_TRUTH, 10)[0] == pytest.approx(1 / (1 + GAIN))


def test_inverse_propensity_by_hand():
    # users 0, 3 and 8, one added to each: 1, 4, 9 to the power -1/2; no item and an unknown item: as without users
    found = metrics.inverse_propensity(np.array([[0, 1, 2], [2, -1, 7]]), np.array([0.0, 3.0, 8.0]))
    assert found == pytest.approx(np.array([[1, 1 / 2, 1 / 3], [1 / 3, 1, 1]]))


def test_ndcg_debiased_by_hand():
    # took items of weights 1 and 1/3; the list has the popular one at rank 1 and, for the second user, the rare one
    truth = np.array([[1, 1 / 3], [1, 1 / 3]])
    hits = np.array([[1 / 3, 0, 0], [1, 0, 1 / 3]])
    ideal = 1 + GAIN / 3
    assert metrics.ndcg_debiased(hits, truth, 3) == pytest.approx([(1 / 3) / ideal, (1 + 0.5 / 3) / ideal])
    assert metrics.ndcg_debiased(hits, truth, 1) == pytest.approx([1 / 3, 1])
    assert metrics.ndcg(hits > 0, np.array([2, 2]), 1).tolist() == [1, 1]  # that one sees no difference


def test_ndcg_debiased_is_ndcg_where_all_items_have_as_many_users_or_one_is_to_be_found():
    even = metrics.ndcg_debiased(HITS * 0.2, np.array([[0.2] * 2 + [0] * 3, [0.2] * 5, [0.2] + [0] * 4]), 3)
    assert even == pytest.approx(metrics.ndcg(HITS, N_TRUTH, 3))
    lone = np.array([[False, True, False]])
    assert metrics.ndcg_debiased(lone * 0.05, np.array([[0.05]]), 3) == pytest.approx(metrics.ndcg(lone, [1], 3))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8), st.permutations(range(10)), st.sampled_from([1, 3, 10]))
def test_ndcg_debiased_is_one_for_the_rarest_first_and_never_more(users, order, k):
    weights = metrics.inverse_propensity(np.arange(len(users)), np.array(users, dtype=float))
    truth = -np.sort(-weights)[None]
    placed = np.append(weights, np.zeros(10 - len(users)))[list(order)][None]
    assert 0 <= metrics.ndcg_debiased(placed, truth, k)[0] <= 1 + 1e-12
    assert metrics.ndcg_debiased(truth, truth, k)[0] == pytest.approx(1.0)


def test_novelty_by_hand():
    # users 6, 1 and 0, one added to each: shares 0.7, 0.2, 0.1
    lists = np.array([[0, 2], [1, -1], [-1, -1]])
    found = metrics.novelty(lists, np.array([6.0, 1.0, 0.0]), 2)
    assert found[:2] == pytest.approx([-(np.log2(0.7) + np.log2(0.1)) / 2, -np.log2(0.2)])
    assert np.isnan(found[2])


def test_intra_list_distance_by_hand():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.0, 0.0]])
    lists = np.array([[0, 1, 2], [0, 0, 3], [1, 3, -1], [-1, -1, -1]])
    found = metrics.intra_list_distance(lists, vectors, 3)
    assert found[:2] == pytest.approx([1 - (0 + 0.6 + 0.8) / 3, 0.0], abs=1e-12)
    assert np.isnan(found[2:]).all()


def test_coverage_is_a_share_of_the_catalogue():
    assert metrics.coverage(np.array([True, False, False, True])) == 0.5
    assert metrics.coverage(np.zeros(0, dtype=bool)) == 0.0


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.integers(0, 20), st.sampled_from([1, 5, 10]))
def test_accuracy_lies_between_zero_and_one_and_is_one_for_a_perfect_list(row, more, k):
    hits = np.array([row])
    n_truth = np.array([max(1, sum(row) + more)])
    for name in metrics.ACCURACY:
        assert 0 <= metrics.accuracy(name, hits, n_truth, k)[0] <= 1 + 1e-12
    assert metrics.ndcg(np.ones((1, 10), bool), np.array([10 + more]), k)[0] == pytest.approx(1.0)


@given(st.permutations([True] * 3 + [False] * 7))
def test_moving_a_hit_up_never_lowers_ndcg(row):
    hits = np.array([row])
    best = metrics.ndcg(np.sort(hits)[:, ::-1], np.array([3]), 10)[0]
    assert metrics.ndcg(hits, np.array([3]), 10)[0] <= best + 1e-12
