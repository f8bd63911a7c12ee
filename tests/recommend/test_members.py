import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from interest_model.recommend import members
from interest_model.recommend.histories import take
from tests.recommend.worlds import checkerboard, histories


def dense(matrix):
    return matrix.toarray().tolist()


def test_transitions_by_hand():
    # a: 0, 1, 2 on three days; steps: 0->1 1, 1->2 1, 0->2 0.75
    sums = members.transition_sums(histories({"a": [(0, 1.0), (1, 2.0), (2, 3.0)]}), 3, reach=5)
    assert dense(sums) == [[0, 1, 0.75], [0, 0, 1], [0, 0, 0]]


def test_transitions_stop_at_the_reach():
    sums = members.transition_sums(histories({"a": [(0, 1.0), (1, 2.0), (2, 3.0)]}), 3, reach=1)
    assert dense(sums) == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_tied_events_follow_each_other_half_each_way_in_any_order():
    one = members.transition_sums(histories({"a": [(0, 1.0), (1, 1.0), (2, 2.0)]}), 3, reach=5)
    other = members.transition_sums(histories({"a": [(1, 1.0), (0, 1.0), (2, 2.0)]}), 3, reach=5)
    assert dense(one) == dense(other) == [[0, 0.5, 1], [0.5, 0, 1], [0, 0, 0]]


def test_transitions_never_cross_users():
    sums = members.transition_sums(histories({"a": [(0, 1.0)], "b": [(1, 2.0)]}), 2, reach=5)
    assert sums.nnz == 0


def test_gram_counts_users_not_events():
    sums = members.gram_sums(histories({"a": [(0, 1.0), (0, 2.0), (1, 3.0)], "b": [(0, 1.0)]}), 3, np.array([0, 1]))
    assert dense(sums) == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_gram_pairs_are_of_head_items_but_every_item_is_counted():
    sums = members.gram_sums(histories({"a": [(0, 1.0), (1, 2.0), (2, 3.0)]}), 3, np.array([0, 2]))
    assert dense(sums) == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_ease_is_the_textbook_closed_form():
    rng = np.random.default_rng(0)
    consumed = (rng.random((30, 6)) < 0.4).astype(float)
    gram = consumed.T @ consumed
    inverse = np.linalg.inv(gram + 5.0 * np.eye(6))
    expected = np.eye(6) - inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(expected, 0.0)
    assert members.ease_weights(gram, 5.0) == pytest.approx(expected, abs=1e-5)


def test_ease_minimises_its_objective():
    """Each column is ridge regression of one item on the others: an independent way to the same numbers."""
    rng = np.random.default_rng(1)
    consumed = (rng.random((40, 5)) < 0.5).astype(float)
    weights = members.ease_weights(consumed.T @ consumed, 3.0)
    for item in range(5):
        others = [column for column in range(5) if column != item]
        x = consumed[:, others]
        ridge = np.linalg.solve(x.T @ x + 3.0 * np.eye(4), x.T @ consumed[:, item])
        assert weights[others, item] == pytest.approx(ridge, abs=1e-5)


def test_ease_refuses_no_regularisation():
    with pytest.raises(ValueError, match="l2"):
        members.ease_weights(np.eye(2), 0.0)


def test_rows_of_any_split_give_the_same_sums_bit_by_bit():
    world = checkerboard()
    head = np.arange(0, 40, dtype=np.int32)
    whole = members.transition_sums(world, 40, 5)
    parts = [take(world, np.arange(start, start + 20)) for start in (0, 20, 40)]
    rows = [batch for part in parts for batch in members.to_rows("transitions", members.transition_sums(part, 40, 5))]
    rows += [batch for part in parts for batch in members.to_rows("gram", members.gram_sums(part, 40, head), most=30)]
    assert len(rows) > 6 and sum(map(len, rows)) == sum(len(set(batch["item"].to_pylist())) for batch in rows)
    for order in (rows, rows[::-1]):
        merged = pa.Table.from_batches(members.merge_rows(pa.Table.from_batches(order), 40))
        assert np.array_equal(members.from_rows(merged, "transitions", 40).toarray(), whole.toarray())
        gram = members.from_rows(merged, "gram", 40)
        assert np.array_equal(gram.toarray(), members.gram_sums(world, 40, head).toarray())


def test_sums_of_best_sellers_are_the_same_in_any_order_of_users():
    """Three items, 600 users of 400 events: pairs add up to more than float32 counts in steps of 2**-8."""
    rng, users = np.random.default_rng(5), {}
    for user in range(600):
        users[f"u{user:03d}"] = [(int(item), float(day)) for day, item in enumerate(rng.integers(0, 3, 400))]
    world = histories(users)
    whole = members.transition_sums(world, 3, 5)
    assert whole.max() > 2**16
    mixed = members.transition_sums(take(world, rng.permutation(600)), 3, 5)
    assert np.array_equal(whole.toarray(), mixed.toarray())


def test_rows_of_an_absent_kind_are_zero():
    rows = pa.Table.from_batches(members.to_rows("gram", sp.csr_matrix((3, 3))))
    assert members.from_rows(rows, "transitions", 3).nnz == 0


def test_transition_weights_are_shares_with_shrinkage():
    weights = members.transition_weights(
        sp.csr_matrix([[0, 3.0, 1.0], [0, 0, 0], [0, 0, 0]]), np.array([3, 0, 0]), 1, 1.0
    )
    assert dense(weights) == [[0, 0.75, 0], [0, 0, 0], [0, 0, 0]]


@given(st.lists(st.lists(st.integers(-4, 4), min_size=5, max_size=5), min_size=1, max_size=5), st.integers(1, 5))
def test_strongest_keeps_the_largest_and_the_first_of_a_tie(rows, width):
    matrix = np.array(rows, dtype=float)
    kept = members.strongest(sp.csr_matrix(matrix), width).toarray()
    for row, found in zip(matrix, kept, strict=True):
        order = sorted((position for position in range(5) if row[position]), key=lambda k: (-abs(row[k]), k))[:width]
        expected = np.zeros(5)
        expected[order] = row[order]
        assert found.tolist() == expected.tolist()


def test_ease_neighbours_leave_items_outside_the_head_alone():
    world = checkerboard()
    head = np.arange(0, 10, dtype=np.int32)
    block = members.head_gram(members.gram_sums(world, 40, head).astype(float), head)
    weights = members.ease_neighbours(block, head, 10.0, (40, 3))
    rows, columns = weights.nonzero()
    assert set(rows) | set(columns) <= set(range(10))
    assert np.diff(weights.indptr).max() <= 3


def test_factors_are_the_leading_eigenvectors_of_the_cosines():
    world = checkerboard(n_users=40, n_items=24)
    taken = np.zeros((40, 24))
    taken[world.rows, world.items] = 1.0
    cosines = taken.T @ taken / np.sqrt(np.outer(taken.sum(axis=0), taken.sum(axis=0)))
    found = members.item_factors(taken.T @ taken, 2, seed=1)
    values, axes = np.linalg.eigh(cosines)
    assert values[-2] > values[-3] + 0.3  # two halves: two dimensions that stand out
    assert found @ found.T == pytest.approx(axes[:, -2:] @ axes[:, -2:].T, abs=1e-4)


def test_factors_of_few_items_and_of_none():
    assert members.item_factors(np.eye(12), 64, seed=1).shape == (12, 3)
    assert members.item_factors(np.eye(3), 0, seed=1).shape == (3, 0)
    assert members.item_factors(np.zeros((0, 0)), 64, seed=1).shape == (0, 0)
