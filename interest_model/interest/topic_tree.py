"""The topic hierarchy: its nodes, how much of each item is of each topic, and its form in a table. No Spark."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler

MAX_TIERS = 4
OTHER = "other"
CATEGORY_PREFIX = "c-"
_CHUNK_ROWS = 16_384

Paths = Sequence[Sequence[str] | Sequence[Sequence[str]] | None]

PATH_SEPARATOR = " > "


class TopicTree(NamedTuple):
    """t topics, tier by tier from the widest, the children of a topic together; every leaf is in the deepest tier.

    topic_ids (t,) str: stable from version to version; tiers (t,) int8: from 1, the widest; parents (t,) int32:
    position of the parent, -1 in tier 1; labels (t,) str: "" before labels are made; keywords: t tuples of words, best
    first; centres (t, d) float32, in the space of `standardise`; n_items (t,) int64: items with any weight there;
    mean, scale (d,) float32: what standardises a vector. A tree made from categories has no centres: d is 0.
    """

    topic_ids: np.ndarray
    tiers: np.ndarray
    parents: np.ndarray
    labels: np.ndarray
    keywords: list[tuple[str, ...]]
    centres: np.ndarray
    n_items: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @property
    def depth(self) -> int:
        """Number of tiers; 0 for a tree without topics."""
        return int(self.tiers.max(initial=0))

    @property
    def by_category(self) -> bool:
        """Whether the topics are the source's own categories (else they were learned from vectors)."""
        return len(self.topic_ids) > 0 and self.topic_ids[0].startswith(CATEGORY_PREFIX)

    def in_tier(self, tier: int) -> np.ndarray:
        """Positions of the topics of a tier, ascending: the order of the columns of that tier's memberships."""
        return np.flatnonzero(self.tiers == tier)


# Categories


def is_tree(paths: Paths, agreement: float = 0.95, coverage: float = 0.5) -> bool:
    """Whether categories can serve as the hierarchy. `paths`: see `memberships`.

    They can where at least the share `coverage` of the items has any, tier 1 has two names, some path has two levels,
    and a name of level 2 or deeper stands below its usual parent in at least the share `agreement` of its items (free
    genres in alphabetical order, as of films, do not).
    """
    found = [_paths_of(one) for one in paths]
    every = [path[:MAX_TIERS] for item in found for path in item]
    if not every or sum(map(bool, found)) < coverage * len(found):
        return False
    parents: dict[tuple[int, str], Counter] = defaultdict(Counter)
    for path in every:
        for level in range(1, len(path)):
            parents[level, path[level]][path[level - 1]] += 1
    placed = sum(counts.total() for counts in parents.values())
    usual = sum(max(counts.values()) for counts in parents.values())
    return len({path[0] for path in every}) > 1 and placed > 0 and usual >= agreement * placed


def from_categories(paths: Paths, max_tiers: int = MAX_TIERS) -> TopicTree:
    """The tree of all paths, which are cut at `max_tiers`; a path shorter than the longest gets children "other NAME".

    A topic is its whole path, so one name below two parents makes two topics. Its id is a hash of the path: new items
    and new categories change no id. n_items counts the items by category alone (see `counted`). No paths: no topics.
    """
    every = {path[:max_tiers] for one in paths for path in _paths_of(one)}
    depth = max(map(len, every), default=0)
    nodes = {full[: tier + 1] for path in every for full in [_padded(path, depth)] for tier in range(depth)}
    ordered = sorted(nodes, key=lambda path: (len(path), path))
    place = {path: position for position, path in enumerate(ordered)}
    tree = TopicTree(
        topic_ids=np.array([_category_id(path) for path in ordered], dtype=object),
        tiers=np.array([len(path) for path in ordered], dtype=np.int8),
        parents=np.array([place.get(path[:-1], -1) for path in ordered], dtype=np.int32),
        labels=np.array([path[-1] for path in ordered], dtype=object),
        keywords=[() for _ in ordered],
        centres=np.zeros((len(ordered), 0), dtype=np.float32),
        n_items=np.zeros(len(ordered), dtype=np.int64),
        mean=np.zeros(0, dtype=np.float32),
        scale=np.zeros(0, dtype=np.float32),
    )
    return counted(tree, memberships(tree, paths))


