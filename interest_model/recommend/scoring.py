"""Scores of users for items: each member alone, the blend, and the best list of each user. No Spark."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS, POPULARITY_MEMBERS, Model
from interest_model.recommend.boosted import chances
from interest_model.recommend.evidence import speaking_for
from interest_model.recommend.features import pair_features
from interest_model.recommend.histories import Histories, take
from interest_model.recommend.interests import Named, interest_states, named_interests
from interest_model.recommend.member_scores import member_scores
from interest_model.recommend.relisting import NO_DIVERSITY, Diversity, relisted
from interest_model.recommend.sparse_scores import added, lookup, popular_list, top, without

_CHUNK_USERS = 512  # bounds memory: scores of so many users are held at once
_RESCORED = 100  # candidates that the trees score; 70 to 220 rank alike, and trees cost


class Lists(NamedTuple):
    """Recommendations as rows: users (r,) position in the histories, ranks (r,) from 1, items (r,) catalogue position,
    scores (r,) float64, origins (r,) position in MEMBERS, because (r, 3) catalogue positions of the own items that
    speak most for it, best first, -1 where fewer do, because_days (r, 3) when the user last consumed them (days since
    epoch, NaN where none), interests: see interests.Named."""

    users: np.ndarray
    ranks: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    origins: np.ndarray
    because: np.ndarray
    because_days: np.ndarray
    interests: Named


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


def recommend(
    histories: Histories, model: Model, at_day: float, length: int, repeats: bool, wide: Diversity = NO_DIVERSITY
) -> Lists:
    """The `length` best items of every user at the scoring time `at_day` (days since epoch), with what speaks for them.

    Items of the user's history are left out unless `repeats`. A user without history gets the pool by popularity. wide:
    how much diversity lists get.
    """
    parts = []
    for start in range(0, max(histories.n_users, 1), _CHUNK_USERS):
        chunk = take(histories, np.arange(start, min(start + _CHUNK_USERS, histories.n_users)))
        part = _recommend(chunk, model, at_day, (length, repeats), wide)
        parts.append(part._replace(users=part.users + start))
    joined = [np.concatenate(columns) for columns in zip(*(part[:-1] for part in parts), strict=True)]
    interests = Named(*(np.concatenate(columns) for columns in zip(*(part.interests for part in parts), strict=True)))
    return Lists(*joined, interests)


def final_scores(
    histories: Histories, scores: dict[str, sp.csr_matrix], model: Model, at_day: float, repeats: bool
) -> sp.csr_matrix:
    """(n_users, n_items) CSR: the score that lists are made by; seen items at minus infinity unless `repeats`.

    scores: of the members. Blend and boosted ranker stand in the shares that past nights found.
    """
    if model.mix(repeats) > 0:
        return mixed(histories, scores, model, at_day, (repeats, model.mix(repeats)))
    return _candidates(histories, scores, model, repeats)


def mixed(histories: Histories, scores, model: Model, at_day: float, kind: tuple[bool, float]) -> sp.csr_matrix:
    """As final_scores: blend and boosted ranker, each divided by its typical best, in given shares.

    kind: whether seen items stay, and the share of the boosted ranker, 0 to 1. The trees score the blend's best
    candidates of a user; what lies below them is in no list's reach and stays below.
    """
    repeats, share = kind
    total = _candidates(histories, scores, model, repeats)
    rows, _, columns, _ = top(total, _RESCORED)
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    boosted = chances(model.trees, pair_features(histories, scores, model, at_day, rows, columns))
    allowed = total.data > -np.inf
    total.data[allowed] = 1e-30 + (1.0 - share) / model.mix_scales[0] * total.data[allowed]
    return added(total, rows, columns, share / model.mix_scales[1] * boosted)


def _candidates(histories: Histories, scores, model: Model, repeats: bool) -> sp.csr_matrix:
    total = blended(scores, model, model.weights(repeats))
    return total if repeats else without(total, histories)


def _recommend(histories: Histories, model: Model, at_day: float, kind: tuple[int, bool], wide: Diversity) -> Lists:
    """kind: length of the lists, and whether seen items stay."""
    length, repeats = kind
    scores = member_scores(histories, model, at_day)
    found = interest_states(histories, model, at_day)
    best = top(final_scores(histories, scores, model, at_day, repeats), max(length, wide.candidates))
    users, ranks, items, values = relisted(best, found, model, (histories.n_users, length), wide)
    origins = contributions(scores, model, model.weights(repeats), users, items).argmax(axis=1)
    because, days = speaking_for(histories, model, at_day, (users, items, origins))
    interests = named_interests(found, model, histories.n_users, users, items)
    return Lists(users, ranks, items, values, origins, because, days, interests)


def contributions(scores, model: Model, weights: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k, M): what each member adds to the blended score of (users, items), in MEMBERS order."""
    raw = np.empty((len(users), len(MEMBERS)))
    raw[:, : len(POPULARITY_MEMBERS)] = model.trends[items]
    for column, name in enumerate(PERSONAL_MEMBERS, start=len(POPULARITY_MEMBERS)):
        raw[:, column] = lookup(scores[name], users, items)
    return raw * (weights / model.scales)


def fallback(model: Model, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The list for people without history: items by decayed popularity, and each one's share of the list's total."""
    items, scores = popular_list(model.trends[:, 0], length)
    return items, scores / max(scores.sum(), 1e-30)
