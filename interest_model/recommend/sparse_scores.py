"""Scores of users for items as sparse matrices: look-ups, the best of each row, own items left out. No Spark."""

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.histories import Histories

_DECIMALS = 7  # scores closer than this are ties: batches of other sizes may differ in the last float digits


def without(scores: sp.csr_matrix, histories: Histories) -> sp.csr_matrix:
    """The scores with every item of the user's own history at minus infinity."""
    result = scores.copy()
    result.data[_find(result, _keys(histories.rows, histories.items, result.shape[1]))[0]] = -np.inf
    return result


def _keys(rows: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    return rows.astype(np.int64) * width + columns


def _find(matrix: sp.csr_matrix, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the wanted keys (row * width + column) stand in the matrix's data, and which of them are there at all."""
    matrix.sort_indices()
    keys = _keys(np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices, matrix.shape[1])
    place = np.searchsorted(keys, wanted)
    there = place < len(keys)
    there[there] = keys[place[there]] == wanted[there]
    return place[there], there


def lookup(matrix: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k,) values of a CSR matrix at (rows, columns); zero where it has no entry."""
    values = np.zeros(len(rows))
    place, there = _find(matrix, _keys(rows, columns, matrix.shape[1]))
    values[there] = matrix.data[place]
    return values


def added(matrix: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> sp.csr_matrix:
    """The matrix with values (k,) added at distinct (rows, columns), where it has entries; others are passed over."""
    result = matrix.copy()
    place, there = _find(result, _keys(rows, columns, result.shape[1]))
    result.data[place] += values[there]
    return result


def top(scores: sp.csr_matrix, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The `length` best entries of each row: rows, ranks from 1, columns, scores. Ties go to the smaller column.

    Entries of minus infinity are left out, so a row may give fewer.
    """
    counts = np.diff(scores.indptr)
    rounded = np.round(scores.data.astype(np.float64), _DECIMALS)
    rows = np.repeat(np.arange(scores.shape[0]), counts)
    if len(counts) and counts.max() > length:
        padded = np.full((len(counts), counts.max()), -np.inf)
        padded[rows, np.arange(len(rows)) - scores.indptr[:-1][rows]] = rounded
        bar = np.partition(padded, counts.max() - length, axis=1)[:, counts.max() - length]
    else:
        bar = np.full(len(counts), -np.inf)
    kept = np.flatnonzero((rounded >= bar[rows]) & (rounded > -np.inf))
    order = kept[np.lexsort((scores.indices[kept], -rounded[kept], rows[kept]))]
    starts = np.searchsorted(rows[order], np.arange(scores.shape[0]))
    ranks = np.arange(len(order)) - starts[rows[order]] + 1
    order, ranks = order[ranks <= length], ranks[ranks <= length]
    return rows[order], ranks, scores.indices[order], rounded[order]


def popular_list(scores: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Catalogue positions and scores of the `length` items with the largest scores (n,) above zero, ties to the
    smaller."""
    order = np.argsort(-scores, kind="stable")[:length]
    order = order[scores[order] > 0]
    return order, scores[order]
