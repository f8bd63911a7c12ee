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
