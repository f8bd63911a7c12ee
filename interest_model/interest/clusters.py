"""The topic hierarchy learned from item vectors: top-down k-means, with ids that outlive a refit. No Spark."""

import dataclasses
import warnings
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from interest_model.interest.topic_tree import (
    MAX_TIERS,
    TopicTree,
    assign,
    fit_standard,
    has_vector,
    nearest,
    standardise,
)

OVERLAP_SHARE = 0.75  # of the score of a match; the rest is the cosine of the centres
LEAST_SCORE = 0.4  # a weaker match is none
LEAST_COSINE = 0.7  # where neither topic has an item known to both nights, the cosine alone must reach this
_FAR = 1e3  # points are of length one: nothing is nearest to a topic without items
# scikit-learn's threads add their centres in the order in which they end: other last bits, another version of the tree
_ON_ONE_THREAD = threadpool_limits.wrap(limits=1)


@dataclasses.dataclass(frozen=True)
class Growth:
    """How a tree is learned.

    branching: for each tier, into how many topics a topic is split at most; min_items: no topic has fewer (unless all
    items together are fewer); fit_items: a split of more items is fitted on so many of them; starts: k-means++ starts,
    the best is kept; keep_within: how much less variance, as a share of what the best split explains, the old split may
    explain and still be kept by a refit (below 0: the old split is not tried).
    """

    branching: tuple[int, ...] = (8, 6)
    min_items: int = 20
    fit_items: int = 50_000
    starts: int = 4
    max_iterations: int = 100
    keep_within: float = 0.05
    seed: int = 7

    def __post_init__(self) -> None:
        if not 2 <= len(self.branching) <= MAX_TIERS or min(self.branching) < 1:
            raise ValueError(f"branching must hold 2 to {MAX_TIERS} numbers, each at least 1")
        if min(self.min_items, self.fit_items, self.starts, self.max_iterations) < 1:
            raise ValueError("min_items, fit_items, starts and max_iterations must be at least 1")
        if self.fit_items < max(self.branching):
            raise ValueError("fit_items must be at least the largest branching")


class _Old(NamedTuple):
    """The tree before, and each item's topic at every tier of it (-1: the item is new)."""

    tree: TopicTree
    places: list[np.ndarray]


class _Node(NamedTuple):
    """A topic on the way: the items (rows of the points) in it; old: the matched topic before, None where unmatched."""

    tier: int
    parent: int
    centre: np.ndarray | None
    items: np.ndarray
    old: int | None


@_ON_ONE_THREAD
def learn(vectors: np.ndarray, growth: Growth, version: str) -> TopicTree:
    """A tree learned from vectors (n, d), NaN rows left out; its ids are "t-VERSION-NUMBER", its labels still "".

    Each topic is split by k-means on standardised vectors (Lloyd's algorithm with k-means++ starts, Arthur and
    Vassilvitskii 2007; scikit-learn moves a centre that lost all its points to the point farthest from its own).
    Children below min_items are dissolved into their nearest siblings; a topic too small to split has one child.
    `assign` with the tree places the same vectors as learning did. No vectors: no topics.
    """
    return _grow(vectors, growth, version, None)


@_ON_ONE_THREAD
def refit(before: TopicTree, vectors: np.ndarray, growth: Growth, version: str) -> TopicTree:
    """A tree learned anew in which a topic that was there before keeps its id, label and keywords.

    Each split takes the first of these that explains nearly as much as the best (keep_within): the old children where
    they are; Lloyd's algorithm from there, filled up with far points where more children are possible; a fresh start.
    Without this, two runs on vectors that have no clear clusters cut them in different ways and most ids are lost.
    Topics are matched tier by tier, within matched parents, by the assignment (Kuhn 1955) that maximises the
    Jaccard overlap of items known to both and the cosine of the centres. Topics without a match get ids of this
    version. Raises ValueError where `before` has ids of this version already.
    """
    if any(topic.startswith(_fresh_id(version, "")) for topic in before.topic_ids):
        raise ValueError(f"refit: version '{version}' has given out ids before; every refit needs its own")
    if before.by_category or not before.depth:
        return learn(vectors, growth, version)
    return _grow(vectors, growth, version, _Old(before, _places(before, assign(before, vectors))))


