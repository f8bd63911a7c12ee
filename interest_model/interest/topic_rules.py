"""Prior knowledge about topics: rules (see rule_files) applied to a tree and its memberships. No Spark.

Order, whatever the order in the file: merge, parent_of, pins by keyword, pins by item, forbid. So an item's own pin
wins over a keyword's, the later of two equal pins wins, and what is forbidden wins over everything.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from interest_model.errors import ConfigError
from interest_model.interest.labels import composed, distinct_labels, whole_word
from interest_model.interest.rule_files import Rule
from interest_model.interest.topic_tree import (
    PATH_SEPARATOR,
    TopicTree,
    counted,
    has_vector,
    nearest,
    paths,
    roll_up,
    standardise,
)

_SHOW = (
    "interest-model sql --warehouse W \"select topic_id, parent_id, label, keywords from topics where stage = 'base' "
    'and run_date = (select max(run_date) from topics)"'
)


class Catalogue(NamedTuple):
    """The items that the rows of the memberships stand for.

    item_ids (n,) str; texts (n,) str or None; vectors (n, d), a row of NaN where there is none, or None as a whole.
    """

    item_ids: Sequence[str]
    texts: Sequence[str | None]
    vectors: np.ndarray | None = None


class Ruled(NamedTuple):
    """The tree after the rules, its memberships, one for each tier, and what a person should know of rules that do
    nothing: a sentence each, that begins with the rule's origin."""

    tree: TopicTree
    tiers: list[sparse.csr_matrix]
    notes: tuple[str, ...]


def find_topic(tree: TopicTree, name: str, origin: str) -> int:
    """Position of the topic with this id, path of labels, or label (case does not matter); else ConfigError."""
    found = _called(tree, name)
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{origin}: {len(found)} topics are called '{name}'", _name_by_id(tree, found))
    full = [path.casefold() for path in paths(tree)]
    close = difflib.get_close_matches(name.casefold(), [*full, *(label.casefold() for label in tree.labels)])
    remedy = f"names much like it: {', '.join(close) or 'none'}; all of them: {_SHOW}"
    raise ConfigError(f"{origin}: no topic '{name}'", remedy)


def _name_by_id(tree: TopicTree, found: Sequence[int]) -> str:
    full = paths(tree)
    return f"name one by its id: {', '.join(f'{tree.topic_ids[one]} ({full[one].casefold()})' for one in found)}"


def _called(tree: TopicTree, name: str) -> list[int]:
    """Positions of the topics of this name: by id, else by path of labels, else by label."""
    wanted = name.casefold()
    by_id = [position for position, topic in enumerate(tree.topic_ids) if topic == name]
    by_path = by_id or [position for position, path in enumerate(paths(tree)) if path.casefold() == wanted]
    return by_path or [position for position, label in enumerate(tree.labels) if label.casefold() == wanted]


def names_of(topics: Iterable[tuple[str, str | None, str]]) -> frozenset[str]:
    """All names, in lower case, that mean one topic of a version: ids, and paths and labels that no two topics have.

    topics: (id, parent's id or None, label) of the version.
    """
    nodes = {topic: (parent, label.casefold()) for topic, parent, label in topics}

    def full(topic: str) -> str:
        parent, label = nodes[topic]
        return label if parent is None else f"{full(parent)}{PATH_SEPARATOR}{label}"

    whole = Counter(map(full, nodes))
    labels = Counter(label for _, label in nodes.values())
    once = {name for name, count in whole.items() if count == 1}
    once |= {label for label, count in labels.items() if count == 1 and label not in whole}
    return frozenset(once | {topic.casefold() for topic in nodes})


# Applying


