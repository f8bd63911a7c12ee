"""Ranking metrics of one list against what its user took: a value per user. numpy only, no Spark.

Lists are rows of a padded array: items (u, k) in rank order, -1 where a list is shorter. Truth is given as hits (u, k)
bool and the number of items each user took, n_truth (u,) >= 1. A user without truth is not judged at all and must not
be given; a user with truth but an empty list counts zero in NDCG, recall, hit rate and MRR, and not at all in novelty
and intra-list distance (NaN), which describe lists. Lists carry no ties: equal scores were ordered by item_id when
issued.
"""

import numpy as np

ACCURACY = ("ndcg", "recall", "hit_rate", "mrr")
UNKNOWN_ITEMS = 2**20  # positions after the catalogue's, for items of the truth that it does not know
# Yang et al. (see ndcg_debiased) take the power (gamma + 1) / 2 of how often an item was observed, where being shown
# goes with popularity to the power gamma. gamma 0, the mildest: an item nobody took then weighs 100 times one of 10,000
# users. At gamma 2 it is a million times, and the figure of a user says no more than whether their rarest item was hit.
PROPENSITY_POWER = 0.5


def ndcg(hits: np.ndarray, n_truth: np.ndarray, k: int) -> np.ndarray:
    """(u,) sum of 1 / log2(rank + 1) over hits up to rank k, over the same for a perfect list of min(k, n_truth)
    hits."""
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(gains)[np.minimum(n_truth, k) - 1]
    return hits[:, :k] @ gains[: min(k, hits.shape[1])] / ideal


def inverse_propensity(items: np.ndarray, item_users: np.ndarray) -> np.ndarray:
    """Weight of each item for `ndcg_debiased`, in the shape of `items`: (users + 1) ** -PROPENSITY_POWER.

    item_users (n,): users of each catalogue item as known when the list was made; one is added to each, so that an
    unseen item has a finite weight. A position outside the catalogue counts as an item without users.
    """
    users = np.append(item_users, 0.0)[np.where((items >= 0) & (items < len(item_users)), items, len(item_users))]
    return (users + 1.0) ** -PROPENSITY_POWER


def ndcg_debiased(hit_weights: np.ndarray, truth_weights: np.ndarray, k: int) -> np.ndarray:
    """(u,) NDCG where a hit counts by its inverse propensity, over the same for the best list of the user's own truth.

    hit_weights (u, length): `inverse_propensity` of each hit, zero elsewhere; truth_weights (u, t): of all that the
    user took, largest first, padded with zeros. After Yang, Cui, Xuan, Wang, Belongie and Estrin 2018, "Unbiased
    offline recommender evaluation for missing-not-at-random implicit feedback" (RecSys): the propensity is a power of
    an item's popularity, and each user's figure is divided by a sum of the same weights, so that a common factor does
    not matter. They divide by the sum over all that the user took; here it is the best list of k, which keeps an NDCG
    between zero and one. They leave out items nobody took; here one user is added to each. With one item to find, as in
    leave-one-out, its weight cancels: the figure is NDCG.
    """
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    found, best = hit_weights[:, :k], truth_weights[:, :k]
    return (found @ gains[: found.shape[1]]) / (best @ gains[: best.shape[1]])


def recall(hits: np.ndarray, n_truth: np.ndarray, k: int) -> np.ndarray:
    """(u,) share of what the user took that the first k ranks hold."""
    return hits[:, :k].sum(axis=1) / n_truth


def hit_rate(hits: np.ndarray, n_truth: np.ndarray, k: int) -> np.ndarray:
    """(u,) one where the first k ranks hold anything the user took, else zero."""
    return hits[:, :k].any(axis=1).astype(np.float64)


def mrr(hits: np.ndarray, n_truth: np.ndarray, k: int) -> np.ndarray:
    """(u,) one over the rank of the first hit, zero where the first k ranks hold none."""
    first = hits[:, :k].argmax(axis=1) + 1.0
    return np.where(hits[:, :k].any(axis=1), 1.0 / first, 0.0)


def novelty(items: np.ndarray, item_users: np.ndarray, k: int) -> np.ndarray:
    """(u,) mean over the first k items of -log2 of the item's share of all consumption; NaN for an empty list.

    item_users (n,): users of each catalogue item as known when the list was made; one is added to each, so that an
    unseen item has a finite value. Bits; higher is less well known.
    """
    information = -np.log2((item_users + 1.0) / (item_users + 1.0).sum())
    shown = items[:, :k]
    counts = (shown >= 0).sum(axis=1)
    totals = np.where(shown >= 0, information[np.maximum(shown, 0)], 0.0).sum(axis=1)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def intra_list_distance(items: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """(u,) mean of 1 - cosine over pairs of the first k items that have a vector; NaN with fewer than two of them.

    vectors (n, d): unit length, or zero where an item has no text. Uses |sum of unit vectors|^2 = m + 2 sum of
    cosines.
    """
    shown = items[:, :k]
    total = np.zeros((len(items), vectors.shape[1]))
    squares = np.zeros(len(items))
    for rank in range(shown.shape[1]):
        one = np.where(shown[:, rank, None] >= 0, vectors[np.maximum(shown[:, rank], 0)], 0.0)
        total += one
        squares += (one * one).sum(axis=1)
    m = np.round(squares)
    cosines = ((total * total).sum(axis=1) - squares) / np.maximum(m * (m - 1.0), 1.0)
    return np.where(m >= 2, 1.0 - cosines, np.nan)


def coverage(listed: np.ndarray) -> float:
    """Share of the catalogue that appears in any list; listed (n,) bool."""
    return float(listed.mean()) if len(listed) else 0.0


_BY_NAME = {"ndcg": ndcg, "recall": recall, "hit_rate": hit_rate, "mrr": mrr}


def accuracy(name: str, hits: np.ndarray, n_truth: np.ndarray, k: int) -> np.ndarray:
    """(u,) the ACCURACY metric of that name."""
    return _BY_NAME[name](hits, n_truth, k)