def _paths_of(one) -> list[tuple[str, ...]]:
    """An item's distinct paths; empty names are left out."""
    if one is None or not len(one):
        return []
    paths = [one] if one[0] is None or isinstance(one[0], str) else one
    clean = (tuple(name for name in path if name) for path in paths if path is not None)
    return list(dict.fromkeys(path for path in clean if path))


def _padded(path: tuple[str, ...], depth: int) -> tuple[str, ...]:
    return path[:depth] + (f"{OTHER} {path[-1]}",) * (depth - len(path))


def _category_id(path: tuple[str, ...]) -> str:
    return CATEGORY_PREFIX + hashlib.sha256("\x1f".join(path).encode()).hexdigest()[:12]


# Memberships


def memberships(
    tree: TopicTree, paths: Paths | None = None, vectors: np.ndarray | None = None
) -> list[sparse.csr_matrix]:
    """For each tier, widest first, how much of each item is of each topic: (n_items, topics of the tier) float32.

    Rows sum to 1, or to 0 where nothing is known of the item; a topic's share is the sum of its children's.
    `paths` holds, for each item, one path of names from wide to narrow, several paths (each leaf then has the weight
    1 / leaves), or None; `vectors` is (n_items, d), a row of NaN where there is none. In a tree of categories an item
    without known path goes to the leaf whose items' mean vector is nearest; in a learned tree the vector alone decides.
    Raises ValueError where neither is given or their lengths differ.
    """
    lengths = {len(one) for one in (paths, vectors) if one is not None}
    if len(lengths) != 1:
        raise ValueError("memberships: give paths, vectors or both, of the same items")
    n_items = lengths.pop()
    if not tree.by_category:
        places = np.full(n_items, -1, np.int32) if vectors is None else assign(tree, vectors)
        return roll_up(tree, _one_leaf_each(tree, places))
    leaves = _leaves_by_path(tree, [None] * n_items if paths is None else paths)
    if vectors is not None:
        leaves = leaves + _leaves_by_mean(tree, leaves, vectors)
    return roll_up(tree, leaves)


def assign(tree: TopicTree, vectors: np.ndarray) -> np.ndarray:
    """(n,) int32 position of each vector's leaf in a learned tree, found top-down; -1 where the row is NaN.

    Changes nothing in the tree: a new night's items are placed with it until the next refit. Raises ValueError where
    the vectors are not of the tree's space.
    """
    leaves = np.full(len(vectors), -1, dtype=np.int32)
    known = np.flatnonzero(has_vector(vectors))
    if not len(known) or not len(tree.topic_ids):
        return leaves
    if vectors.shape[1] != len(tree.mean):
        raise ValueError(f"assign: vectors have {vectors.shape[1]} dimensions, the tree {len(tree.mean)}")
    points = standardise(vectors[known], tree.mean, tree.scale)
    here = np.full(len(points), -1, dtype=np.int32)
    for _ in range(tree.depth):
        for node in np.unique(here):
            members, children = np.flatnonzero(here == node), np.flatnonzero(tree.parents == node)
            here[members] = children[nearest(points[members], tree.centres[children])[0]]
    leaves[known] = here
    return leaves


def roll_up(tree: TopicTree, leaves: sparse.spmatrix) -> list[sparse.csr_matrix]:
    """Memberships of every tier, widest first, from those of the deepest, (n_items, leaves). No topics: none."""
    if not tree.depth:
        return []
    rolled = [sparse.csr_matrix(leaves, dtype=np.float32)]
    for tier in range(tree.depth, 1, -1):
        children, above = tree.in_tier(tier), tree.in_tier(tier - 1)
        columns = tree.parents[children] - above[0]
        ones = np.ones(len(children), dtype=np.float32)
        up = sparse.csr_matrix((ones, (np.arange(len(children)), columns)), shape=(len(children), len(above)))
        rolled.insert(0, (rolled[0] @ up).tocsr())
    return rolled