def apply_rules(
    tree: TopicTree,
    tiers: list[sparse.csr_matrix],
    rules: Sequence[Rule],
    items: Catalogue,
    former_names: Collection[str] = (),
) -> Ruled:
    """The tree and its memberships (as from `memberships`) after the rules; without rules, both as they are.

    former_names: those of all versions before, see `names_of`. A rule whose name for a topic is one of them and means
    none tonight, or several, is left out, as is one about an item that is not known, and the notes say so; they say as
    well whose keyword no text holds.

    The result is a tree again, its memberships add up again, n_items are counted anew, and no two siblings share a
    label. A topic that loses all its children goes. An item pinned to a topic with children keeps its shares among
    them; if it has none there it goes to the leaf nearest to its vector, else to the fullest. An item forbidden in all
    its leaves goes to the nearest leaf that is left, without vector or centres to no topic; an item whose topics are
    all hidden has no topic. Keep the tree from before the rules for the next `assign` or `refit`: names in the rules
    are names in it. Raises ConfigError for a rule whose name for a topic never meant one, or that would break the tree;
    ValueError where items and memberships differ in number.
    """
    if not rules:
        return Ruled(tree, tiers, ())
    if not tree.depth:
        raise ConfigError(f"{rules[0].origin}: there are no topics yet", "take the rules out until there are items")
    if not len(items.item_ids) == len(items.texts) == tiers[-1].shape[0]:
        raise ValueError("apply_rules: the catalogue must hold the items of the memberships, row by row")
    concerned = _concerned(rules, items)
    rules, notes = _standing(tree, rules, concerned, former_names)
    if not rules:
        return Ruled(tree, tiers, notes)
    into, parents = _structure(tree, rules)
    below = _leaves_below(tree, into, parents)
    about = {rule: concerned[rule] for rule in rules if rule in concerned}
    leaves = _with_pins(tree, _merged(tree, tiers[-1], into), about, below, items.vectors)
    hidden = _hidden(tree, rules, below)
    leaves = _without_forbidden(tree, leaves, about, below, hidden, items.vectors)
    nodes = tree.in_tier(tree.depth)
    ruled, kept = _compacted(_merged_centres(tree, into), parents, nodes[(into[nodes] == nodes) & ~hidden])
    rolled = roll_up(ruled, _normalised(leaves[:, kept[ruled.in_tier(ruled.depth)] - nodes[0]]))
    return Ruled(distinct_labels(counted(ruled, rolled), [False] * len(ruled.topic_ids)), rolled, notes)


def _concerned(rules: Sequence[Rule], items: Catalogue) -> dict[Rule, np.ndarray]:
    """Rows of the items that each rule with an item or a keyword is about."""
    place = {name: row for row, name in enumerate(items.item_ids)}
    found = {rule: np.array([place[rule.item]]) for rule in rules if rule.item in place}
    asked = [rule for rule in rules if rule.keyword]
    texts = ["" if text is None else composed(text) for text in items.texts] if asked else []
    for rule in asked:
        word = whole_word(rule.keyword)
        found[rule] = np.flatnonzero([word.search(text) is not None for text in texts])
    return found