def carried_over(before: TopicTree, vectors: np.ndarray, leaves: np.ndarray) -> TopicTree:
    """The same topics among the vectors (n, d) of another encoder: a topic is where its items lie now.

    leaves (n,): position in `before` of each item's leaf, -1: none is known. At least one item must have both. To learn
    anew instead would lose most ids: two encoders draw their clusters' borders in different places.
    """
    known = np.flatnonzero(has_vector(vectors) & (leaves >= 0))
    mean, scale = fit_standard(vectors[known])
    points, count = standardise(vectors[known], mean, scale), len(before.topic_ids)
    sums, sizes = np.zeros((count, points.shape[1])), np.zeros(count)
    for place in _places(before, leaves[known]):
        np.add.at(sums, place, points)
        sizes += np.bincount(place, minlength=count)
    centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1.0)[:, None], _FAR)
    return before._replace(centres=centres.astype(np.float32), mean=mean, scale=scale)


def _places(tree: TopicTree, leaves: np.ndarray) -> list[np.ndarray]:
    """Of each tier, widest first, the positions (n,) of the topics of items by their leaf (n,), -1 where it is."""
    places = [leaves]
    for _ in range(tree.depth - 1):
        places.insert(0, np.where(places[0] >= 0, tree.parents[places[0]], -1))
    return places


def _grow(vectors: np.ndarray, growth: Growth, version: str, old: _Old | None) -> TopicTree:
    known = np.flatnonzero(has_vector(vectors))
    if not len(known):
        return _as_tree([], vectors.shape[1], version, old)
    mean, scale = fit_standard(vectors[known])
    points = standardise(vectors[known], mean, scale)
    if old is not None:
        old = _Old(old.tree, [place[known] for place in old.places])
    nodes: list[_Node] = []
    level = [_Node(0, -1, None, np.arange(len(points)), None if old is None else -1)]
    for tier in range(1, len(growth.branching) + 1):
        first = len(nodes) - len(level) if tier > 1 else -1  # position of the level's first topic; the root has none
        for number, node in enumerate(level):
            nodes += _children(points, node, first + number, growth, old)
        level = [node for node in nodes if node.tier == tier]
    return _as_tree(nodes, vectors.shape[1], version, old)._replace(mean=mean, scale=scale)


def _children(points: np.ndarray, node: _Node, position: int, growth: Growth, old: _Old | None) -> list[_Node]:
    """The topics that `node`, itself at `position`, is split into, the largest first."""
    olds = np.zeros(0, dtype=np.int64)
    if old is not None and node.old is not None and node.tier < old.tree.depth:
        olds = np.flatnonzero(old.tree.parents == node.old)
    start = old.tree.centres[olds] if len(olds) else None
    seed = np.random.default_rng([growth.seed, node.tier, position + 1])
    centres, labels = split(points[node.items], growth.branching[node.tier], growth, seed, start)
    matched: list[int | None] = [None] * len(centres)
    if len(olds):
        matched = _matched(old, olds, centres, old.places[node.tier][node.items], labels)
    order = np.argsort(-np.bincount(labels, minlength=len(centres)), kind="stable")
    return [_Node(node.tier + 1, position, centres[k], node.items[labels == k], matched[k]) for k in order]