def counted(tree: TopicTree, tiers: list[sparse.csr_matrix]) -> TopicTree:
    """The tree with n_items as in these memberships."""
    counts = [np.asarray((tier > 0).sum(axis=0)).ravel() for tier in tiers]
    return tree._replace(n_items=np.concatenate([*counts, np.zeros(0)]).astype(np.int64))


def _leaves_by_path(tree: TopicTree, paths: Paths) -> sparse.csr_matrix:
    """(n, leaves) equal weights of an item's leaves; paths that the tree lacks do not count."""
    nodes = tree.in_tier(tree.depth)
    column = {tree.topic_ids[node]: number for number, node in enumerate(nodes)}
    known: dict[tuple[str, ...], int] = {}
    columns, lengths = [], []
    for one in paths:
        found = _paths_of(one)
        for path in found:
            if path not in known:
                known[path] = column.get(_category_id(_padded(path, tree.depth)), -1)
        own = sorted({known[path] for path in found} - {-1})
        columns += own
        lengths.append(len(own))
    counts = np.asarray(lengths, dtype=np.int64)
    weights = (1.0 / np.repeat(counts, counts)).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_matrix((weights, np.asarray(columns, dtype=np.int32), indptr), shape=(len(counts), len(nodes)))


def _leaves_by_mean(tree: TopicTree, leaves: sparse.csr_matrix, vectors: np.ndarray) -> sparse.csr_matrix:
    """Weight 1 at the nearest mean for items with a vector and no leaf yet. A leaf without vectors attracts none."""
    has_leaf, known = np.diff(leaves.indptr) > 0, has_vector(vectors)
    places = np.full(len(vectors), -1, dtype=np.int32)
    lost = np.flatnonzero(~has_leaf & known)
    if len(lost) and (has_leaf & known).any():
        mean, scale = fit_standard(vectors[known])
        shares = leaves[has_leaf & known]
        sums = shares.T @ standardise(vectors[has_leaf & known], mean, scale)
        weights = np.asarray(shares.sum(axis=0)).ravel()
        open_leaves = np.flatnonzero(weights > 0)
        means = sums[open_leaves] / weights[open_leaves, None]
        found, _ = nearest(standardise(vectors[lost], mean, scale), means)
        places[lost] = tree.in_tier(tree.depth)[open_leaves[found]]
    return _one_leaf_each(tree, places)


def _one_leaf_each(tree: TopicTree, places: np.ndarray) -> sparse.csr_matrix:
    """(n, leaves) weight 1 at the leaf whose position is stated; an empty row for -1."""
    nodes, placed = tree.in_tier(tree.depth), places >= 0
    columns = places[placed] - (nodes[0] if len(nodes) else 0)
    indptr = np.concatenate([[0], np.cumsum(placed)])
    ones = np.ones(len(columns), dtype=np.float32)
    return sparse.csr_matrix((ones, columns, indptr), shape=(len(places), len(nodes)))


# Vectors


def has_vector(vectors: np.ndarray) -> np.ndarray:
    """(n,) bool: rows without NaN or infinity."""
    return np.isfinite(vectors).all(axis=1)


