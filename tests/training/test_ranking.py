import numpy as np
import pytest

from interest_model.training import ranking
from interest_model.training.batches import Sequences
from interest_model.training.ranking import Cases, cases_after, model_lists, ndcg, same_lists
from tests.recommend.worlds import histories
from tests.training.worlds import N_ITEMS, untrained

WORLD = Sequences(
    histories(
        {"a": [(1, 1.0), (2, 2.0), (3, 6.0)], "late": [(1, 7.0)], "early": [(2, 3.0)], "b": [(0, 4.0), (0, 5.0)]}
    ),
    np.arange(7, dtype=np.float32),
)


def test_cases_are_users_on_both_sides_of_the_cut():
    cases = cases_after(WORLD, 4.5, True, 10, 0)
    assert cases.sequences.histories.user_ids.tolist() == ["a", "b"]
    assert cases.sequences.histories.items.tolist() == [1, 2, 0] and cases.sequences.values.tolist() == [0, 1, 5]
    assert list(zip(cases.truth_rows.tolist(), cases.truth_items.tolist(), strict=True)) == [(0, 3), (1, 0)]
    assert len(cases_after(WORLD, 4.5, True, 1, 0).truth_rows) == 1
    assert ranking.before(WORLD, 4.5).histories.lengths.tolist() == [2, 0, 1, 1]


def test_what_is_found_is_positive_and_what_is_known_is_all():
    """User a's last event after the cut is not positive, one of its first neither."""
    positive = np.array([False, True, False, True, True, True, True])
    cases = cases_after(WORLD._replace(positive=positive), 4.5, True, 10, 0)
    assert cases.sequences.histories.user_ids.tolist() == ["b"] and cases.truth_items.tolist() == [0]
    cases = cases_after(WORLD._replace(positive=~positive), 4.5, True, 10, 0)
    assert cases.sequences.histories.items.tolist() == [1, 2] and cases.truth_items.tolist() == [3]
    assert cases.sequences.positive.tolist() == [True, False]


def test_ndcg_by_hand():
    cases = cases_after(WORLD, 4.5, True, 10, 0)
    cases = cases._replace(truth_rows=np.array([0, 0, 1]), truth_items=np.array([3, 9, 0]))
    values, judged = ndcg(np.array([[5, 3, 9], [1, 2, -1]]), cases, N_ITEMS)
    ideal = 1 + 1 / np.log2(3)
    assert judged.tolist() == [0, 1] and values == pytest.approx([(1 / np.log2(3) + 0.5) / ideal, 0.0])


def test_where_people_do_not_come_back_seen_items_are_out_of_lists_and_truth():
    cases = cases_after(WORLD, 4.5, False, 10, 0)
    _, judged = ndcg(np.array([[3], [0]]), cases, N_ITEMS)
    assert judged.tolist() == [0]  # b only took again what it had
    lists = same_lists(np.arange(N_ITEMS, dtype=float), cases, N_ITEMS)
    assert lists[0].tolist() == [*range(11, 2, -1), 0, -1, -1] and lists[1].tolist() == [*range(11, 0, -1), -1]


def test_ties_go_to_the_smaller_position_and_lists_are_those_of_the_scores():
    cases = cases_after(WORLD, 4.5, True, 10, 0)
    assert same_lists(np.zeros(N_ITEMS), cases, 3).tolist() == [[0, 1, 2]] * 2
    lists, scores = ranking.scored_lists(untrained().model, cases, N_ITEMS + 1)
    assert np.sort(lists[0, :-1]).tolist() == list(range(N_ITEMS)) and lists[0, -1] == -1
    assert (np.diff(scores[:, :-1]) <= 0).all()
    assert np.array_equal(model_lists(untrained().model, cases, 4), lists[:, :4])


def test_nobody_to_judge():
    cases = cases_after(WORLD, 100.0, True, 10, 0)
    assert model_lists(untrained().model, cases, 3).shape == (0, 3)
    values, judged = ndcg(np.zeros((0, 3), int), cases, N_ITEMS)
    assert len(values) == len(judged) == 0
    assert isinstance(cases, Cases)
