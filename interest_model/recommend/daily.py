"""The ranker over Spark: fits by sums over partitions of users, and lists. No user reaches the driver."""

import operator
from collections.abc import Callable, Iterator
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from interest_model.config import Ranker, Recommendations
from interest_model.encoding.item_embeddings import embeddings_known
from interest_model.history.known import items_known
from interest_model.interest.states import state_settings
from interest_model.interest.topics import deepest_tier
from interest_model.on_executors import Batches, gather_rows, map_batches, map_users
from interest_model.recommend import audience, candidates, explanation, fit, members, scoring, stored
from interest_model.recommend.attributes import ItemAttributes, KnownItems, attributes_of
from interest_model.recommend.blend import NO_SEQUENCE, Audience, Collaborative, ItemTopics, Model, SequenceMember
from interest_model.recommend.candidates import Past
from interest_model.recommend.consumption import Catalogue, item_places, known_items
from interest_model.recommend.histories import Histories, between, from_arrow, take
from interest_model.recommend.interests import no_topics, rule_numbers
from interest_model.recommend.relisting import Diversity
from interest_model.source import Source

if TYPE_CHECKING:
    from interest_model.job import Night

_USERS_AT_ONCE = 20_000  # of one partial sum; bounds its memory
_USERS_A_LESSON = 1_000  # of one batch of tuning rows; bounds its memory
_PAIR_DDL = "kind string, item int, others binary, values binary"
_AUDIENCE_DDL = "moment int, block int, sums binary"
_TUNING_DDL = (
    "night double, user_id string, n_novel int, n_repeat int, features binary, pairs binary, hits binary, seen binary"
)
_LIST_DDL = (
    "user_id string, item_ids array<string>, scores array<double>, origins array<string>, reasons array<string>, "
    "because array<array<string>>"
)


class ItemViews(NamedTuple):
    """Beside who took it, what is known of each of n items: vectors (n, d): of their texts; places (n, 2): see
    consumption.item_places; topics, sequence: see blend.ItemTopics and SequenceMember; attributes: see
    attributes.ItemAttributes."""

    vectors: np.ndarray
    places: np.ndarray
    topics: ItemTopics
    attributes: ItemAttributes
    sequence: SequenceMember = NO_SEQUENCE


def ranker_topics(night: "Night", day: date, item_ids: np.ndarray) -> ItemTopics:
    """The hierarchy in force on a day as the ranker reads it; without one there are no topics."""
    tier = deepest_tier(night, day, item_ids)
    rule = rule_numbers(state_settings(night.settings.interest))
    return no_topics(len(item_ids)) if tier is None else ItemTopics(*tier, rule)


def ranker_sequence(night: "Night", day: date | None, items: KnownItems) -> SequenceMember:
    """The sequence model in force on a day as the ranker reads it."""
    from interest_model.interest.shipped_model import packed  # torch: lists are made without it
    from interest_model.training.champion import load_champion

    champion = load_champion(night, day) if day is not None and night.settings.ranker.sequence else None
    if champion is None:
        return NO_SEQUENCE
    model = champion.over(items, night.settings.encoder)
    return SequenceMember(packed(model), float(champion.packaged.facts["trained_until"]))


def views_known(night: "Night", day: date, model_day: date | None) -> Callable[[Catalogue], ItemViews]:
    """From a catalogue to what was known of its items on a day, and to the sequence model in force on model_day (None:
    no model)."""
    embeddings, known = embeddings_known(night, day), items_known(night.read("items"), day)
    near = night.settings.ranker.near_half_km > 0

    def views(items: Catalogue) -> ItemViews:
        ids = items.item_ids
        described = known_items(items, embeddings, known)
        return ItemViews(
            described.texts,
            item_places(known, ids) if near else members.nowhere(len(ids)),
            ranker_topics(night, day, ids),
            attributes_of(described.traits),
            ranker_sequence(night, model_day, described),
        )

    return views


def fit_ranker(
    histories: DataFrame, items: Catalogue, views: ItemViews, at_day: float, settings: Ranker, repeats: bool
) -> Model:
    """The night's model from user histories (see consumption.user_histories) of events before at_day.

    Members are fitted on all, and before the tuning nights and the lessons, to learn from what followed.
    """
    texts = fit.text_vectors(views.vectors, settings.content_dimensions)
    past = Past(items.counts, items.first_days)
    known = fit.Known(items.item_ids, past, texts, views.places, views.topics, views.attributes, views.sequence)
    read = fit.Readers(
        collaborative=lambda before_day: _collaborative(histories, items, before_day, settings),
        lessons=lambda nights, limit: _lessons(histories, nights, limit, settings.seed),
        audiences=lambda moments: _audiences(histories, moments),
    )
    return fit.night_model(known, read, at_day, settings, repeats)


def _collaborative(histories: DataFrame, items: Catalogue, before_day: float, settings: Ranker) -> Collaborative:
    n_items = len(items.item_ids)
    head = fit.ease_head(items.counts, n_items, before_day, settings.ease_max_items)

    def sums(known: Histories) -> list[pa.RecordBatch]:
        return fit.pair_batches(between(known, -np.inf, before_day), n_items, head, settings)

    def merge(batches: Batches) -> Iterator[pa.RecordBatch]:
        rows = [batch for batch in batches if batch.num_rows]
        if rows:
            yield from members.merge_rows(pa.Table.from_batches(rows), n_items)

    partial = map_batches(histories, _over_users(sums), _PAIR_DDL)
    merged = map_batches(partial.repartition("item"), merge, _PAIR_DDL).toArrow()
    return fit.collaborative(merged, n_items, head, settings)


