"""Prior knowledge about topics: rules from a YAML or CSV file, applied to a tree and its memberships. No Spark.

A rule is a mapping (YAML: a list below the key `rules`; CSV: a header with the same names) with these keys:

    rule       topic              other            and                      means
    pin        where it belongs   -                one of item, keyword     the item is of that topic alone
    merge      stays              goes into it     -                        two topics of one tier become one
    forbid     -> required        -                one of item, keyword     the item is never of that topic
    forbid     -> required        -                -                        the topic is never shown
    parent_of  the parent         the child        -                        the child moves below that parent

A topic is named by its id, by its label, or by the labels from tier 1 down: "Home > kitchen". All names are those of
the tree before the rules. A keyword applies to every item whose text holds it as whole words, in any case.

Order, whatever the order in the file: merge, parent_of, pins by keyword, pins by item, forbid. So an item's own pin
wins over a keyword's, the later of two equal pins wins, and what is forbidden wins over everything.
"""

import csv
import dataclasses
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from interest_model.errors import ConfigError
from interest_model.interest.labels import distinct_labels
from interest_model.interest.topic_tree import (
    TopicTree,
    counted,
    has_vector,
    nearest,
    paths,
    roll_up,
    standardise,
)
from interest_model.yaml_files import read_yaml

_KEYS = ("rule", "topic", "other", "item", "keyword")
# kind of rule -> keys it must have, and keys of which it may have one
_FORMS = {
    "pin": (("topic",), ("item", "keyword")),
    "merge": (("topic", "other"), ()),
    "forbid": (("topic",), ("item", "keyword")),
    "parent_of": (("topic", "other"), ()),
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule; keys that it does not use are ""; `origin` is its file and line (CSV) or number from 1 (YAML)."""

    rule: str
    topic: str
    other: str
    item: str
    keyword: str
    origin: str


class Catalogue(NamedTuple):
    """The items that the rows of the memberships stand for.

    item_ids (n,) str; texts (n,) str or None; vectors (n, d), a row of NaN where there is none, or None as a whole.
    """

    item_ids: Sequence[str]
    texts: Sequence[str | None]
    vectors: np.ndarray | None = None


# Reading


def read_rules(file: str | Path) -> tuple[Rule, ...]:
    """The rules of a .csv file, else of a YAML file. Raises ConfigError that names file, line or number, and key."""
    if Path(file).suffix.lower() == ".csv":
        return tuple(_rule(content, origin) for content, origin in _csv_rows(file))
    listed = read_yaml(file).get("rules")
    if not isinstance(listed, list):
        raise ConfigError(f"{file}: key 'rules' must be a list of rules, found {listed!r}")
    return tuple(_rule(content, f"{file}, rule {number}") for number, content in enumerate(listed, start=1))


def _csv_rows(file: str | Path) -> list[tuple[dict, str]]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, restkey="more columns than the header")
            return [(row, f"{file}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: cannot be read as CSV: {error}") from error


def _rule(content: object, origin: str) -> Rule:
    if not isinstance(content, dict):
        raise ConfigError(f"{origin}: expected keys and values, found {content!r}")
    given = {str(key): str(value).strip() for key, value in content.items() if value not in (None, "")}
    if unknown := set(given) - set(_KEYS):
        raise ConfigError(f"{origin}: unknown key '{min(unknown)}'", f"known keys: {', '.join(_KEYS)}")
    kind = given.get("rule", "")
    if kind not in _FORMS:
        raise ConfigError(f"{origin}: key 'rule' is '{kind}'", f"take one of: {', '.join(_FORMS)}")
    required, either = _FORMS[kind]
    for key in required:
        if key not in given:
            raise ConfigError(f"{origin}: {kind} needs the key '{key}'")
    for key in sorted(set(given) - {"rule", *required, *either}):
        raise ConfigError(f"{origin}: {kind} does not take the key '{key}'")
    named = sum(key in given for key in either)
    if named > 1 or (kind == "pin" and named == 0):
        raise ConfigError(f"{origin}: {kind} takes one of the keys item and keyword, found {named}")
    return Rule(**{key: given.get(key, "") for key in _KEYS}, origin=origin)


def find_topic(tree: TopicTree, name: str, origin: str) -> int:
    """Position of the topic with this id, path of labels, or label (case does not matter); else ConfigError."""
    ids = {topic: position for position, topic in enumerate(tree.topic_ids)}
    if name in ids:
        return ids[name]
    full = [path.casefold() for path in paths(tree)]
    for names in (full, [label.casefold() for label in tree.labels]):
        found = [position for position, one in enumerate(names) if one == name.casefold()]
        if len(found) == 1:
            return found[0]
        if found:
            known = ", ".join(f"{tree.topic_ids[one]} ({full[one]})" for one in found)
            raise ConfigError(f"{origin}: {len(found)} topics are called '{name}'", f"name one by its id: {known}")
    close = difflib.get_close_matches(name.casefold(), [*full, *(label.casefold() for label in tree.labels)])
    raise ConfigError(f"{origin}: no topic '{name}'", f"names much like it: {', '.join(close) or 'none'}")


# Applying


def apply_rules(
    tree: TopicTree, tiers: list[sparse.csr_matrix], rules: Sequence[Rule], items: Catalogue
) -> tuple[TopicTree, list[sparse.csr_matrix]]:
    """The tree and its memberships (as from `memberships`) after the rules; without rules, both as they are.

    The result is a tree again, its memberships add up again, n_items are counted anew, and no two siblings share a
    label. A topic that loses all its children goes. An item pinned to a topic with children keeps its shares among
    them; if it has none there it goes to the leaf nearest to its vector, else to the fullest. An item forbidden in all
    its leaves goes to the nearest leaf that is left, without vector or centres to no topic; an item whose topics are
    all hidden has no topic. Keep the tree from before the rules for the next `assign` or `refit`: names in the rules
    are names in it. Raises ConfigError for a rule that names an unknown topic or item, or that would break the tree;
    ValueError where items and memberships differ in number.
    """
    if not rules:
        return tree, tiers
    if not tree.depth:
        raise ConfigError(f"{rules[0].origin}: there are no topics yet", "take the rules out until there are items")
    if not len(items.item_ids) == len(items.texts) == tiers[-1].shape[0]:
        raise ValueError("apply_rules: the catalogue must hold the items of the memberships, row by row")
    into, parents = _structure(tree, rules)
    below = _leaves_below(tree, into, parents)
    leaves = _with_pins(tree, _merged(tree, tiers[-1], into), rules, below, items)
    leaves, hidden = _without_forbidden(tree, leaves, rules, below, items)
    nodes = tree.in_tier(tree.depth)
    ruled, kept = _compacted(_merged_centres(tree, into), parents, nodes[(into[nodes] == nodes) & ~hidden])
    rolled = roll_up(ruled, _normalised(leaves[:, kept[ruled.in_tier(ruled.depth)] - nodes[0]]))
    return distinct_labels(counted(ruled, rolled), [False] * len(ruled.topic_ids)), rolled


def _structure(tree: TopicTree, rules: Sequence[Rule]) -> tuple[np.ndarray, np.ndarray]:
    """For each topic the one it is merged into (itself if none), and its parent after merge and parent_of."""
    into, parents = np.arange(len(tree.topic_ids)), tree.parents.copy()
    for rule in [one for kind in ("merge", "parent_of") for one in rules if one.rule == kind]:
        topic, other = (into[find_topic(tree, name, rule.origin)] for name in (rule.topic, rule.other))
        apart = tree.tiers[other] - tree.tiers[topic]
        if rule.rule == "merge":
            if apart:
                raise ConfigError(f"{rule.origin}: '{rule.topic}' and '{rule.other}' are of different tiers")
            into[into == other] = topic
        elif apart != 1:
            raise ConfigError(
                f"{rule.origin}: '{rule.other}' is of tier {tree.tiers[other]}, '{rule.topic}' of tier "
                f"{tree.tiers[topic]}", "a parent is a topic of the tier just above"
            )  # fmt: skip
        else:
            parents[other] = topic
    return into, np.where(parents >= 0, into[parents], -1).astype(np.int32)


def _leaves_below(tree: TopicTree, into: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(t, leaves) bool: the leaves at or below each topic; a merged topic answers as the one it went into."""
    leaf_nodes = tree.in_tier(tree.depth)
    below = np.zeros((len(into), len(leaf_nodes)), dtype=bool)
    columns = np.flatnonzero(into[leaf_nodes] == leaf_nodes)
    at = leaf_nodes[columns]
    for _ in range(tree.depth):
        below[at, columns] = True
        at = parents[at]
    return below[into]


def _merged(tree: TopicTree, leaves: sparse.csr_matrix, into: np.ndarray) -> sparse.csr_matrix:
    """The columns of merged leaves added to those they went into, and left empty."""
    leaf_nodes = tree.in_tier(tree.depth)
    number = np.arange(len(leaf_nodes))
    ones = np.ones(len(number), dtype=np.float32)
    return leaves @ sparse.csr_matrix((ones, (number, into[leaf_nodes] - leaf_nodes[0])), shape=2 * (len(number),))


def _with_pins(
    tree: TopicTree, leaves: sparse.csr_matrix, rules: Sequence[Rule], below: np.ndarray, items: Catalogue
) -> sparse.csr_matrix:
    topic_of = np.full(leaves.shape[0], -1)
    for rule in sorted((one for one in rules if one.rule == "pin"), key=lambda rule: bool(rule.item)):
        topic = find_topic(tree, rule.topic, rule.origin)
        if not below[topic].any():
            raise ConfigError(f"{rule.origin}: '{rule.topic}' has no leaves left after merge and parent_of")
        topic_of[_items_of(rule, items)] = topic
    pinned = np.flatnonzero(topic_of >= 0)
    allowed = below[topic_of[pinned]]
    kept = sparse.csr_matrix(leaves[pinned].multiply(sparse.csr_matrix(allowed)))
    empty = np.flatnonzero(_sums(kept) == 0)
    goal = _nearest_leaf(tree, items.vectors, pinned[empty], allowed[empty])
    fullest = np.where(allowed[empty], _sums((leaves > 0).T), -1).argmax(axis=1)
    added = _placed(empty, np.where(goal >= 0, goal, fullest), kept.shape)
    return _replaced(leaves, pinned, _normalised(kept + added))


def _without_forbidden(
    tree: TopicTree, leaves: sparse.csr_matrix, rules: Sequence[Rule], below: np.ndarray, items: Catalogue
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Memberships without what is forbidden to items, and (leaves,) bool: leaves of topics never shown."""
    hidden = np.zeros(leaves.shape[1], dtype=bool)
    bans: list[tuple[np.ndarray, int]] = []
    for rule in (one for one in rules if one.rule == "forbid"):
        topic = find_topic(tree, rule.topic, rule.origin)
        if rule.item or rule.keyword:
            bans.append((_items_of(rule, items), topic))
        else:
            hidden |= below[topic]
    concerned = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _ in bans)]))
    barred = np.zeros((len(concerned), leaves.shape[1]), dtype=bool)
    for rows, topic in bans:
        barred[np.searchsorted(concerned, rows)] |= below[topic]
    before = leaves[concerned]
    after = _normalised(before.multiply(sparse.csr_matrix(~barred)))
    lost = np.flatnonzero((_sums(before) > 0) & (_sums(after) == 0))
    goal = _nearest_leaf(tree, items.vectors, concerned[lost], ~barred[lost] & ~hidden & below.any(axis=0))
    added = _placed(lost[goal >= 0], goal[goal >= 0], after.shape)
    return _replaced(leaves, concerned, after + added), hidden


def _sums(rows: sparse.spmatrix) -> np.ndarray:
    """Sum of each row."""
    return np.asarray(rows.sum(axis=1)).ravel()


def _placed(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def _replaced(leaves: sparse.csr_matrix, rows: np.ndarray, block: sparse.csr_matrix) -> sparse.csr_matrix:
    """Memberships with the stated rows replaced by those of `block`."""
    others = np.ones(leaves.shape[0], dtype=np.float32)
    others[rows] = 0.0
    back = _placed(rows, np.arange(len(rows)), (leaves.shape[0], len(rows)))
    return sparse.csr_matrix(sparse.diags(others) @ leaves + back @ block)


def _items_of(rule: Rule, items: Catalogue) -> np.ndarray:
    """Rows of the items that a rule is about; none for a keyword that no text holds."""
    if rule.item:
        rows = np.flatnonzero(np.asarray(items.item_ids, dtype=object) == rule.item)
        if not len(rows):
            raise ConfigError(f"{rule.origin}: no item '{rule.item}'", "take an id of table items, or drop the rule")
        return rows
    word = re.compile(rf"(?<!\w){re.escape(rule.keyword)}(?!\w)", re.IGNORECASE)
    return np.flatnonzero([text is not None and word.search(text) is not None for text in items.texts])


def _nearest_leaf(tree: TopicTree, vectors: np.ndarray | None, rows: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(r,) column of the nearest of each row's allowed leaves (r, leaves); -1 without vector, centres or any leaf."""
    found = np.full(len(rows), -1)
    if vectors is None or tree.by_category:
        return found
    centres = tree.centres[tree.in_tier(tree.depth)]
    known = has_vector(vectors[rows])
    points = standardise(vectors[rows], tree.mean, tree.scale)
    masks, group = np.unique(allowed, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        members, columns = np.flatnonzero((group.ravel() == number) & known), np.flatnonzero(mask)
        if len(members) and len(columns):
            found[members] = columns[nearest(points[members], centres[columns])[0]]
    return found


def _merged_centres(tree: TopicTree, into: np.ndarray) -> TopicTree:
    """A merged topic's centre: the mean of the centres that went into it, weighted by items."""
    if not tree.centres.shape[1]:
        return tree
    centres = tree.centres.copy()
    for topic in np.unique(into[into != np.arange(len(into))]):
        parts = np.flatnonzero(into == topic)
        centres[topic] = np.average(tree.centres[parts], axis=0, weights=np.maximum(tree.n_items[parts], 1))
    return tree._replace(centres=centres)


def _compacted(tree: TopicTree, parents: np.ndarray, leaves: np.ndarray) -> tuple[TopicTree, np.ndarray]:
    """The tree of these leaves and what is above them under `parents`, and the position each topic had before."""
    tiers = [np.asarray(leaves)]
    while len(tiers[0]) and parents[tiers[0][0]] >= 0:
        tiers.insert(0, np.unique(parents[tiers[0]]))
    place = np.full(len(parents), -1, dtype=np.int32)
    order: list[int] = []
    for nodes in tiers:
        for node in sorted(nodes, key=lambda node: (place[parents[node]] if parents[node] >= 0 else -1, node)):
            place[node] = len(order)
            order.append(node)
    kept = np.array(order, dtype=np.int64)
    above = parents[kept]
    ruled = tree._replace(
        topic_ids=tree.topic_ids[kept],
        tiers=tree.tiers[kept],
        parents=np.where(above >= 0, place[above], -1).astype(np.int32),
        labels=tree.labels[kept],
        keywords=[tree.keywords[node] for node in kept],
        centres=tree.centres[kept],
        n_items=tree.n_items[kept],
    )
    return ruled, kept


def _normalised(leaves: sparse.spmatrix) -> sparse.csr_matrix:
    """Rows divided by their sums; empty rows stay empty."""
    leaves = sparse.csr_matrix(leaves, dtype=np.float32)
    leaves.eliminate_zeros()
    sums = _sums(leaves)
    return sparse.csr_matrix(sparse.diags(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)) @ leaves)