def fit_standard(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each dimension, (d,) float32 each; the latter 1 where a dimension is constant."""
    fitted = StandardScaler().fit(vectors)
    return fitted.mean_.astype(np.float32), fitted.scale_.astype(np.float32)


def standardise(vectors: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(n, d) float32: each dimension less its mean, over its standard deviation; then rows of length 1 (0 stays 0).

    The dimensions of text encoders differ much in spread; unstandardised, a few of them would decide every distance.
    """
    moved = (vectors.astype(np.float32) - mean) / scale
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return moved / np.where(lengths > 0, lengths, 1)


def nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (n,) of the nearest of the centres (k, d), ties by index, and the squared Euclidean distance (n,) to it."""
    index, distance = np.empty(len(points), dtype=np.int64), np.empty(len(points), dtype=np.float64)
    squares = np.einsum("kd,kd->k", centres, centres)
    for start in range(0, len(points), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        part = squares - 2 * (points[rows] @ centres.T)
        index[rows] = part.argmin(axis=1)
        distance[rows] = part.min(axis=1) + np.einsum("nd,nd->n", points[rows], points[rows])
    return index, np.maximum(distance, 0.0)


# In a table


def check_tree(tree: TopicTree) -> None:
    """Raises ValueError where the topics are no tree in the order that TopicTree promises."""
    if len(set(tree.topic_ids)) < len(tree.topic_ids):
        raise ValueError("topic tree: an id is used twice")
    if (np.diff(tree.tiers) < 0).any() or not np.array_equal(tree.parents < 0, tree.tiers == 1):
        raise ValueError("topic tree: tiers must ascend from 1, and only topics of tier 1 have no parent")
    inner = tree.parents >= 0
    if (tree.tiers[tree.parents[inner]] != tree.tiers[inner] - 1).any():
        raise ValueError("topic tree: a parent must be in the tier above")
    if set(np.flatnonzero(tree.tiers < tree.depth)) - set(tree.parents):
        raise ValueError("topic tree: a topic above the deepest tier has no children")


def tree_version(tree: TopicTree) -> str:
    """16 hex digits of sha2-256 over what places items and what topics are called; not over n_items and keywords."""
    names = [tree.topic_ids.tolist(), tree.tiers.tolist(), tree.parents.tolist(), tree.labels.tolist()]
    digest = hashlib.sha256(json.dumps([*names, tree.centres.shape]).encode())
    for numbers in (tree.centres, tree.mean, tree.scale):
        digest.update(np.ascontiguousarray(numbers, dtype="<f4").tobytes())
    return digest.hexdigest()[:16]


def to_columns(tree: TopicTree) -> dict[str, list]:
    """Columns of a table whose row is one topic.

    position int, topic_id string, tier int, parent_id string (null in tier 1), label string, keywords array<string>,
    centre array<float>, n_items long, vector_mean and vector_scale array<float> (the same in every row; empty, like
    centre, in a tree made from categories).
    """
    ids = tree.topic_ids.tolist()
    return {
        "position": list(range(len(ids))),
        "topic_id": ids,
        "tier": tree.tiers.tolist(),
        "parent_id": [ids[parent] if parent >= 0 else None for parent in tree.parents],
        "label": tree.labels.tolist(),
        "keywords": [list(words) for words in tree.keywords],
        "centre": tree.centres.tolist(),
        "n_items": tree.n_items.tolist(),
        "vector_mean": [tree.mean.tolist() for _ in ids],
        "vector_scale": [tree.scale.tolist() for _ in ids],
    }


def from_columns(columns: dict[str, Sequence]) -> TopicTree:
    """The tree that `to_columns` wrote, its rows in any order. Raises ValueError where they are no tree."""
    order = np.argsort(np.asarray(columns["position"], dtype=np.int64), kind="stable")
    rows = {name: [column[row] for row in order] for name, column in columns.items()}
    place = {topic: position for position, topic in enumerate(rows["topic_id"])}
    unknown = [parent for parent in rows["parent_id"] if parent is not None and parent not in place]
    if unknown:
        raise ValueError(f"topic tree: parent {unknown[0]} is no topic of the table")
    mean, scale = (rows[name][0] if len(order) else [] for name in ("vector_mean", "vector_scale"))
    tree = TopicTree(
        topic_ids=np.array(rows["topic_id"], dtype=object),
        tiers=np.array(rows["tier"], dtype=np.int8),
        parents=np.array([place.get(parent, -1) for parent in rows["parent_id"]], dtype=np.int32),
        labels=np.array(rows["label"], dtype=object),
        keywords=[tuple(words) for words in rows["keywords"]],
        centres=np.array([list(one) for one in rows["centre"]], dtype=np.float32).reshape(len(order), len(mean)),
        n_items=np.array(rows["n_items"], dtype=np.int64),
        mean=np.array(mean, dtype=np.float32),
        scale=np.array(scale, dtype=np.float32),
    )
    check_tree(tree)
    return tree


def paths(tree: TopicTree) -> np.ndarray:
    """(k,) str: of each topic the labels from tier 1 down to it."""
    found: list[str] = []
    for label, parent in zip(tree.labels, np.asarray(tree.parents), strict=True):
        found.append(found[parent] + PATH_SEPARATOR + label if parent >= 0 else str(label))
    return np.array(found, dtype=str)
