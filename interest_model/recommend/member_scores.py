"""What each personal member of the blend says of users and items. No Spark."""

import numpy as np
import scipy.sparse as sp

from interest_model.interest.states_of_users import States
from interest_model.recommend.blend import Collaborative, Model
from interest_model.recommend.histories import Histories, latest
from interest_model.recommend.interests import lifts

_FACTOR_ITEMS = _SEQUENCE_ITEMS = 200  # of each user; further down nobody is listed, and sums cost by the entry


def queries(histories: Histories, n_items: int, at_day: float | np.ndarray, half_life: float) -> sp.csr_matrix:
    """(n_users, n_items) float32: each user's items, one consumption of age a days counting weight * 0.5 ** (a /
    half_life). at_day: one moment, or (m,) one for each event."""
    decay = histories.weights * 0.5 ** (np.maximum(at_day - histories.days, 0.0) / half_life)
    entries = (decay.astype(np.float32), histories.items, histories.indptr)
    matrix = sp.csr_matrix(entries, (histories.n_users, n_items), copy=True)
    matrix.sum_duplicates()
    return matrix


def once(histories: Histories, n_items: int, at_day: float, half_life: float) -> sp.csr_matrix:
    """(n_users, n_items) float32: each user's items, each once, however often it was consumed: as `queries`, but only
    the consumption that counts most."""
    decay = histories.weights * 0.5 ** (np.maximum(at_day - histories.days, 0.0) / half_life)
    keys, place = np.unique(histories.rows * n_items + histories.items, return_inverse=True)
    most = np.zeros(len(keys), dtype=np.float32)
    np.maximum.at(most, place, decay.astype(np.float32))
    return sp.csr_matrix((most, (keys // n_items, keys % n_items)), (histories.n_users, n_items))


def member_scores(histories: Histories, model: Model, at_day: float, interests: States) -> dict[str, sp.csr_matrix]:
    """Scores of the PERSONAL_MEMBERS, tempered, each (n_users, n_items) CSR; an absent entry is a score of zero.

    Only the latest model.history_length events of each user are read, but `own` counts all in histories: what people
    come back to may lie further back than what leads them on. interests: the users' states at at_day.
    """
    _, query_half_life, own_half_life = model.half_lives
    own = queries(histories, model.n_items, at_day, own_half_life)
    read = latest(histories, int(model.history_length))
    recent = queries(read, model.n_items, at_day, query_half_life)
    taken = once(read, model.n_items, at_day, own_half_life)
    share = _unit_rows(queries(read, model.n_items, _newest(read, at_day), query_half_life))
    learned = model.collaborative
    said = {
        "transitions": (share @ learned.transitions).tocsr(),
        "lift": (share @ learned.lift).tocsr(),
        "ease": (taken @ learned.ease).tocsr(),
        "factors": factor_scores(taken, learned),
        "nearby": (share @ model.nearby).tocsr(),
        "content": content_scores(share, model),
        "interests": interest_scores(interests, model, histories.n_users),
        "sequence": sequence_scores(read, model, at_day),
        "own": own,
        "own_recent": recent,
    }
    return {name: tempered(matrix) for name, matrix in said.items()}


def _newest(histories: Histories, at_day: float) -> np.ndarray:
    """(m,) the day of the user's latest event, for each event. Shares of a query do not depend on the moment from which
    ages are counted, but from at_day on all of what somebody long away did is zero in single precision."""
    last = histories.days[np.maximum(histories.indptr[1:] - 1, 0)] if len(histories.days) else np.zeros(0)
    return np.minimum(np.repeat(last, histories.lengths) if len(last) else last, at_day)


def tempered(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Every row divided by the square root of its largest value: half way between absolute scores, by which people with
    long histories drown what is common to all, and relative ones, by which people with short ones say as much."""
    if not matrix.shape[1]:  # nothing was ever consumed
        return matrix.tocsr()
    best = np.maximum(matrix.max(axis=1).toarray().ravel(), 1e-12)
    scaled = matrix.tocsr().copy()
    scaled.data = (scaled.data / np.repeat(np.sqrt(best), np.diff(scaled.indptr))).astype(np.float32)
    return scaled


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    return (sp.diags((1.0 / np.maximum(totals, 1e-30)).astype(np.float32)) @ matrix).tocsr()


def factor_scores(taken: sp.csr_matrix, learned: Collaborative) -> sp.csr_matrix:
    """(n_users, n_items) CSR: the _FACTOR_ITEMS best of each user by the factorisation; zero below zero.

    taken (n_users, n_items): the user's items, see `once`.
    """
    head, factors = learned.factor_items, learned.factors
    if not factors.size:
        return sp.csr_matrix(taken.shape, dtype=np.float32)
    found = _rounded((taken[:, head] @ learned.axes) @ factors.T.astype(np.float64))
    width = min(_FACTOR_ITEMS, len(head))
    best = np.sort(np.argpartition(found, -width, axis=1)[:, -width:], axis=1)
    values = np.take_along_axis(found, best, axis=1)
    entries = (values.ravel().astype(np.float32), head[best].ravel(), np.arange(len(found) + 1) * width)
    return sp.csr_matrix(entries, taken.shape)


def interest_scores(interests: States, model: Model, n_users: int) -> sp.csr_matrix:
    """(n_users, n_items) CSR: popularity (half life 7 days) of each pool item times how much more of the user's
    interests than of everybody's its topics hold: sum over topics of membership * share / everybody's share.
    """
    shape, topics = (n_users, model.n_items), model.topics.membership[model.pool]
    if not topics.nnz:
        return sp.csr_matrix(shape, dtype=np.float32)
    found = _rounded(lifts(interests, model, n_users) @ topics.T.toarray()) * model.weekly_popularity[model.pool]
    entries = (found.ravel().astype(np.float32), np.tile(model.pool, n_users), np.arange(n_users + 1) * len(model.pool))
    return sp.csr_matrix(entries, shape)


def sequence_scores(histories: Histories, model: Model, at_day: float) -> sp.csr_matrix:
    """(n_users, n_items) CSR: the _SEQUENCE_ITEMS best of each user by the sequence model, see neural_scores; nothing
    without a model, and at moments before the end of what it was trained on."""
    if not len(model.sequence) or at_day < float(model.sequence_from):
        return sp.csr_matrix((histories.n_users, model.n_items), dtype=np.float32)
    from interest_model.interest.shipped_model import packed_here  # torch: only where there is such a model
    from interest_model.recommend.sequence_scores import neural_scores

    return neural_scores(packed_here(model.sequence), histories, at_day, _SEQUENCE_ITEMS)


def _rounded(scores: np.ndarray) -> np.ndarray:
    """Scores (float64) of zero and above in steps of 2**-20.

    A matrix product adds up a row's terms in an order that depends on the batch and on the processor. The steps swallow
    that, so a user's scores do not depend on who else is in the batch, nor the night's model on how events lie in
    files. Not so in single precision: its errors are a tenth of a step, and every tenth score lies so near to an edge.
    """
    return np.rint(np.maximum(scores, 0.0) * 2.0**20) * 2.0**-20


def content_scores(share: sp.csr_matrix, model: Model) -> sp.csr_matrix:
    """(n_users, n_items) CSR: dot product of the user's mean item vector and each pool item's; zero below zero."""
    vectors = model.vectors.astype(np.float64)
    similarity = _rounded((share @ vectors) @ vectors[model.pool].T)
    n_users, width = similarity.shape
    indices = np.tile(model.pool, n_users)
    entries = (similarity.ravel().astype(np.float32), indices, np.arange(n_users + 1) * width)
    return sp.csr_matrix(entries, (n_users, model.n_items))
