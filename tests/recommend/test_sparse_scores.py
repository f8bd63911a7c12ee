import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from interest_model.recommend.sparse_scores import lookup, without
from tests.recommend.worlds import histories

SHAPE = 4, 7
entries = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(-5, 5)), max_size=30)
places = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=20)


def sums(triples) -> tuple[sp.csr_matrix, np.ndarray]:
    """Entries of one place added up: as CSR that still holds them apart and in any order, and dense."""
    rows, columns, values = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    dense = np.zeros(SHAPE)
    np.add.at(dense, (rows, columns), values)
    order = np.argsort(rows, kind="stable")
    indptr = np.searchsorted(rows[order], np.arange(SHAPE[0] + 1))
    return sp.csr_matrix((values[order].astype(np.float32), columns[order].astype(np.int32), indptr), SHAPE), dense


@given(entries, places)
def test_a_look_up_finds_what_lies_at_each_place(triples, wanted):
    matrix, dense = sums(triples)
    rows, columns = np.array(wanted, dtype=np.int64).reshape(-1, 2).T
    assert lookup(matrix, rows, columns).tolist() == dense[rows, columns].tolist()


@given(entries, places)
def test_own_items_are_ruled_out_and_nothing_else_unless_nothing_were_left(triples, own):
    matrix, dense = sums(triples)
    stored = {(row, column) for row, column, _ in triples}
    had_all = {row for row, _ in stored if {one for one in stored if one[0] == row} <= set(own)}
    taken = histories({f"u{row}": [(column, 1.0) for one, column in own if one == row] for row in range(4)})
    left = without(matrix, taken)
    found = left.toarray()
    for row, column in zip(*np.nonzero(found), strict=True):
        expected = -np.inf if (row, column) in own and row not in had_all else dense[row, column]
        assert found[row, column] == expected
    assert not np.isneginf(matrix.data).any()


def test_keys_of_a_large_catalogue_do_not_overflow():
    """100,000 users by 100,000 items: more places than an int32 counts."""
    size = 100_000
    matrix = sp.csr_matrix((np.array([2.5]), ([size - 1], [size - 2])), (size, size))
    rows, columns = np.array([size - 1, size - 1], np.int32), np.array([size - 2, size - 1], np.int32)
    assert lookup(matrix, rows, columns).tolist() == pytest.approx([2.5, 0.0])