def split(
    points: np.ndarray, most: int, growth: Growth, rng: np.random.Generator, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` clusters of points (n, d), none below min_items: centres (k, d) and each point's cluster (n,).

    `start` (j, d): centres of the split before, preferred while they are nearly as good (see `refit`).
    """
    k = max(1, min(most, len(points) // growth.min_items))
    if k == 1:
        return points.mean(axis=0, keepdims=True), np.zeros(len(points), dtype=np.int64)
    sample = points
    if len(points) > growth.fit_items:
        sample = points[np.sort(rng.choice(len(points), growth.fit_items, replace=False))]
    seed = int(rng.integers(2**31))
    fits = [_large_enough(points, _k_means(sample, k, growth, seed), growth.min_items)]
    if start is not None and len(start) <= k and growth.keep_within >= 0:
        moved = _k_means(sample, k, growth, seed, _with_farthest(sample, start, k))
        fits = [_large_enough(points, centres, growth.min_items) for centres in (start, moved)] + fits
    total = float(nearest(points, points.mean(axis=0, keepdims=True))[1].sum())
    explained = [total - inertia for _, _, inertia in fits]
    enough = max(explained) - growth.keep_within * abs(max(explained))
    centres, labels, _ = next(fit for fit, one in zip(fits, explained, strict=True) if one >= enough or fit is fits[-1])
    return centres, labels


def _k_means(points: np.ndarray, k: int, growth: Growth, seed: int, start: np.ndarray | None = None) -> np.ndarray:
    fit = KMeans(
        k,
        init="k-means++" if start is None else start,
        n_init=growth.starts if start is None else 1,
        max_iter=growth.max_iterations,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: dissolved later
        return fit.fit(points).cluster_centers_


def _with_farthest(points: np.ndarray, start: np.ndarray, k: int) -> np.ndarray:
    """`start` filled up to k centres, each the point farthest from all before it."""
    centres = start.astype(points.dtype)
    while len(centres) < k:
        _, distances = nearest(points, centres)
        centres = np.vstack([centres, points[distances.argmax()]])
    return centres


def _large_enough(points: np.ndarray, centres: np.ndarray, min_items: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Centres with at least min_items points each (the smallest is dissolved until all have), labels and inertia."""
    while True:
        labels, distances = nearest(points, centres)
        sizes = np.bincount(labels, minlength=len(centres))
        if len(centres) == 1 or sizes.min() >= min_items:
            return centres, labels, float(distances.sum())
        centres = np.delete(centres, sizes.argmin(), axis=0)


def _matched(
    old: _Old, olds: np.ndarray, centres: np.ndarray, places: np.ndarray, labels: np.ndarray
) -> list[int | None]:
    """Position of the old topic of each of k new ones, None: unmatched. places (n,): the old topic of each point."""
    row = np.full(len(old.tree.topic_ids) + 1, -1)
    row[olds] = np.arange(len(olds))
    old_rows = row[places]
    inside = old_rows >= 0
    both = np.zeros((len(olds), len(centres)))
    np.add.at(both, (old_rows[inside], labels[inside]), 1)
    old_sizes = np.bincount(old.places[old.tree.tiers[olds[0]] - 1] + 1, minlength=len(row))[olds + 1]
    new_sizes = np.bincount(labels[places >= 0], minlength=len(centres))
    cosine = _cosines(old.tree.centres[olds], centres)
    found: list[int | None] = [None] * len(centres)
    score, least = match_scores(both, old_sizes, new_sizes, cosine)
    for one, new in zip(*linear_sum_assignment(-score), strict=True):
        if score[one, new] >= least[one, new]:
            found[new] = int(olds[one])
    return found


def match_scores(
    both: np.ndarray, old_sizes: np.ndarray, new_sizes: np.ndarray, cosine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Score of every pair of an old and a new topic, (o, k), and the least that makes a match, (o, k).

    both (o, k): items in both topics; old_sizes (o,), new_sizes (k,): their items among those known to both nights.
    """
    union = old_sizes[:, None] + new_sizes[None, :] - both
    mixed = OVERLAP_SHARE * both / np.maximum(union, 1) + (1 - OVERLAP_SHARE) * np.maximum(cosine, 0.0)
    return np.where(union > 0, mixed, cosine), np.where(union > 0, LEAST_SCORE, LEAST_COSINE)


def _cosines(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(old, axis=1)[:, None] * np.linalg.norm(new, axis=1)[None, :]
    return old @ new.T / np.where(lengths > 0, lengths, 1.0)


def _fresh_id(version: str, number: int | str) -> str:
    return f"t-{version}-{number}"


def _as_tree(nodes: list[_Node], dimensions: int, version: str, old: _Old | None) -> TopicTree:
    """Nodes in tree order as a TopicTree; mean and scale are left at 0 and 1."""
    ids, labels, keywords, fresh = [], [], [], 0
    for node in nodes:
        if old is not None and node.old is not None:
            ids.append(old.tree.topic_ids[node.old])
            labels.append(old.tree.labels[node.old])
            keywords.append(old.tree.keywords[node.old])
        else:
            fresh += 1
            ids.append(_fresh_id(version, fresh))
            labels.append("")
            keywords.append(())
    centres = np.array([node.centre for node in nodes], dtype=np.float32).reshape(len(nodes), dimensions)
    return TopicTree(
        topic_ids=np.array(ids, dtype=object),
        tiers=np.array([node.tier for node in nodes], dtype=np.int8),
        parents=np.array([node.parent for node in nodes], dtype=np.int32),
        labels=np.array(labels, dtype=object),
        keywords=keywords,
        centres=centres,
        n_items=np.array([len(node.items) for node in nodes], dtype=np.int64),
        mean=np.zeros(dimensions, dtype=np.float32),
        scale=np.ones(dimensions, dtype=np.float32),
    )
