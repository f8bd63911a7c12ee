"""Re-ranking of a user's best candidates for diversity, and how much of it a user gets. numpy and scipy only, no Spark.

All methods pick one candidate after another, each time the one with the largest

    relevance + strength * penalty        relevance = score / the user's best score, within [0, 1]

where the penalty (<= 0) says how much the candidate repeats what is already listed:

- dpp: greedy MAP of a determinantal point process with kernel L = diag(q) S diag(q), q = exp(relevance / (2 strength)):
  the penalty is the log of the variance that S leaves the candidate given the listed ones, kept by an incremental
  Cholesky factor (Chen, Zhang and Zhou 2018, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
  Recommendation Diversity"; in production: Wilhelm et al. 2018, "Practical Diversified Recommendations on YouTube with
  Determinantal Point Processes").
- mmr: maximal marginal relevance: minus the largest similarity to a listed candidate (Carbonell and Goldstein 1998;
  their lambda is 1 / (1 + strength)).
- msd: max-sum diversification: minus the mean similarity to the nine listed last, those not there yet counting none.
  Lists are judged and read by pages of ten, whose intra-list distance is one minus the mean similarity of all pairs:
  so the penalty is what a pick takes from it (Gollapudi and Sharma 2009, "An Axiomatic Approach for Result
  Diversification"; the greedy: Borodin, Lee and Ye 2012, "Max-Sum Diversification, Monotone Submodular Functions and
  Dynamic Updates"). It buys most distance for the same accuracy.

S is the cosine of the item vectors, with a ridge: S = (cosine + RIDGE * I) / (1 + RIDGE). The cosine kernel has rank d
at most and is singular for duplicates; with the ridge a variance never falls below RIDGE / (1 + RIDGE), so the greedy
never stops early and no logarithm runs away. An item without a vector is orthogonal to every other and has a unit
diagonal: it is neither punished nor does it punish.

A penalty of dpp and mmr only falls while a list grows. So relevance plus penalty of the picked rows never rises from
rank to rank, and times the user's best score it is in units of the blend: that is the score to report (see Relisted);
of msd, which forgets what lies ten ranks above, the least so far.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

RIDGE = 0.01
_FLOOR = RIDGE / (1.0 + RIDGE)
_USERS_AT_ONCE = 64  # so many kernels fit in the processor's cache
_DECIMALS = 9  # values closer than this are ties and go to the better place
_PAGE = 10  # ranks of a list that are seen together
_MOST_TIMES = 2.0  # a very broad user gets at most so many times the base strength


class Relisted(NamedTuple):
    """Lists of u users. order (u, length) int64: places into the candidates, best first, -1 where candidates ran out.
    scores (u, length) float64: blended score plus best score * strength * penalty, NaN where order is -1; never rises
    from rank to rank, never above the item's own blended score, equal to it where strength is zero; may be negative."""

    order: np.ndarray
    scores: np.ndarray


class _Variance:
    """Penalty of the DPP: log of the variance left to each candidate, given the listed ones. kernels (b, c, c)."""

    def __init__(self, kernels: np.ndarray, length: int):
        self.kernels, self.users, self.listed = kernels, np.arange(len(kernels)), 0
        self.factor = np.zeros((len(kernels), length, kernels.shape[1]))
        self.variance = np.ones(kernels.shape[:2])  # the diagonal of S

    def penalty(self) -> np.ndarray:
        return np.log(self.variance)

    def add(self, best: np.ndarray) -> None:
        known, pivot = self.factor[:, : self.listed], np.sqrt(self.variance[self.users, best])
        explained = np.matmul(known[self.users, :, best][:, None, :], known)[:, 0]
        row = (self.kernels[self.users, best] - explained) / pivot[:, None]
        self.factor[:, self.listed] = row
        self.variance = np.maximum(self.variance - row * row, _FLOOR)  # exact arithmetic would not pass the floor
        self.listed += 1


class _Closest:
    """Penalty of MMR: minus each candidate's largest similarity to a listed one, zero at first. kernels (b, c, c)."""

    def __init__(self, kernels: np.ndarray, length: int):
        self.kernels, self.users = kernels, np.arange(len(kernels))
        self.closest = np.zeros(kernels.shape[:2])

    def penalty(self) -> np.ndarray:
        return -self.closest

    def add(self, best: np.ndarray) -> None:
        self.closest = np.maximum(self.closest, self.kernels[self.users, best])


