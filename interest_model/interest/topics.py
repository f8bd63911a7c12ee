"""The topic hierarchy over Spark: tonight's version from the one before it, and which topics each item is of.

Items, not users, are gathered on the driver: one row per item, its text, categories and vector.
"""

import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Topics as TopicSettings
from interest_model.encoding.item_embeddings import embeddings_known
from interest_model.encoding.model_files import encoder_version
from interest_model.errors import DataError, MissingTableError
from interest_model.history.known import items_known
from interest_model.interest import clusters, labels, topic_rules, topic_tree
from interest_model.interest.forecast_models import Topics
from interest_model.interest.rule_files import read_rules
from interest_model.interest.topic_tree import TopicTree
from interest_model.recommend.consumption import catalogue, end_of_day, item_vectors, recent

if TYPE_CHECKING:
    from interest_model.job import Night

BASE, SHOWN = "base", "shown"
_GROWN = 2  # so many times the items: topics of a first, small catalogue would stay for settings.refit_days


class TopicItems(NamedTuple):
    """The n items a hierarchy is made of, ascending by item_id: item_ids (n,) str; texts, paths: n texts and category
    paths or None; vectors (n, d) float32, a row of NaN where an item has none."""

    item_ids: list[str]
    texts: list[str | None]
    paths: list[list[str] | None]
    vectors: np.ndarray


class Former(NamedTuple):
    """What a version in force hands on. base: its tree before the rules; age_days: since that was learned; vectors
    (n, d) of tonight's items by the encoder that its topics were learned with, None where tonight's is the same; names:
    those that meant one topic of some version, see topic_rules.names_of."""

    base: TopicTree
    age_days: int
    vectors: np.ndarray | None = None
    names: frozenset[str] = frozenset()


class Version(NamedTuple):
    """A version of the hierarchy: the tree before the rules, the tree everybody sees, and the items' shares of the
    shown tree's topics, a matrix (n_items, topics of the tier) for each tier. age_days: since the first was learned, 0
    for categories; notes: see topic_rules.Ruled."""

    base: TopicTree
    shown: TopicTree
    tiers: list[sp.csr_matrix]
    age_days: int
    notes: tuple[str, ...]


def gather_items(items: DataFrame) -> TopicItems:
    """All items, still without vectors, from one row (item_id, text, categories) per item."""
    rows = items.select("item_id", "text", "categories").orderBy("item_id").toArrow()
    columns = [rows.column(name).to_pylist() for name in ("item_id", "text", "categories")]
    return TopicItems(*columns, np.full((rows.num_rows, 1), np.nan, dtype=np.float32))


def with_vectors(items: TopicItems, embeddings: DataFrame) -> TopicItems:
    """The items with their vectors, from one row (item_id, embedding) per encoded item."""
    vectors = item_vectors(embeddings, np.array(items.item_ids, dtype=object))
    vectors[~vectors.any(axis=1)] = np.nan
    return items._replace(vectors=vectors)


def by_categories(before: TopicTree | None, items: TopicItems, settings: TopicSettings) -> bool:
    """Whether tonight's topics are the log's categories: what was chosen once stays."""
    if before is not None and before.depth:
        return before.by_category
    return settings.origin == "categories" or (settings.origin == "auto" and topic_tree.is_tree(items.paths))


def needs_vectors(before: TopicTree | None, items: TopicItems, settings: TopicSettings) -> bool:
    """False where every item has categories and they are the topics: reading all vectors is most of the step."""
    return not by_categories(before, items, settings) or not all(items.paths)


def items_of_night(night: "Night", before: TopicTree | None) -> TopicItems:
    """The items as known tonight, with vectors where the hierarchy needs them. before: see next_version."""
    items = gather_items(items_known(night.read("items"), night.run_date))
    if needs_vectors(before, items, night.settings.topics):
        return with_vectors(items, embeddings_known(night, night.run_date))
    return items


def can_begin(items: TopicItems, settings: TopicSettings) -> bool:
    """Whether these items give a first version any topic: one has a category, or a vector where topics are learned."""
    if by_categories(None, items, settings):
        return topic_tree.from_categories(items.paths, 1).depth > 0
    return bool(topic_tree.has_vector(items.vectors).any())


