"""A blend of cheap models: each one's setting searched alone, then their weights, one coordinate at a time.

A model's scores are divided by the user's best before they are weighted. The search works on candidates: every item
that one of the models has among its best for the user.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ROUNDS = 3
DEPTH = 200  # best items per user and model that are candidates in the search
CHUNK = 256

Score = Callable[[np.ndarray], np.ndarray]  # users (u,) -> dense scores (u, n_items); -inf: no score
Fit = Callable[[object, object], Score]  # (log, setting) -> scores


class Blend(NamedTuple):
    """settings: of each model; weights: of its scores after division by the user's best."""

    settings: tuple
    weights: tuple[float, ...]


def transitions(log, half_lives: tuple[float, float]) -> Score:
    """What followed the user's items: shares of the next three items of all users, nearer ones counting more.

    half_lives in days: of a transition by its age, and of the user's own items by theirs.
    """
    order = np.lexsort((np.arange(len(log.users)), log.users))  # the log is in time order: a user's events stay in it
    users, items, days = log.users[order], log.items[order], log.days[order]
    counts = sp.csr_matrix((log.n_items, log.n_items))
    for step in (1, 2, 3):
        pairs = np.flatnonzero((users[:-step] == users[step:]) & (items[:-step] != items[step:]))
        values = 0.5 ** ((log.at_day - days[pairs + step]) / half_lives[0]) / step
        counts = counts + sp.csr_matrix((values, (items[pairs], items[pairs + step])), counts.shape)
    shares = _unit_rows(counts)
    recent = _unit_rows(log.matrix(log.faded(half_lives[1])))
    return lambda some: (recent[some] @ shares).toarray()


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    return (sp.diags(1.0 / np.maximum(totals, 1e-30)) @ matrix).tocsr()


def fit(fits: Sequence[Fit], log, blend: Blend) -> Score:
    """The blend refitted on `log`; a model of weight zero is not fitted."""
    used = [place for place, weight in enumerate(blend.weights) if weight > 0]
    scores = [fits[place](log, blend.settings[place]) for place in used]
    weights = [blend.weights[place] for place in used]
    return lambda users: sum(weight * _scaled(one(users)) for weight, one in zip(weights, scores, strict=True))


def _scaled(scores: np.ndarray) -> np.ndarray:
    """(u, n) scores over each row's best; zero where there is none, and everywhere where nothing is above zero."""
    known = np.where(np.isfinite(scores), scores, 0.0)
    best = known.max(axis=1, keepdims=True)
    return np.where(best > 0, known / np.maximum(best, 1e-30), 0.0)


def search(
    log,
    members: Mapping[str, tuple[Fit, Sequence]],
    users: np.ndarray,
    seen: sp.csr_matrix | None,
    figure: Callable[[np.ndarray], float],
) -> tuple[Blend, float]:
    """The blend with the best figure on lists (u, 10) for `users`, and that figure.

    members: name to fit and the settings to try. seen: rows by user, items that lists leave out; None: leave out
    nothing.
    """
    settings, found = [], []
    for one, grid in members.values():
        tried = [_candidates([one(log, setting)], users, seen) for setting in grid]
        best = int(np.argmax([figure(_lists(*each, np.ones(1))) for each in tried]))
        settings.append(grid[best])
        found.append(one(log, grid[best]))
    items, values = _candidates(found, users, seen)
    weights, best = _coordinates(len(found), lambda weights: figure(_lists(items, values, weights)))
    return Blend(tuple(settings), tuple(float(weight) for weight in weights)), best


def _coordinates(n: int, figure: Callable[[np.ndarray], float]) -> tuple[np.ndarray, float]:
    """Weights (n,) of WEIGHTS, from all ones: one after the other set to what is best, until none changes."""
    weights = np.ones(n)
    best = figure(weights)
    for _ in range(ROUNDS):
        before = weights.copy()
        for place in range(n):
            tried = [np.where(np.arange(n) == place, value, weights) for value in WEIGHTS]
            figures = [figure(one) if one.any() else -1.0 for one in tried]
            if max(figures) > best:
                weights, best = tried[int(np.argmax(figures))], max(figures)
        if np.array_equal(weights, before):
            break
    return weights, best


def _candidates(scores: Sequence[Score], users: np.ndarray, seen: sp.csr_matrix | None):
    """items (u, c) ascending, -1 for none, and values (u, c, m): each model's scaled scores of them."""
    parts = [
        _candidates_of(np.stack([_scaled(one(some)) for one in scores]), None if seen is None else seen[some])
        for some in (users[start : start + CHUNK] for start in range(0, len(users), CHUNK))
    ]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _candidates_of(scaled: np.ndarray, seen: sp.csr_matrix | None) -> tuple[np.ndarray, np.ndarray]:
    n_models, n_users, n_items = scaled.shape
    allowed = np.ones((n_users, n_items), dtype=bool)
    if seen is not None:
        allowed[seen.nonzero()] = False
    depth = min(DEPTH, n_items)
    best = np.argpartition(-np.where(allowed, scaled, -np.inf), depth - 1, axis=2)[:, :, :depth]
    items = np.sort(np.moveaxis(best, 0, 1).reshape(n_users, n_models * depth), axis=1)
    rows = np.arange(n_users)[:, None]
    twice = np.zeros_like(items, dtype=bool)
    twice[:, 1:] = items[:, 1:] == items[:, :-1]
    values = np.moveaxis(scaled[:, rows, items], 0, 2)
    return np.where(allowed[rows, items] & ~twice, items, -1), values.astype(np.float32)


def _lists(items: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(u, at most 10) best candidates by weighted values, ties to the smaller item, -1 where there is none."""
    total = np.where(items >= 0, values @ weights, -np.inf)
    return np.take_along_axis(items, np.argsort(-total, axis=1, kind="stable")[:, :10], axis=1)