class _Crowd:
    """Penalty of max-sum diversification: minus each candidate's similarities to the _PAGE - 1 listed last, over their
    number. kernels (b, c, c)."""

    def __init__(self, kernels: np.ndarray, length: int):
        self.kernels, self.users = np.maximum(kernels, 0.0), np.arange(len(kernels))
        self.listed: list[np.ndarray] = []
        self.alike = np.zeros(kernels.shape[:2])

    def penalty(self) -> np.ndarray:
        return -self.alike / (_PAGE - 1)

    def add(self, best: np.ndarray) -> None:
        self.listed.append(self.kernels[self.users, best])
        self.alike = self.alike + self.listed[-1]
        if len(self.listed) == _PAGE:
            self.alike = np.maximum(self.alike - self.listed.pop(0), 0.0)  # rounding could leave less than nothing


def dpp(items: np.ndarray, scores: np.ndarray, vectors: np.ndarray, strength: np.ndarray, length: int) -> Relisted:
    """The candidates re-ranked by greedy MAP of a DPP.

    items (u, c) int: catalogue positions, best first, -1 after the last. scores (u, c) float64: never rising along a
    row; any scale, zero or less counts as no relevance; ignored where items is -1. vectors (n, d): unit length, or zero
    where an item has no text. strength (u,) >= 0: relevance given up for a unit of log variance; 0 keeps the order.
    Only the c candidates are ever listed, and min(length, candidates) of them always are. Ties go to the better place.
    ValueError: shapes differ, a strength is negative or NaN, scores rise.
    """
    return _relisted(_Variance, items, scores, vectors, strength, length)


def mmr(items: np.ndarray, scores: np.ndarray, vectors: np.ndarray, strength: np.ndarray, length: int) -> Relisted:
    """The candidates re-ranked by maximal marginal relevance. As `dpp`, but strength (u,) is the relevance given up for
    a unit of cosine; for like effect it is about three times that of `dpp`."""
    return _relisted(_Closest, items, scores, vectors, strength, length)


def msd(items: np.ndarray, scores: np.ndarray, vectors: np.ndarray, strength: np.ndarray, length: int) -> Relisted:
    """The candidates re-ranked by max-sum diversification. As `dpp`, but strength (u,) is the relevance given up for a
    unit of mean cosine; for like effect it is about one and a half times that of `mmr`."""
    return _relisted(_Crowd, items, scores, vectors, strength, length)