def next_version(former: Former | None, items: TopicItems, settings: TopicSettings, night: str) -> Version:
    """Tonight's Version. former: the version in force; None: there is none yet.

    A source whose categories form a tree keeps them; otherwise topics are learned from vectors, and new items go to the
    nearest topic. They are learned again, with ids kept, every settings.refit_days and when there are _GROWN times the
    items that they were learned from; another encoder moves them to where their items lie among its vectors.
    """
    base = _tree(former, items, settings, night)
    kept = former is not None and base is former.base
    tiers = topic_tree.memberships(base, items.paths, items.vectors)
    if former is not None and base.topic_ids.tolist() == former.base.topic_ids.tolist():
        base = base._replace(labels=former.base.labels, keywords=former.base.keywords)
    else:
        base = labels.label_tree(base, tiers, labels.count_words(items.texts, settings.language))
    counted = topic_tree.counted(base, tiers)
    emptied = former is not None and not base.depth  # the night ends, see topic_rows: its rules are not to blame
    rules = read_rules(settings.rules) if settings.rules and not emptied else ()
    catalogue = topic_rules.Catalogue(items.item_ids, items.texts, items.vectors)
    names = frozenset() if former is None else former.names
    ruled = topic_rules.apply_rules(counted, tiers, rules, catalogue, names)
    # of a tree that stays, n_items go on to say what it was learned from
    return Version(
        former.base if kept else counted, ruled.tree, ruled.tiers, former.age_days if kept else 0, ruled.notes
    )


def _tree(former: Former | None, items: TopicItems, settings: TopicSettings, night: str) -> TopicTree:
    if by_categories(None if former is None else former.base, items, settings):
        return topic_tree.from_categories(items.paths, settings.max_tiers)
    growth = clusters.Growth(
        settings.branching, settings.min_items, settings.fit_items, settings.starts, seed=settings.seed
    )
    if former is None or not former.base.depth:
        return clusters.learn(items.vectors, growth, night)
    if former.vectors is not None:
        leaves = topic_tree.assign(former.base, former.vectors)
        if (topic_tree.has_vector(items.vectors) & (leaves >= 0)).any():
            return clusters.carried_over(former.base, items.vectors, leaves)
        return clusters.learn(items.vectors, growth, night)
    grown = topic_tree.has_vector(items.vectors).sum() >= _GROWN * former.base.n_items[former.base.in_tier(1)].sum()
    if former.age_days >= settings.refit_days or grown:
        return clusters.refit(former.base, items.vectors, growth, night)
    return former.base


def former_and_items(night: "Night", rows: DataFrame) -> tuple[Former | None, TopicItems]:
    """What next_version takes: the version in force before tonight from its rows of table topics, None where there are
    none, and tonight's items."""
    made = rows.select("learned_date", "encoder").head()
    if made is None:
        return None, items_of_night(night, None)
    base, _ = load_tree(rows, BASE)
    items = items_of_night(night, base)
    names = _names_before(night) if night.settings.topics.rules else frozenset()
    former = Former(base, (night.run_date - made["learned_date"]).days, names=names)
    if not base.depth or base.by_category or made["encoder"] == encoder_version(night.settings.encoder):
        return former, items
    known = embeddings_known(night, night.run_date, made["encoder"])
    return former._replace(vectors=with_vectors(items, known).vectors), items


def _names_before(night: "Night") -> frozenset[str]:
    """Names that meant one topic of a version made before tonight. Of versions whose topics are called alike the first
    is read: a version is made whenever an item changes how many a topic has."""
    rows = night.read("topics").where((F.col("run_date") < F.lit(night.run_date)) & (F.col("stage") == F.lit(BASE)))
    topics = F.sort_array(F.collect_list(F.struct("topic_id", "parent_id", "label")))
    versions = rows.groupBy("run_date").agg(topics.alias("topics")).select("topics").distinct().collect()
    return frozenset().union(*(topic_rules.names_of(map(tuple, version["topics"])) for version in versions))


