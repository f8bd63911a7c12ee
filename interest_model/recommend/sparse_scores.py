"""Scores of users for items as sparse matrices: look-ups, the best of each row, own items left out. No Spark."""

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.histories import Histories

_DECIMALS = 7  # scores closer than this are ties: batches of other sizes may differ in the last float digits


def without(scores: sp.csr_matrix, histories: Histories) -> sp.csr_matrix:
    """The scores with every item of the user's own history at minus infinity; of who has had all of them, as they are:
    a list of what was seen is better than none."""
    result = scores.copy()
    place, there = _places(result, histories.rows, histories.items)
    whole = result.data.copy()
    result.data[place[there]] = -np.inf
    left = np.concatenate([[0], np.cumsum(np.isfinite(result.data))])[result.indptr]
    for user in np.flatnonzero((np.diff(left) == 0) & (np.diff(result.indptr) > 0)):
        own = slice(result.indptr[user], result.indptr[user + 1])
        result.data[own] = whole[own]
    return result


def lookup(matrix: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k,) float64 values of a CSR matrix at (rows, columns); zero where it has no entry."""
    found, (place, there) = np.zeros(len(rows)), _places(matrix, rows, columns)
    found[there] = matrix.data[place[there]]
    return found


def _places(matrix: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the matrix's data the entries at (rows, columns) lie (k,), and whether there are such (k,).

    By bisection of each row, all pairs at once: scipy's own look-up walks through a long row, entry by entry.
    """
    matrix.sum_duplicates()  # sorts each row
    place, ends = (matrix.indptr[one].astype(np.int64) for one in (rows, rows + 1))
    step = (1 << int((ends - place).max(initial=0)).bit_length()) >> 1
    while step:  # place is the first entry of the row that has not been passed
        further = place + step
        passed = (further <= ends) & (matrix.indices[np.minimum(further, matrix.nnz) - 1] < columns)
        place = np.where(passed, further, place)
        step >>= 1
    there = place < ends
    there[there] = matrix.indices[place[there]] == columns[there]
    return place, there


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
    best = ranked(rows[kept], scores.indices[kept], rounded[kept])
    listed = best[1] <= length
    return tuple(column[listed] for column in best)


def ranked(rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Entries (k,) in the order of `top`: rows, ranks from 1, columns, scores."""
    values = np.round(values, _DECIMALS)
    order = np.lexsort((columns, -values, rows))
    rows = rows[order]
    starts = np.searchsorted(rows, np.arange(rows.max(initial=-1) + 1))
    return rows, np.arange(len(order)) - starts[rows] + 1, columns[order], values[order]


def popular_list(scores: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Catalogue positions and scores of the `length` items with the largest scores (n,) above zero, ties to the
    smaller."""
    order = np.argsort(-scores, kind="stable")[:length]
    order = order[scores[order] > 0]
    return order, scores[order]
