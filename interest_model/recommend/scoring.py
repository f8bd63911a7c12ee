"""Scores of users for items: each member alone, the blend, and the best list of each user. No Spark."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS, POPULARITY_MEMBERS, Model
from interest_model.recommend.boosted import chances
from interest_model.recommend.candidates import named
from interest_model.recommend.features import pair_features
from interest_model.recommend.histories import Histories, latest, take
from interest_model.recommend.member_scores import member_scores
from interest_model.recommend.sparse_scores import lookup, popular_list, top, without

_CHUNK_USERS = 512  # bounds memory: scores of so many users are held at once


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


def final_scores(
    histories: Histories, scores: dict[str, sp.csr_matrix], model: Model, at_day: float, repeats: bool
) -> sp.csr_matrix:
    """(n_users, n_items) CSR: the score that lists are made by. Blend and boosted ranker, each divided by its typical
    best, in the shares that past nights found; seen items at minus infinity unless `repeats`. scores: of the members.
    """
    share = model.mix(repeats)
    total = mixed(histories, scores, model, at_day, (repeats, share)) if share > 0 else None
    total = blended(scores, model, model.weights(repeats)) if total is None else total
    return total if repeats else without(total, histories)


def mixed(histories: Histories, scores, model: Model, at_day: float, kind: tuple[bool, float]) -> sp.csr_matrix:
    """(n_users, n_items) CSR over the candidates (see candidates.named): blend and boosted ranker in shares.

    kind: whether seen items stay (which weights the blend takes), and the share of the boosted ranker, 0 to 1.
    """
    repeats, share = kind
    rows, columns = named(scores, histories, model)
    boosted = chances(model.trees, pair_features(histories, scores, model, at_day, rows, columns))
    blend = contributions(scores, model, model.weights(repeats), rows, columns).sum(axis=1)
    values = (1.0 - share) * blend / model.mix_scales[0] + share * boosted / model.mix_scales[1]
    return sp.csr_matrix((values + 1e-30, (rows, columns)), scores["own"].shape)


def _recommend(histories: Histories, model: Model, at_day: float, length: int, repeats: bool) -> Lists:
    scores = member_scores(histories, model, at_day)
    weights = model.weights(repeats)
    users, ranks, items, best = top(final_scores(histories, scores, model, at_day, repeats), length)
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


def fallback(model: Model, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The list for people without history: items by decayed popularity, and each one's share of the list's total."""
    items, scores = popular_list(model.trends[:, 0], length)
    return items, scores / max(scores.sum(), 1e-30)