def topic_rows(version: Version, before: DataFrame, run_date: datetime.date, encoder: str) -> pa.Table | None:
    """Rows of table topics for a new version, or None where the version in force (its rows: `before`) is the same and
    was not learned again tonight. encoder: version of the one whose vectors the items have.

    Raises DataError where topics are in force and tonight's items give none.
    """
    number = topic_tree.tree_version(version.shown)
    in_force = before.select("topic_version").head()
    if in_force is not None and not version.base.depth:
        raise DataError(
            f"table items, day {run_date}: no item has a category or vector to make topics of, and topics are in force",
            "nothing was written: look at the night's item file and at the mapping's categories, then run it again",
        )
    learned = not version.base.by_category and not version.age_days
    if in_force is not None and in_force["topic_version"] == number and not learned:
        return None
    learned_date = run_date - datetime.timedelta(days=version.age_days)
    parts = []
    for stage, tree in ((BASE, version.base), (SHOWN, version.shown)):
        columns = topic_tree.to_columns(tree)
        count = len(columns["topic_id"])
        columns |= {"stage": [stage] * count, "topic_version": [number] * count, "run_date": [run_date] * count}
        columns["learned_date"] = [learned_date] * count
        columns["encoder"] = [None if tree.by_category else encoder] * count
        parts.append(pa.table({name: pa.array(columns[name], kind) for name, kind in _ARROW.items()}))
    return pa.concat_tables(parts)


_ARROW = {
    "run_date": pa.date32(), "topic_version": pa.string(), "stage": pa.string(), "topic_id": pa.string(),
    "tier": pa.int32(), "parent_id": pa.string(), "label": pa.string(), "keywords": pa.list_(pa.string()),
    "n_items": pa.int64(), "position": pa.int32(), "centre": pa.list_(pa.float32()),
    "vector_mean": pa.list_(pa.float32()), "vector_scale": pa.list_(pa.float32()), "encoder": pa.string(),
    "learned_date": pa.date32(),
}  # fmt: skip


def version_in_force(topics: DataFrame, run_date: datetime.date, included: bool) -> DataFrame:
    """Rows of the newest version made before run_date, or up to and with it where `included`; none: an empty frame."""
    day = F.col("run_date")
    known = topics.where(day <= F.lit(run_date) if included else day < F.lit(run_date))
    newest = known.agg(F.max("run_date")).head()[0]
    return known.where(day == F.lit(newest))


def load_tree(rows: DataFrame, stage: str) -> tuple[TopicTree, str]:
    """The tree of one stage and its version from the rows of one version; MissingTableError where there are none.

    Rules that forbid every topic leave a version of which nothing is shown: a tree without topics.
    """
    table = rows.toArrow()
    if not table.num_rows:
        raise MissingTableError("table topics: no version of the hierarchy", "run the step topics first")
    own = table.filter(pc.equal(table.column("stage"), stage))
    return topic_tree.from_columns(own.to_pydict()), table.column("topic_version")[0].as_py()


def tree_in_force(night: "Night") -> tuple[TopicTree, str]:
    """The shown tree in force tonight and its version.

    An empty night leaves no rows, so what it was made from tells it from a step that was not run: without any version,
    where the table is there and tonight's items could not begin a hierarchy, a tree without topics is in force;
    otherwise MissingTableError.
    """
    rows = version_in_force(night.read("topics"), night.run_date, included=True)
    if night.storage.exists("topics") and rows.isEmpty():
        if not can_begin(items_of_night(night, None), night.settings.topics):
            none = topic_tree.from_categories(())
            return none, topic_tree.tree_version(none)
    return load_tree(rows, SHOWN)


def item_rows(version: Version, item_ids: list[str], run_date: datetime.date) -> pa.Table:
    """Rows of table item_topics, one per item: its topics of the deepest tier and their weights."""
    deepest = version.tiers[-1] if version.tiers else sp.csr_matrix((len(item_ids), 0), dtype=np.float32)
    deepest.sort_indices()
    names = version.shown.topic_ids[version.shown.in_tier(version.shown.depth)].tolist()
    topics = pa.array(names, pa.string()).take(pa.array(deepest.indices, pa.int32()))
    offsets = pa.array(deepest.indptr, pa.int32())
    return pa.table(
        {
            "item_id": pa.array(item_ids, pa.string()),
            "known_date": pa.array([run_date] * len(item_ids), pa.date32()),
            "topic_ids": pa.ListArray.from_arrays(offsets, topics),
            "weights": pa.ListArray.from_arrays(offsets, pa.array(deepest.data, pa.float32())),
        }
    )


