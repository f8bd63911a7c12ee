"""Scores of users for items: each member alone, the blend, and the best list of each user. No Spark."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS, POPULARITY_MEMBERS, Model
from interest_model.recommend.histories import Histories, latest, take

_CHUNK_USERS = 512  # bounds memory: scores of so many users are held at once
_DECIMALS = 7  # scores closer than this are ties: batches of other sizes may differ in the last float digits


class Lists(NamedTuple):
    """Recommendations as rows: users (r,) position in the histories, ranks (r,) from 1, items (r,) catalogue position,
    scores (r,) float64, origins (r,) position in MEMBERS, evidence (r,) catalogue position of the own item that speaks
    most for it, or -1, evidence_days (r,) when the user last consumed it (days since epoch; NaN where none)."""

    users: np.ndarray
    ranks: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    origins: np.ndarray
    evidence: np.ndarray
    evidence_days: np.ndarray


def queries(histories: Histories, n_items: int, at_day: float, half_life: float) -> sp.csr_matrix:
    """(n_users, n_items) float32: each user's items, one consumption of age a days counting weight * 0.5 ** (a /
    half_life)."""
    decay = histories.weights * 0.5 ** (np.maximum(at_day - histories.days, 0.0) / half_life)
    entries = (decay.astype(np.float32), histories.items, histories.indptr)
    matrix = sp.csr_matrix(entries, (histories.n_users, n_items), copy=True)
    matrix.sum_duplicates()
    return matrix


def member_scores(histories: Histories, model: Model, at_day: float) -> dict[str, sp.csr_matrix]:
    """Raw scores of the PERSONAL_MEMBERS, each (n_users, n_items) CSR; an absent entry is a score of zero.

    Only the latest model.history_length events of each user are read.
    """
    histories = latest(histories, int(model.history_length))
    _, query_half_life, own_half_life = model.half_lives
    recent = queries(histories, model.n_items, at_day, query_half_life)
    own = queries(histories, model.n_items, at_day, own_half_life)
    share = _unit_rows(recent)
    return {
        "transitions": (share @ model.collaborative.transitions).tocsr(),
        "lift": (share @ model.collaborative.lift).tocsr(),
        "ease": (own @ model.collaborative.ease).tocsr(),
        "content": content_scores(share, model),
        "own": own,
        "own_recent": recent,
    }


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


def blended(scores: dict[str, sp.csr_matrix], model: Model, weights: np.ndarray) -> sp.csr_matrix:
    """(n_users, n_items) CSR of sum over members of weights[m] * score / scales[m], at every candidate.

    Candidates are the pool and every item a weighted personal member names. weights (M,) in MEMBERS order.
    """
    n_users = scores["own"].shape[0]
    factors = dict(zip(MEMBERS, weights / model.scales, strict=True))
    width = len(model.pool)
    pool = sp.csr_matrix(
        (np.full(n_users * width, 1e-30), np.tile(model.pool, n_users), np.arange(n_users + 1) * width),
        (n_users, model.n_items),
    )
    total = pool
    for name in PERSONAL_MEMBERS:
        if factors[name] > 0:
            total = total + scores[name].astype(np.float64) * factors[name]
    common = model.trends @ np.array([factors[name] for name in POPULARITY_MEMBERS])
    total.data += common[total.indices]
    return total


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


def recommend(histories: Histories, model: Model, at_day: float, length: int, repeats: bool) -> Lists:
    """The `length` best items of every user at the scoring time `at_day` (days since epoch), with origin and evidence.

    Items of the user's history are left out unless `repeats`. A user without history gets the pool by popularity.
    """
    parts = []
    for start in range(0, histories.n_users, _CHUNK_USERS):
        chunk = take(histories, np.arange(start, min(start + _CHUNK_USERS, histories.n_users)))
        part = _recommend(chunk, model, at_day, length, repeats)
        parts.append(part._replace(users=part.users + start))
    if not parts:
        return Lists(*(np.zeros(0, kind) for kind in (int, int, np.int32, float, int, int, float)))
    return Lists(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _recommend(histories: Histories, model: Model, at_day: float, length: int, repeats: bool) -> Lists:
    scores = member_scores(histories, model, at_day)
    weights = model.weights(repeats)
    total = blended(scores, model, weights)
    users, ranks, items, best = top(total if repeats else without(total, histories), length)
    parts = contributions(scores, model, weights, users, items)
    origins = parts.argmax(axis=1)
    evidence, days = _evidence(histories, model, at_day, (users, items, origins))
    return Lists(users, ranks, items, best, origins, evidence, days)


def contributions(scores, model: Model, weights: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k, M): what each member adds to the blended score of (users, items), in MEMBERS order."""
    raw = np.empty((len(users), len(MEMBERS)))
    raw[:, : len(POPULARITY_MEMBERS)] = model.trends[items]
    for column, name in enumerate(PERSONAL_MEMBERS, start=len(POPULARITY_MEMBERS)):
        raw[:, column] = lookup(scores[name], users, items)
    return raw * (weights / model.scales)


def _evidence(histories: Histories, model: Model, at_day: float, rows) -> tuple[np.ndarray, np.ndarray]:
    """For each row the own item that adds most to the origin's score, and the day it was last consumed."""
    histories = latest(histories, int(model.history_length))
    users, items, origins = rows
    evidence, days = np.full(len(users), -1, dtype=np.int64), np.full(len(users), np.nan)
    counts = np.where(origins >= len(POPULARITY_MEMBERS), histories.lengths[users], 0)
    row = np.repeat(np.arange(len(users)), counts)
    event = (
        np.arange(len(row))
        - np.repeat(np.cumsum(counts) - counts, counts)
        + np.repeat(histories.indptr[:-1][users], counts)
    )
    age = np.maximum(at_day - histories.days[event], 0.0)
    strength = np.zeros(len(row))
    for name in PERSONAL_MEMBERS:
        chosen = np.flatnonzero(origins[row] == MEMBERS.index(name))
        half_life = model.half_lives[2] if name in ("ease", "own") else model.half_lives[1]
        links = _links(model, name, histories.items[event[chosen]], items[row[chosen]])
        strength[chosen] = links * histories.weights[event[chosen]] * 0.5 ** (age[chosen] / half_life)
    starts = (np.cumsum(counts) - counts)[counts > 0]
    peak = np.repeat(np.maximum.reduceat(strength, starts), counts[counts > 0]) if len(starts) else strength
    best = np.flatnonzero((strength == peak) & (strength > 0))  # of equals the latest is written last, and stays
    evidence[row[best]], days[row[best]] = histories.items[event[best]], histories.days[event[best]]
    return evidence, days


def _links(model: Model, member: str, own: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k,) how strongly one own item speaks for one item, for a personal member."""
    if member in ("own", "own_recent"):
        return (own == items).astype(np.float64)
    if member == "content":
        return np.einsum("kd,kd->k", model.vectors[own], model.vectors[items], dtype=np.float64)
    return lookup(getattr(model.collaborative, member), own, items)


def popular_list(scores: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Catalogue positions and scores of the `length` items with the largest scores (n,) above zero, ties to the
    smaller."""
    order = np.argsort(-scores, kind="stable")[:length]
    order = order[scores[order] > 0]
    return order, scores[order]


def fallback(model: Model, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The list for people without history: items by decayed popularity, and each one's share of the list's total."""
    items, scores = popular_list(model.trends[:, 0], length)
    return items, scores / max(scores.sum(), 1e-30)
