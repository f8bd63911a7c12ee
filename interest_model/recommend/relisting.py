"""The best candidates of each user put into a list: as they are scored, or with diversity. No Spark."""

from typing import NamedTuple

import numpy as np

from interest_model.recommend.blend import Model
from interest_model.recommend.context import Context
from interest_model.recommend.diversity import breadth, dpp, history_breadth, mmr, msd, strength_of
from interest_model.recommend.histories import latest

_METHODS = {"dpp": dpp, "mmr": mmr, "msd": msd}


class Diversity(NamedTuple):
    """method: dpp | mmr | msd; strength: in shares of the user's best score, 0: none, for a user as broad as everybody;
    candidates: how many of the best are put in a new order."""

    method: str
    strength: float
    candidates: int


NO_DIVERSITY = Diversity("msd", 0.0, 0)


def relisted(best, context: Context, model: Model, length: int, wide: Diversity):
    """Users, ranks, items, scores of lists of this length, from those of the candidates (see sparse_scores.top).

    A user whose interests are broader than everybody's taken together gets more diversity than wide.strength, one with
    narrow interests less; without a hierarchy of topics the texts of the history say how broad they are.
    """
    kept = best[1] <= (max(length, wide.candidates) if wide.strength > 0 else length)
    users, ranks, items, values = (column[kept] for column in best)
    if wide.strength <= 0:
        return users, ranks, items, values
    n_users = context.histories.n_users
    width = int(ranks.max(initial=1))
    listed, scores = np.full((n_users, width), -1, dtype=np.int64), np.zeros((n_users, width))
    listed[users, ranks - 1], scores[users, ranks - 1] = items, values
    own, everybody = _breadths(context, model)
    strengths = strength_of(own, wide.strength, everybody)
    new = _METHODS[wide.method](listed, scores, model.vectors, strengths, length)
    rows, places = np.nonzero(new.order >= 0)
    return rows, places + 1, listed[rows, new.order[rows, places]], new.scores[rows, places]


def _breadths(context: Context, model: Model) -> tuple[np.ndarray, float]:
    """(n_users,) how broad each user's interests are, and everybody's taken together."""
    n_users = context.histories.n_users
    if len(model.topic_shares):
        found = context.interests
        return breadth(found.share, found.users, n_users), float(1.0 - (model.topic_shares**2).sum())
    known = latest(context.histories, int(model.history_length))
    counted = known.weights * 0.5 ** (np.maximum(context.at_day - known.days, 0.0) / model.half_lives[2])
    everybody = np.zeros(model.n_items, dtype=np.int64)
    together = history_breadth(model.vectors, np.arange(model.n_items), model.trends[:, 0], everybody, 1)
    return history_breadth(model.vectors, known.items, counted, known.rows, n_users), float(together[0])