def _standing(
    tree: TopicTree, rules: Sequence[Rule], concerned: dict[Rule, np.ndarray], former_names: Collection[str]
) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules without those whose topic or item is not there tonight, and what there is to say of them."""
    kept, notes = [], []
    for rule in rules:
        named = [name for name in (rule.topic, rule.other) if name.casefold() in former_names]
        lost = [(name, found) for name in named if len(found := _called(tree, name)) != 1]
        if lost:
            notes.append(f"{rule.origin}: left out, {_what_became_of(tree, *lost[0])}")
        elif rule.item and rule not in concerned:
            notes.append(f"{rule.origin}: left out, no item '{rule.item}' is known")
        else:
            kept.append(rule)
        if rule.keyword and not len(concerned[rule]):
            notes.append(f"{rule.origin}: no item's text holds the keyword '{rule.keyword}'")
    return kept, tuple(notes)


def _what_became_of(tree: TopicTree, name: str, found: Sequence[int]) -> str:
    """Of a name that meant one topic once: what it means tonight; found: positions of what goes by it."""
    if not found:
        return f"topic '{name}' is gone or has another name now"
    return f"{len(found)} topics are called '{name}' now: {_name_by_id(tree, found)}"


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
    tree: TopicTree,
    leaves: sparse.csr_matrix,
    about: dict[Rule, np.ndarray],
    below: np.ndarray,
    vectors: np.ndarray | None,
) -> sparse.csr_matrix:
    topic_of = np.full(leaves.shape[0], -1)
    for rule in sorted((one for one in about if one.rule == "pin"), key=lambda rule: bool(rule.item)):
        topic = find_topic(tree, rule.topic, rule.origin)
        if not below[topic].any():
            raise ConfigError(f"{rule.origin}: '{rule.topic}' has no leaves left after merge and parent_of")
        topic_of[about[rule]] = topic
    pinned = np.flatnonzero(topic_of >= 0)
    topics, own = np.unique(topic_of[pinned], return_inverse=True)
    allowed = below[topics]
    kept = _within(leaves[pinned], allowed, own)
    empty = np.flatnonzero(_sums(kept) == 0)
    goal = _nearest_leaf(tree, vectors, pinned[empty], allowed, own[empty])
    fullest = np.where(allowed, _sums((leaves > 0).T), -1).argmax(axis=1) if len(topics) else topics
    added = _placed(empty, np.where(goal >= 0, goal, fullest[own[empty]]), kept.shape)
    return _replaced(leaves, pinned, _normalised(kept + added))


def _hidden(tree: TopicTree, rules: Sequence[Rule], below: np.ndarray) -> np.ndarray:
    """(leaves,) bool: leaves of topics never shown."""
    hidden = np.zeros(below.shape[1], dtype=bool)
    for rule in (one for one in rules if one.rule == "forbid"):
        topic = find_topic(tree, rule.topic, rule.origin)
        if not rule.item and not rule.keyword:
            hidden |= below[topic]
    return hidden


def _without_forbidden(
    tree: TopicTree,
    leaves: sparse.csr_matrix,
    about: dict[Rule, np.ndarray],
    below: np.ndarray,
    hidden: np.ndarray,
    vectors: np.ndarray | None,
) -> sparse.csr_matrix:
    """Memberships without what is forbidden to items."""
    bans = [(about[rule], find_topic(tree, rule.topic, rule.origin)) for rule in about if rule.rule == "forbid"]
    concerned = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _ in bans)]))
    own, masks = np.zeros(len(concerned), dtype=np.int64), [np.ones(leaves.shape[1], dtype=bool)]
    for rows, topic in bans:  # items with the same bans share a mask
        places = np.searchsorted(concerned, rows)
        before, number = np.unique(own[places], return_inverse=True)
        own[places] = len(masks) + number
        masks += [masks[one] & ~below[topic] for one in before]
    allowed, shares = np.array(masks), leaves[concerned]
    after = _normalised(_within(shares, allowed, own))
    lost = np.flatnonzero((_sums(shares) > 0) & (_sums(after) == 0))
    goal = _nearest_leaf(tree, vectors, concerned[lost], allowed & ~hidden & below.any(axis=0), own[lost])
    added = _placed(lost[goal >= 0], goal[goal >= 0], after.shape)
    return _replaced(leaves, concerned, after + added)


def _within(leaves: sparse.csr_matrix, allowed: np.ndarray, own: np.ndarray) -> sparse.csr_matrix:
    """Of each row the shares that its mask allows; allowed (masks, leaves) bool, own (n,) the mask of each row."""
    kept = leaves.copy()
    kept.data *= allowed[np.repeat(own, np.diff(leaves.indptr)), leaves.indices]
    return kept


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


def _nearest_leaf(
    tree: TopicTree, vectors: np.ndarray | None, rows: np.ndarray, allowed: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """(r,) column of the nearest of each row's allowed leaves; -1 without vector, centres or any leaf.

    allowed (masks, leaves) bool; own (r,): the mask of each row.
    """
    found = np.full(len(rows), -1)
    if vectors is None or tree.by_category:
        return found
    centres = tree.centres[tree.in_tier(tree.depth)]
    known = has_vector(vectors[rows])
    points = standardise(vectors[rows], tree.mean, tree.scale)
    for mask in np.unique(own):
        members, columns = np.flatnonzero((own == mask) & known), np.flatnonzero(allowed[mask])
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