def _relisted(method: Callable, items, scores, vectors, strength, length: int) -> Relisted:
    _check(items, scores, strength)
    parts = [Relisted(np.zeros((0, length), dtype=np.int64), np.zeros((0, length)))]
    for start in range(0, len(items), _USERS_AT_ONCE):
        some = slice(start, start + _USERS_AT_ONCE)
        penalties = method(_kernels(items[some], vectors), min(length, items.shape[1]))
        parts.append(_greedy(penalties, items[some] >= 0, scores[some], strength[some], length))
    return Relisted(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _check(items: np.ndarray, scores: np.ndarray, strength: np.ndarray) -> None:
    if items.shape != scores.shape or strength.shape != items.shape[:1]:
        raise ValueError(f"diversity: shapes differ: items {items.shape}, scores {scores.shape}, {strength.shape}")
    if not (strength >= 0).all():
        raise ValueError("diversity: a strength must be zero or above")
    if not ((np.diff(scores, axis=1) <= 0) | (items[:, 1:] < 0)).all():
        raise ValueError("diversity: candidates must come best first")


def _kernels(items: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(b, c, c) float64 S of each user's candidates off the diagonal; the ones on it are the methods' own start.

    Cosines in steps of 2**-20, so that the last bits of a matrix product decide nothing.
    """
    own = np.where(items[..., None] >= 0, vectors[np.maximum(items, 0)], 0.0).astype(np.float64)
    return np.rint(own @ own.swapaxes(1, 2) * 2.0**20) * (2.0**-20 / (1.0 + RIDGE))


def _greedy(penalties, free: np.ndarray, scores: np.ndarray, strength: np.ndarray, length: int) -> Relisted:
    """Relisted of b users. penalties: a _Variance, _Closest or _Crowd; free (b, c) bool: true candidates."""
    users, best_score = np.arange(len(free)), np.where(free, scores, 0.0).max(axis=1, initial=0.0)
    scale = np.maximum(best_score, 1e-30)[:, None]
    relevance = np.where(free, np.clip(scores / scale, 0.0, 1.0), -np.inf)
    order, reported = np.full((len(free), length), -1), np.full((len(free), length), np.nan)
    for rank in range(min(length, free.shape[1])):
        penalty = strength[:, None] * penalties.penalty()
        best = np.round(relevance + penalty, _DECIMALS).argmax(axis=1)
        real = relevance[users, best] > -np.inf
        order[:, rank] = np.where(real, best, -1)
        reported[:, rank] = np.where(real, scores[users, best] + best_score * penalty[users, best], np.nan)
        relevance[users, best] = -np.inf
        penalties.add(best)
    return Relisted(order, np.minimum.accumulate(reported, axis=1))  # rounding alone could let a score rise


def breadth(shares: np.ndarray, rows: np.ndarray, n_users: int) -> np.ndarray:
    """(n_users,) breadth of interest from topic shares, in [0, 1); NaN for a user without any share.

    shares (k,) >= 0: of the topics of one level of the tree, any scale per user; rows (k,): the user of each. One minus
    the sum of squared shares (Gini-Simpson): how likely two draws from the user's interest fall into different topics.
    One topic gives 0, m equal ones 1 - 1 / m; it does not depend on how many topics there are elsewhere.

    A list should be as wide as its user: diversity pays where it covers several interests of the user (Vargas and
    Castells 2013, "Exploiting the Diversity of User Preferences for Recommendation") and a list's spread should follow
    the spread of the user's past (Steck 2018, "Calibrated Recommendations").
    """
    totals = np.bincount(rows, shares, n_users)
    parts = shares / np.maximum(totals, 1e-30)[rows]
    return np.where(totals > 0, np.clip(1.0 - np.bincount(rows, parts * parts, n_users), 0.0, 1.0), np.nan)


def history_breadth(
    vectors: np.ndarray, items: np.ndarray, weights: np.ndarray, rows: np.ndarray, n_users: int
) -> np.ndarray:
    """(n_users,) breadth of interest from the texts of a user's history, in [0, 1], where there are no topics.

    vectors (n, d): as in `dpp`. items, weights, rows (m,): catalogue position, weight >= 0 and user of each event. The
    mean 1 - cosine over pairs of different events, weighted by both: what `breadth` is with a distance between topics
    instead of same or different (Rao's quadratic entropy). From the length of the weighted sum of vectors, without the
    pairs of an event with itself: else few events would look narrow. NaN for a user with fewer than two events that
    have a vector and a weight.
    """
    known = (weights > 0) & vectors.any(axis=1)[items]
    items, weights, rows = items[known], weights[known].astype(np.float64), rows[known]
    sums = sp.csr_matrix((weights, (rows, items)), (n_users, len(vectors))) @ vectors.astype(np.float64)
    totals, squares = np.bincount(rows, weights, n_users), np.bincount(rows, weights * weights, n_users)
    pairs = totals * totals - squares
    mean_cosine = ((sums * sums).sum(axis=1) - squares) / np.where(pairs > 0, pairs, 1.0)
    enough = np.bincount(rows, minlength=n_users) >= 2
    return np.where(enough, np.clip(1.0 - mean_cosine, 0.0, 1.0), np.nan)


def strength_of(breadth: np.ndarray, base: float, typical: float) -> np.ndarray:
    """(u,) each user's strength for `dpp` or `mmr`: base * breadth / typical, at most twice the base.

    breadth (u,): NaN where unknown, which gives the base. typical: the breadth at which a user gets the base, for
    instance everybody's taken together; never that of one batch, since a list must not depend on who else is in it.
    Zero or NaN (nobody's is known, or nobody has any) gives everyone the base.
    """
    if not typical > 0:
        return np.full(len(breadth), float(base))
    return base * np.where(np.isnan(breadth), 1.0, np.clip(breadth / typical, 0.0, _MOST_TIMES))
