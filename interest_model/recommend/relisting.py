"""The best candidates of each user put into a list: as they are scored, or with diversity. No Spark."""

from typing import NamedTuple

import numpy as np

from interest_model.interest.states_of_users import States
from interest_model.recommend.blend import Model
from interest_model.recommend.diversity import breadth, dpp, mmr, strength_of

_METHODS = {"dpp": dpp, "mmr": mmr}


class Diversity(NamedTuple):
    """method: dpp | mmr; strength: in shares of the user's best score, 0: none, for a user as broad as everybody;
    candidates: how many of the best are put in a new order."""

    method: str
    strength: float
    candidates: int


NO_DIVERSITY = Diversity("mmr", 0.0, 0)


def relisted(best, found: States, model: Model, shape: tuple[int, int], wide: Diversity):
    """Users, ranks, items, scores of the lists, from those of the candidates (see sparse_scores.top).

    shape: number of users, length of the lists. A user whose interests are broader than everybody's taken together gets
    more diversity than wide.strength, one with narrow interests less; without topics all get the same.
    """
    users, ranks, items, values = best
    n_users, length = shape
    if wide.strength <= 0:
        kept = ranks <= length
        return users[kept], ranks[kept], items[kept], values[kept]
    width = int(ranks.max(initial=1))
    listed, scores = np.full((n_users, width), -1, dtype=np.int64), np.zeros((n_users, width))
    listed[users, ranks - 1], scores[users, ranks - 1] = items, values
    own = breadth(found.share, found.users, n_users)
    strengths = strength_of(own, wide.strength, 1.0 - float((model.topic_shares**2).sum()))
    new = _METHODS[wide.method](listed, scores, model.vectors, strengths, length)
    rows, places = np.nonzero(new.order >= 0)
    return rows, places + 1, listed[rows, new.order[rows, places]], new.scores[rows, places]
