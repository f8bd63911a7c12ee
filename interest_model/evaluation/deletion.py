"""Do the own items that a row names really carry it? Its score without them, against without as many other events.

No Spark. One row of each user is asked; a user with no event beside those named is not.
"""

from typing import NamedTuple

import numpy as np

from interest_model.recommend import scoring
from interest_model.recommend.blend import Model
from interest_model.recommend.context import context_at
from interest_model.recommend.histories import Histories, keep, take
from interest_model.recommend.scoring import Lists


class Drops(NamedTuple):
    """Of u users: how much of the row's score is lost, as a share of it, without the named events and without as many
    others drawn at random; both (u,)."""

    named: np.ndarray
    drawn: np.ndarray


def score_drops(histories: Histories, model: Model, at_day: float, lists: Lists, repeats: bool, seed: int) -> Drops:
    """Drops of one row per user, drawn by seed among those that name own items; lists: of these histories."""
    rng = np.random.default_rng(seed)
    rows = _one_row_each(lists, rng)
    users, items, because = lists.users[rows], lists.items[rows], lists.because[rows]
    known = take(histories, users)
    named = (known.items[:, None] == because[known.rows]).any(axis=1)
    counts = np.bincount(known.rows[named], minlength=known.n_users)
    drawn = _as_many_others(known, named, counts, rng)
    enough = np.bincount(known.rows[drawn], minlength=known.n_users) == counts
    scores = [
        _scores(keep(known, kept), model, at_day, repeats, items)
        for kept in (np.ones(len(named), bool), ~named, ~drawn)
    ]
    whole = np.maximum(scores[0], 1e-30)
    return Drops(*(((whole - less) / whole)[enough] for less in scores[1:]))


def _one_row_each(lists: Lists, rng: np.random.Generator) -> np.ndarray:
    rows = np.flatnonzero(lists.because[:, 0] >= 0)
    rows = rng.permutation(rows)
    _, first = np.unique(lists.users[rows], return_index=True)
    return rows[first]


def _as_many_others(known: Histories, named: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(m,) bool: of each user as many events that are not named, as far as there are any."""
    order = np.lexsort((np.where(named, 2.0, rng.random(len(named))), known.rows))
    place = np.arange(len(order)) - known.indptr[:-1][known.rows[order]]
    drawn = np.zeros(len(named), dtype=bool)
    drawn[order] = (place < counts[known.rows[order]]) & ~named[order]
    return drawn


def _scores(known: Histories, model: Model, at_day: float, repeats: bool, items: np.ndarray) -> np.ndarray:
    """(u,) score of one item for each user; zero where it is no candidate any more."""
    users, _, listed, scores = scoring.best_items(context_at(known, model, at_day), model, model.n_items, repeats)
    found, asked = np.zeros(known.n_users), listed == items[users]
    found[users[asked]] = scores[asked]
    return found