def changed_rows(rows: DataFrame, before: DataFrame) -> DataFrame:
    """The rows whose topics differ from those in force; before: item_topics as known before tonight."""
    old = before.select("item_id", F.col("topic_ids").alias("old_ids"), F.col("weights").alias("old_weights"))
    same = F.col("topic_ids").eqNullSafe(F.col("old_ids")) & F.col("weights").eqNullSafe(F.col("old_weights"))
    return rows.join(old, "item_id", "left").where(~same).drop("old_ids", "old_weights")


def load_memberships(item_topics: DataFrame, run_date: datetime.date, tree: TopicTree, item_ids: list[str]):
    """The items' shares of the tree's topics as known on run_date: a matrix (n_items, topics of the tier) per tier.

    An item without a row, and a topic that is not in the tree, count as no topic.
    """
    rows = items_known(item_topics, run_date).select("item_id", "topic_ids", "weights").toArrow().combine_chunks()
    if not rows.num_rows or not tree.depth:
        return [sp.csr_matrix((len(item_ids), int((tree.tiers == tier).sum()))) for tier in range(1, tree.depth + 1)]
    place = {name: position for position, name in enumerate(item_ids)}
    column = {name: position for position, name in enumerate(tree.topic_ids[tree.in_tier(tree.depth)].tolist())}
    lists = rows.column("topic_ids").combine_chunks()
    row = np.repeat([place.get(name, -1) for name in rows.column("item_id").to_pylist()], lists.value_lengths())
    topic = np.array([column.get(name, -1) for name in lists.flatten().to_pylist()], dtype=np.int64)
    weights = np.asarray(rows.column("weights").combine_chunks().flatten(), dtype=np.float32)
    kept = (row >= 0) & (topic >= 0)
    leaves = sp.csr_matrix((weights[kept], (row[kept].astype(np.int64), topic[kept])), (len(item_ids), len(column)))
    return topic_tree.roll_up(tree, leaves)


class Tonight(NamedTuple):
    """What a night's steps on interests share. at_day: its end, days since 1970-01-01 UTC; tree, version: of the
    hierarchy in force; item_ids (n,) str: items of the night's events; topics: the tiers over these items."""

    at_day: float
    tree: TopicTree
    version: str
    item_ids: np.ndarray
    topics: Topics


def load_tonight(night: "Night", known: DataFrame) -> tuple[DataFrame, Tonight]:
    """Those of the night's known events that count for interests (see consumption.recent), and the hierarchy over their
    items, which the first step of a night that asks loads for all."""
    day = night.run_date
    at_day = end_of_day(day, night.source.zone)
    events = recent(known, day, night.settings.interest.lookback_days)
    return events, night.once("hierarchy", lambda: _hierarchy(night, events, at_day))


def _hierarchy(night: "Night", events: DataFrame, at_day: float) -> Tonight:
    tree, version = tree_in_force(night)
    items = catalogue(events, at_day, 0, counted="weight > 0")
    memberships = load_memberships(night.read("item_topics"), night.run_date, tree, items.item_ids.tolist())
    places = [tree.in_tier(tier) for tier in range(1, tree.depth + 1)]
    first = [0, *(place[0] for place in places)]
    parents = [np.maximum(tree.parents[place] - first[tier], -1) for tier, place in enumerate(places)]
    ids = [tree.topic_ids[place] for place in places]
    return Tonight(at_day, tree, version, items.item_ids, Topics(ids, parents, memberships, items.counts))


def deepest_tier(night: "Night", day: datetime.date, item_ids: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray] | None:
    """The items' shares (n, k) of the deepest tier's topics in force on a day, and the topics' names (k,) from tier
    1 down; None: there is no hierarchy."""
    rows = version_in_force(night.read("topics"), day, included=True)
    if rows.isEmpty():
        return None
    tree, _ = load_tree(rows, SHOWN)
    tiers = load_memberships(night.read("item_topics"), day, tree, item_ids.tolist())
    return (tiers[-1].astype(np.float32), topic_tree.paths(tree)[tree.in_tier(tree.depth)]) if tiers else None