def _audiences(histories: DataFrame, moments: list[audience.Moment]) -> list[Audience]:
    shared = histories.sparkSession.sparkContext.broadcast(moments)

    def merge(batches: Batches) -> Iterator[pa.RecordBatch]:
        rows = [batch for batch in batches if batch.num_rows]
        if rows:
            yield audience.added(pa.Table.from_batches(rows))

    partial = map_batches(histories, _over_users(lambda known: [audience.sums(known, shared.value)]), _AUDIENCE_DDL)
    merged = map_batches(partial.repartition("moment", "block"), merge, _AUDIENCE_DDL).toArrow()
    return audience.audiences(merged, moments)


def _lessons(histories: DataFrame, nights: list[candidates.Night], limit: int, seed: int) -> pa.Table:
    # a user-night per user and window acted in, at most: enough to know which share of the users fits the limit
    windows = reduce(operator.add, (_acted(one.at_day, one.at_day + one.horizon_days).cast("int") for one in nights))
    active = histories.withColumn("windows", windows).where("windows > 0")
    user_nights = active.agg(F.sum("windows")).head()[0] or 0
    share = min(1.0, limit / max(user_nights, 1))
    sampled = active.where(F.pmod(F.xxhash64("user_id", F.lit(seed)), F.lit(1_000_000)) < share * 1_000_000)
    shared = histories.sparkSession.sparkContext.broadcast(nights)

    def rows(known: Histories) -> list[pa.RecordBatch]:
        parts = np.array_split(np.arange(known.n_users), -(-known.n_users // _USERS_A_LESSON) or 1)
        return [candidates.tuning_rows(take(known, part), shared.value) for part in parts]

    return map_users(sampled.drop("windows"), _over_users(rows), _TUNING_DDL).toArrow()


def _acted(start: float, end: float) -> Column:
    """True where any of `days` lies in [start, end)."""
    return F.exists("days", lambda day: (day >= start) & (day < end))


def load_model(rows: DataFrame) -> tuple[Model, str]:
    """The model and its version from one day's rows of table ranker_models, see stored.from_table."""
    return stored.from_table(rows.toArrow())


def daily_lists(
    histories: DataFrame, model: Model, titles: np.ndarray, at_day: float, settings: Recommendations, source: Source
) -> DataFrame:
    """One row per user: user_id and aligned arrays, best first: item_ids, scores, origins, reasons, because.

    The list_length best items of each user at the moment at_day. titles (n,) str: what reasons call an item; dates in
    them are of source.zone. Items already consumed are left out unless source.repeats or nothing else is left.
    """
    shared = histories.sparkSession.sparkContext.broadcast((model, titles))
    zone, repeats = source.zone, source.repeats
    wide = Diversity(settings.diversity_method, settings.diversity_strength, settings.diversity_candidates)

    def lists(known: Histories) -> list[pa.RecordBatch]:
        ranker, titles = shared.value
        names = explanation.Names(titles, ranker.topics.names, ranker.first_days, at_day, zone)
        found = scoring.recommend(known, ranker, at_day, settings.list_length, repeats, wide)
        offsets = pa.array(np.searchsorted(found.users, np.arange(known.n_users + 1)), pa.int32())
        items = pa.array(ranker.item_ids.tolist(), pa.string())
        columns = {
            "item_ids": items.take(pa.array(found.items)),
            "scores": pa.array(found.scores, pa.float64()),
            "origins": explanation.origins(found),
            "reasons": explanation.reasons(found, names),
            "because": _named_items(items, found.because),
        }
        aligned = [pa.ListArray.from_arrays(offsets, column) for column in columns.values()]
        users = pa.array(known.user_ids, pa.string())
        return [pa.RecordBatch.from_arrays([users, *aligned], names=["user_id", *columns])]

    return map_users(histories, _over_users(lists), _LIST_DDL)


def _named_items(items: pa.Array, positions: np.ndarray) -> pa.ListArray:
    """Per row the ids at the positions that are not -1."""
    some = positions >= 0
    offsets = np.concatenate([[0], np.cumsum(some.sum(axis=1))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items.take(pa.array(positions[some])))


def list_rows(lists: DataFrame) -> DataFrame:
    """Rows user_id, rank, item_id, score, origin, reason, because_item_ids from `daily_lists`."""
    zipped = F.arrays_zip("item_ids", "scores", "origins", "reasons", "because")
    rows = lists.select("user_id", F.posexplode(zipped).alias("place", "one"))
    return rows.select(
        "user_id",
        (F.col("place") + 1).alias("rank"),
        F.col("one")["item_ids"].alias("item_id"),
        F.col("one")["scores"].alias("score"),
        F.col("one")["origins"].alias("origin"),
        F.col("one")["reasons"].alias("reason"),
        F.col("one")["because"].alias("because_item_ids"),
    )


def _over_users(function: Callable[[Histories], list[pa.RecordBatch]]) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """`function` over histories, many users at a time."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for table in gather_rows(batches, _USERS_AT_ONCE):
            yield from function(from_arrow(table))

    return run
