"""Hits of single topics, written as words, for tests."""

import numpy as np

from interest_model.interest.hits import Hits
from tests.interest.planted import AT_DAY


def hits(*users: str, days_apart: float = 2.0) -> Hits:
    """Hits of one topic per user from words like "0110": a visit every days_apart days, the last just before AT_DAY."""
    words = [np.array(list(word)) == "1" for word in users]
    visits = np.flatnonzero(np.concatenate([*words, np.zeros(0, bool)]))
    days = [AT_DAY - days_apart * np.arange(len(word), 0, -1) + 0.5 for word in words]
    return Hits(
        visit_indptr=np.cumsum([0, *map(len, words)]),
        visit_days=np.concatenate([*days, np.zeros(0)]),
        users=np.arange(len(words)),
        indptr=np.cumsum([0, *(int(word.sum()) for word in words)]),
        visits=visits,
    )
