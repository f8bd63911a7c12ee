"""What each personal member of the blend says of users and items. No Spark."""

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.blend import Model
from interest_model.recommend.histories import Histories, latest


def queries(histories: Histories, n_items: int, at_day: float, half_life: float) -> sp.csr_matrix:
    """(n_users, n_items) float32: each user's items, one consumption of age a days counting weight * 0.5 ** (a /
    half_life)."""
    decay = histories.weights * 0.5 ** (np.maximum(at_day - histories.days, 0.0) / half_life)
    entries = (decay.astype(np.float32), histories.items, histories.indptr)
    matrix = sp.csr_matrix(entries, (histories.n_users, n_items), copy=True)
    matrix.sum_duplicates()
    return matrix


def member_scores(histories: Histories, model: Model, at_day: float) -> dict[str, sp.csr_matrix]:
    """Scores of the PERSONAL_MEMBERS, tempered, each (n_users, n_items) CSR; an absent entry is a score of zero.

    Only the latest model.history_length events of each user are read.
    """
    histories = latest(histories, int(model.history_length))
    _, query_half_life, own_half_life = model.half_lives
    recent = queries(histories, model.n_items, at_day, query_half_life)
    own = queries(histories, model.n_items, at_day, own_half_life)
    share = _unit_rows(recent)
    said = {
        "transitions": (share @ model.collaborative.transitions).tocsr(),
        "lift": (share @ model.collaborative.lift).tocsr(),
        "ease": (own @ model.collaborative.ease).tocsr(),
        "content": content_scores(share, model),
        "own": own,
        "own_recent": recent,
    }
    return {name: tempered(matrix) for name, matrix in said.items()}


def tempered(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Every row divided by the square root of its largest value: half way between absolute scores, by which people with
    long histories drown what is common to all, and relative ones, by which people with short ones say as much."""
    best = np.maximum(matrix.max(axis=1).toarray().ravel(), 1e-12)
    scaled = matrix.tocsr().copy()
    scaled.data = (scaled.data / np.repeat(np.sqrt(best), np.diff(scaled.indptr))).astype(np.float32)
    return scaled


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    return (sp.diags((1.0 / np.maximum(totals, 1e-30)).astype(np.float32)) @ matrix).tocsr()


def content_scores(share: sp.csr_matrix, model: Model) -> sp.csr_matrix:
    """(n_users, n_items) CSR: dot product of the user's mean item vector and each pool item's; zero below zero.

    A matrix product adds up a row's terms in an order that depends on the batch. Steps of 2**-20 swallow that, so a
    user's scores do not depend on who else is in the batch, nor the night's model on how events lie in files.
    """
    vectors = model.vectors.astype(np.float64)
    similarity = np.rint(np.maximum((share @ vectors) @ vectors[model.pool].T, 0.0) * 2.0**20) * 2.0**-20
    n_users, width = similarity.shape
    indices = np.tile(model.pool, n_users)
    entries = (similarity.ravel().astype(np.float32), indices, np.arange(n_users + 1) * width)
    return sp.csr_matrix(entries, (n_users, model.n_items))
