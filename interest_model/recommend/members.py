"""The collaborative members of the blend: item transitions and EASE, fitted by mergeable sums over users. No Spark.

Each partial fit takes the histories of some users and returns sums over pairs of items. Sums of different users merge by
adding, so users never leave their partition; only pairs of items do.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from interest_model.recommend.histories import Histories, instants


class Pairs(NamedTuple):
    """Sums over pairs of items: items (p,) and others (p,) int32 catalogue positions, values (p,) float64."""

    items: np.ndarray
    others: np.ndarray
    values: np.ndarray


def transition_sums(histories: Histories, n_items: int, reach: int, step_decay: float, same: float) -> Pairs:
    """How often `others` followed `items` in one user's history, up to `reach` instants later.

    An instant is all events of a user at one time: the order inside it is unknown, so its pairs count `same` in both
    directions; a pair d >= 1 instants apart counts step_decay ** (d - 1). An item never follows itself.
    """
    moment = instants(histories)
    n_moments = int(moment[-1]) + 1 if len(moment) else 0
    content = sp.csr_matrix((np.ones(len(moment), np.float32), (moment, histories.items)), (n_moments, n_items))
    content.sum_duplicates()
    content.data[:] = 1.0
    user_of = np.zeros(n_moments, dtype=np.int64)
    user_of[moment] = histories.rows
    follows = _band(user_of, reach, step_decay, same)
    return _pairs(content.T.tocsr() @ (follows @ content), self_pairs=False)


def _band(user_of: np.ndarray, reach: int, step_decay: float, same: float) -> sp.csr_matrix:
    """(instants, instants): weight of the later instant for the earlier one, within one user."""
    n = len(user_of)
    rows, columns, values = [np.arange(n)], [np.arange(n)], [np.full(n, same)]
    for step in range(1, reach + 1):
        first = np.flatnonzero(user_of[step:] == user_of[:-step]) if n > step else np.zeros(0, dtype=np.int64)
        rows.append(first), columns.append(first + step), values.append(np.full(len(first), step_decay ** (step - 1)))
    entries = (np.concatenate(values).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_matrix(entries, (n, n))


def gram_sums(histories: Histories, head: np.ndarray, n_items: int) -> Pairs:
    """Users who consumed both items, over pairs of head items with items <= others; a pair (j, j) counts users of j.

    head (h,) int32: catalogue positions of the items EASE knows, ascending.
    """
    position = np.full(n_items, -1)
    position[head] = np.arange(len(head))
    known = position[histories.items] >= 0
    entries = (np.ones(known.sum(), np.float32), (histories.rows[known], position[histories.items[known]]))
    consumed = sp.csr_matrix(entries, (histories.n_users, len(head)))
    consumed.sum_duplicates()
    consumed.data[:] = 1.0
    pairs = _pairs(sp.triu(consumed.T.tocsr() @ consumed).tocsr(), self_pairs=True)
    return Pairs(head[pairs.items].astype(np.int32), head[pairs.others].astype(np.int32), pairs.values)


def _pairs(matrix: sp.csr_matrix, self_pairs: bool) -> Pairs:
    found = matrix.tocoo()
    wanted = (found.row != found.col) | self_pairs
    return Pairs(
        found.row[wanted].astype(np.int32), found.col[wanted].astype(np.int32), found.data[wanted].astype(np.float64)
    )


def ease_weights(gram: np.ndarray, l2: float) -> np.ndarray:
    """EASE item-to-item weights (h, h) from the Gram matrix (h, h) of consumed items, zero diagonal.

    B = I - P diag(1 / diag(P)) with P = (G + l2 I)^-1 (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data",
    equation 8). The score of item j for a user's item vector x is (x B)_j.
    """
    shifted = np.array(gram, dtype=np.float64, order="F")
    shifted[np.diag_indices_from(shifted)] += l2
    factor, info = scipy.linalg.lapack.dpotrf(shifted, lower=1, overwrite_a=1)
    if info != 0:
        raise ValueError("EASE: the Gram matrix plus l2 is not positive definite; l2 must be above zero")
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    inverse += np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights
