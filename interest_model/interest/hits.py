"""Hits: which visits of a user were about a topic. No Spark."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Hits:
    """Which visits of n users were about which topic, for p pairs of a user and a topic.

    visit_indptr (n + 1,) int64: user k's visits are visit_indptr[k]:visit_indptr[k + 1], oldest first; visit_days
    (v,) float64: days since 1970-01-01 UTC; users (p,) int64: the user of each pair; indptr (p + 1,) int64: pair i's
    hits are visits[indptr[i]:indptr[i + 1]]; visits (h,) int64: positions in visit_days, ascending within a pair.
    """

    visit_indptr: np.ndarray
    visit_days: np.ndarray
    users: np.ndarray
    indptr: np.ndarray
    visits: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """(p,) hits of each pair."""
        return np.diff(self.indptr)

    @cached_property
    def pairs(self) -> np.ndarray:
        """(h,) the pair of each hit."""
        return np.repeat(np.arange(len(self.users)), self.counts)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(h,) how many visits the user had before the hit."""
        return self.visits - self.visit_indptr[self.users[self.pairs]]

    @cached_property
    def n_visits(self) -> np.ndarray:
        """(p,) visits of each pair's user."""
        return np.diff(self.visit_indptr)[self.users]

    @cached_property
    def keys(self) -> np.ndarray:
        """(h,) ascending numbers of (pair, visit)."""
        return self.key(self.pairs, self.visits)

    def key(self, pairs: np.ndarray, visits: np.ndarray) -> np.ndarray:
        """Number of (pair, visit); one larger than the last visit is allowed."""
        return pairs * (len(self.visit_days) + 1) + visits


def latest(hits: Hits, since: float) -> Hits:
    """The same pairs with only the visits at or after a moment (days since 1970-01-01 UTC)."""
    kept = hits.visit_days >= since
    if kept.all():
        return hits
    dropped = np.concatenate([[0], np.cumsum(~kept)])
    kept_hits = kept[hits.visits]
    return Hits(
        visit_indptr=hits.visit_indptr - dropped[hits.visit_indptr],
        visit_days=hits.visit_days[kept],
        users=hits.users,
        indptr=np.concatenate([[0], np.cumsum(kept_hits)])[hits.indptr],
        visits=(hits.visits - dropped[hits.visits])[kept_hits],
    )
