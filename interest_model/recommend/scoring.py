"""Scores of users for items: each member alone, the blend, and the best list of each user. No Spark."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS, POOL_MEMBERS, POPULARITY_MEMBERS, Mixture, Model
from interest_model.recommend.boosted import chances
from interest_model.recommend.context import Context, context_at
from interest_model.recommend.evidence import speaking_for
from interest_model.recommend.features import pair_features, with_blend
from interest_model.recommend.histories import Histories, take
from interest_model.recommend.interests import Named, named_interests
from interest_model.recommend.relisting import NO_DIVERSITY, Diversity, relisted
from interest_model.recommend.sparse_scores import lookup, popular_list, ranked, top, without

_CHUNK_USERS = 512  # bounds memory: scores of so many users are held at once
_LEAST = 1e-9  # of the blend where a power is taken: members may say less than nothing of an item
_RESCORED = 75  # candidates that the trees score; 70 to 220 rank alike, and trees cost


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
    values = np.full(n_users * width, 1e-30)
    for name in POOL_MEMBERS:
        if scores[name].nnz:
            values += scores[name].data * factors[name]
    entries = (values, np.tile(model.pool, n_users), np.arange(n_users + 1) * width)
    total = sp.csr_matrix(entries, (n_users, model.n_items))
    for name in PERSONAL_MEMBERS:
        if factors[name] > 0 and name not in POOL_MEMBERS:
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


class Candidates(NamedTuple):
    """k candidates by user and rank in the blend: users, items (k,) positions; blend, chances (k,) float64: scores of
    the blend and of the boosted ranker. The trees score a user's best candidates only: what lies below keeps a chance
    of zero, and so stays below in any mixture."""

    users: np.ndarray
    items: np.ndarray
    blend: np.ndarray
    chances: np.ndarray


def best_candidates(context: Context, model: Model, length: int, repeats: bool, boosted: bool = True) -> Candidates:
    """The `length` best of each user by the blend, and as many as the trees score. boosted: whether they do."""
    total = blended(context.members, model, model.weights(repeats))
    allowed = total if repeats else without(total, context.histories)
    users, ranks, items, blend = top(allowed, max(length, _RESCORED))
    found, scored = np.zeros(len(users)), ranks <= _RESCORED
    if boosted:
        pairs = pair_features(context, model, users[scored], items[scored])
        read = with_blend(pairs, users[scored], blend[scored])
        found[scored] = chances(model.mixture(repeats).trees, read, users[scored])
    return Candidates(users, items, blend, found)


def mixed(candidates: Candidates, mixture: Mixture) -> tuple[np.ndarray, ...]:
    """Users, ranks, items, scores (see sparse_scores.top): blend ** (1 - share) * chance ** share, the logarithmic
    opinion pool (Genest and Zidek 1986, "Combining Probability Distributions"), which asks for no common scale; what
    the trees did not score follows. Where the boosted ranker has no share the scores are the blend's own."""
    users, items, scores, chances = candidates
    share, scored = float(mixture.share), chances > 0
    if share > 0:
        least = np.maximum(scores[scored], _LEAST)
        pooled = least ** (1.0 - share) * chances[scored] ** share
        factors = np.full(int(users.max(initial=-1)) + 1, np.inf)
        np.minimum.at(factors, users[scored], pooled / least)  # the least of a user: nothing scored falls below it
        scores = np.where(np.isfinite(factors), factors, 1.0)[users] * scores
        scores[scored] = pooled
    return ranked(users, items, scores)


def best_items(context: Context, model: Model, length: int, repeats: bool) -> tuple[np.ndarray, ...]:
    """Users, ranks, items, scores: at least the `length` best of each user, by the shares of blend and boosted ranker
    that past nights found; items of the history are left out unless `repeats`."""
    mixture = model.mixture(repeats)
    return mixed(best_candidates(context, model, length, repeats, mixture.share > 0), mixture)


def _recommend(histories: Histories, model: Model, at_day: float, kind: tuple[int, bool], wide: Diversity) -> Lists:
    """kind: length of the lists, and whether seen items stay."""
    length, repeats = kind
    context = context_at(histories, model, at_day)
    best = best_items(context, model, max(length, wide.candidates), repeats)
    users, ranks, items, values = relisted(best, context, model, length, wide)
    origins = contributions(context.members, model, model.weights(repeats), users, items).argmax(axis=1)
    because, days = speaking_for(context, model, (users, items, origins))
    interests = named_interests(context.interests, model, histories.n_users, users, items)
    return Lists(users, ranks, items, values, origins, because, days, interests)


def contributions(scores, model: Model, weights: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k, M): what each member adds to the blended score of (users, items), in MEMBERS order."""
    raw = np.empty((len(users), len(MEMBERS)))
    raw[:, : len(POPULARITY_MEMBERS)] = model.trends[items]
    for column, name in enumerate(PERSONAL_MEMBERS, start=len(POPULARITY_MEMBERS)):
        raw[:, column] = lookup(scores[name], users, items)
    return raw * (weights / model.scales)


def fallback(model: Model, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The list for people without history: items by decayed popularity, and each one's share of that of all items."""
    items, scores = popular_list(model.trends[:, 0], length)
    return items, scores / max(model.trends[:, 0].sum(), 1e-30)
