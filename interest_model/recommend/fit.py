"""From histories and counts to the night's model: partial sums, the members, the tuned weights. No Spark.

The order of a night (the Spark face runs 1, 3 and 4 over partitions of users, the rest on the driver):
  1. pair_batches over histories before the first lesson, before the first tuning night, and over all of them
  2. collaborative: the members of the three fits
  3. audience.sums over histories, at each lesson and tonight
  4. candidates.tuning_rows over histories, for each lesson and each tuning night
  5. weights.learn for the blend, lessons for the boosted ranker, then finished_model
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from interest_model.config import Ranker
from interest_model.errors import ConfigError
from interest_model.recommend import audience, boosted, candidates, members, weights
from interest_model.recommend.attributes import ItemAttributes, no_attributes
from interest_model.recommend.blend import (
    BLEND_ALONE,
    MEMBERS,
    NO_SEQUENCE,
    POPULARITY_MEMBERS,
    Audience,
    Collaborative,
    ItemTopics,
    Mixture,
    Model,
    SequenceMember,
)
from interest_model.recommend.candidates import Night, Past
from interest_model.recommend.features import ATTRIBUTE_FEATURES, repeaters, with_blend
from interest_model.recommend.histories import Histories, latest, take
from interest_model.recommend.popularity import ItemCounts, decayed, head_items, recent
from interest_model.recommend.weights import TuningSet

_HEAD_HALF_LIFE_DAYS = 60.0
_AUDIENCE_HALF_LIFE_DAYS = 7.0  # by whose popularity it is decided which items have an audience
_PAIRS_AT_ONCE = 1e8  # of events of one user, in one partial sum: some 2.5 GB where no two are of the same items
# LAPACK on another number of threads gives other last bits, and so another version of the same model
_ON_ONE_THREAD = threadpool_limits.wrap(limits=1)


class Known(NamedTuple):
    """What is known of items: item_ids (n,) str, ascending; past: their counts and first days; texts (n, d) float32:
    see text_vectors; places (n, 2) float64: latitude and longitude in degrees, NaN where an item has none; topics,
    attributes, sequence: see blend.ItemTopics, attributes.ItemAttributes and blend.SequenceMember."""

    item_ids: np.ndarray
    past: Past
    texts: np.ndarray
    places: np.ndarray
    topics: ItemTopics
    attributes: ItemAttributes
    sequence: SequenceMember = NO_SEQUENCE


class Readers(NamedTuple):
    """What is asked of the users' histories, wherever they lie. collaborative: the members fitted on what was before a
    day; lessons: candidates.tuning_rows of some nights, of so many user-nights at most; audiences: of the items of some
    moments, see audience.audiences."""

    collaborative: Callable[[float], Collaborative]
    lessons: Callable[[list[Night], int], pa.Table]
    audiences: Callable[[list[audience.Moment]], list[Audience]]


@_ON_ONE_THREAD
def night_model(known: Known, read: Readers, at_day: float, settings: Ranker, repeats: bool) -> Model:
    """The night's model: blend and boosted ranker, learned on what followed past moments, fitted up to at_day.

    The same bits whatever the machine's cores and the order of users in what is read.
    """
    settings = settings.of_age(at_day - float(known.past.first_days.min(initial=at_day)))
    draft = draft_model(known, read.collaborative(at_day - settings.tuning_days), settings)
    n_half_lives = len(settings.popularity_half_lives_days)
    nights = tuning_nights(draft, known.past, at_day, settings)
    tuning = weights.from_rows(read.lessons(nights, settings.tuning_users), n_half_lives)
    learned = weights.learn(tuning, prior_weights(settings), settings.weights_shrinkage, repeats)
    last = draft_model(known, read.collaborative(at_day), settings)
    model = finished_model(last, learned, known.past, at_day, settings)
    if not has_lessons(known.past, at_day, settings):
        return model
    draft = draft_model(known, read.collaborative(first_lesson(at_day, settings)), settings)
    nights = lesson_nights(draft, known.past, at_day, settings)
    models = reached([(one.at_day, one.model) for one in nights], known.past, read, settings)
    nights = [one._replace(model=model) for one, model in zip(nights, models, strict=True)]
    lessons = weights.from_rows(read.lessons(nights, settings.lesson_users), n_half_lives)
    novel = mixture(lessons, learned.novel, settings)
    again = mixture(lessons, learned.repeat, settings) if repeats else novel
    (model,) = reached([(at_day, model)], known.past, read, settings)
    return dataclasses.replace(model, mixture_novel=novel, mixture_repeat=again)


def reached(models: list[tuple[float, Model]], past: Past, read: Readers, settings: Ranker) -> list[Model]:
    """The models, each with its moment, with the audiences of the items used most lately; as they are, and no user
    asked, where no audience is wanted or nobody has a taste."""
    plain = [model for _, model in models]
    if not settings.audience_items or not all(one.collaborative.factors.size for one in plain):
        return plain
    moments = []
    for at_day, model in models:
        lately = decayed(past.counts, model.n_items, at_day, (_AUDIENCE_HALF_LIFE_DAYS,))[:, 0]
        moments.append(audience.moment(model, head_items(lately, settings.audience_items), at_day))
    found = read.audiences(moments)
    return [dataclasses.replace(model, audience=one) for model, one in zip(plain, found, strict=True)]


def mixture(lessons: TuningSet, blend: weights.Blend, settings: Ranker) -> Mixture:
    """A variant's trees, learned on all lessons, and their share; few user-windows teach nothing: the blend alone."""
    if len(lessons.nights) < settings.lesson_min_users:
        return BLEND_ALONE
    asked = lessons.candidates(blend.repeats)
    trees = boosted.fit(tree_rows(lessons, asked, blend.scores(lessons)), lessons.hits[asked], settings)
    return Mixture(trees, np.array(settings.boosting_share)) if len(trees) else BLEND_ALONE


def ease_head(counts: ItemCounts, n_items: int, at_day: float, size: int) -> np.ndarray:
    """(h,) int32 catalogue positions of the `size` items most used lately before at_day: those EASE is fitted on."""
    return head_items(decayed(counts, n_items, at_day, (_HEAD_HALF_LIFE_DAYS,))[:, 0], size)


def pair_batches(histories: Histories, n_items: int, head: np.ndarray, settings: Ranker) -> list[pa.RecordBatch]:
    """The partial sums of some users, as rows of members.PAIR_SCHEMA; merged by members.merge_rows or collaborative."""
    read = latest(histories, settings.history_length)
    return [batch for part in _few_pairs(read) for batch in _pairs_of(part, n_items, head, settings)]


def _few_pairs(histories: Histories) -> list[Histories]:
    """The users in parts that end with the one whose events make _PAIRS_AT_ONCE pairs full."""
    before = np.concatenate([[0], np.cumsum(histories.lengths.astype(np.float64) ** 2)[:-1]])
    parts = np.split(np.arange(histories.n_users), np.flatnonzero(np.diff(before // _PAIRS_AT_ONCE)) + 1)
    return [histories] if len(parts) == 1 else [take(histories, part) for part in parts]


def _pairs_of(read: Histories, n_items: int, head: np.ndarray, settings: Ranker) -> list[pa.RecordBatch]:
    transitions = members.transition_sums(read, n_items, settings.transition_reach)
    gram = members.gram_sums(read, n_items, head)
    again = sp.diags(repeaters(read, n_items)).tocsr()
    kinds = {"transitions": transitions, "gram": gram, "repeaters": again.astype(np.float32)}
    return [batch for kind, sums in kinds.items() for batch in members.to_rows(kind, sums)]


def collaborative(rows: pa.Table, n_items: int, head: np.ndarray, settings: Ranker) -> Collaborative:
    """The collaborative members from all partial sums."""
    sums = members.from_rows(rows, "transitions", n_items)
    gram = members.from_rows(rows, "gram", n_items)
    users, block = gram.diagonal(), members.head_gram(gram, head)
    lifted = (sums @ sp.diags(np.maximum(users, 1.0) ** -0.5)).tocsr()
    width, shrinkage = settings.neighbours, settings.transition_shrinkage
    return Collaborative(
        transitions=members.transition_weights(sums, users, width, shrinkage),
        lift=members.transition_weights(lifted, users, width, shrinkage),
        ease=members.ease_neighbours(block, head, settings.ease_l2, (n_items, width)),
        item_users=users,
        item_repeaters=members.from_rows(rows, "repeaters", n_items).diagonal(),
        factor_items=head,
        factors=members.item_factors(block, settings.factor_dimensions, settings.seed),
    )


@_ON_ONE_THREAD
def text_vectors(embeddings: np.ndarray, dimensions: int) -> np.ndarray:
    """(n, dimensions) float32: unit-length item vectors on the leading principal axes; a row of zeros or NaN stays
    zero.

    embeddings (n, d) float32. Fewer dimensions make the content member cheap; the axes are those of the second moment.
    """
    clean = np.nan_to_num(np.asarray(embeddings, dtype=np.float32))
    if clean.shape[1] > dimensions:
        _, axes = np.linalg.eigh((clean.T @ clean).astype(np.float64))
        clean = clean @ axes[:, ::-1][:, :dimensions].astype(np.float32)
    lengths = np.linalg.norm(clean, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, clean / np.maximum(lengths, 1e-6), 0.0).astype(np.float32)


def draft_model(known: Known, fitted: Collaborative, settings: Ranker) -> Model:
    """A model without popularity, with the first prior's weights: what tuning nights are scored with."""
    n = len(known.item_ids)
    prior = prior_weights(settings)[0]
    unread = set(ATTRIBUTE_FEATURES) <= set(settings.boosting_without)  # then the night does not carry them
    return Model(
        item_ids=np.asarray(known.item_ids, dtype=str),
        collaborative=fitted,
        trends=np.zeros((n, len(POPULARITY_MEMBERS))),
        popular_7_days=np.zeros(n),
        pool=np.zeros(0, dtype=np.int32),
        vectors=known.texts,
        scales=np.ones(len(MEMBERS)),
        weights_novel=prior,
        weights_repeat=prior,
        half_lives=np.array([np.nan, settings.query_half_life_days, settings.own_half_life_days]),
        history_length=np.array(settings.history_length, dtype=np.int64),
        first_days=np.full(n, np.inf),
        popular=np.zeros(0, dtype=np.int32),
        item_facts=np.zeros((n, 0), dtype=np.float32),
        mixture_novel=BLEND_ALONE,
        mixture_repeat=BLEND_ALONE,
        sequence=known.sequence.weights,
        sequence_from=np.array(known.sequence.from_day),
        nearby=members.nearby_weights(known.places, fitted.item_users, settings.near_half_km, settings.neighbours),
        topics=known.topics,
        topic_shares=np.zeros(len(known.topics.names)),
        attributes=no_attributes(n) if unread else known.attributes,
        audience=audience.nobody(),
    )


def prior_weights(settings: Ranker) -> np.ndarray:
    """(p, M) what the learned weights start from and are shrunk to: a row per prior of the settings, summing to one.

    Raises ConfigError where a prior names another set of members.
    """
    for name, prior in settings.prior_weights.items():
        if set(prior) != set(MEMBERS):
            odd = ", ".join(sorted(set(prior) ^ set(MEMBERS)))
            raise ConfigError(
                f"ranker.prior_weights.{name}: needs every member of the blend and no other; differs in: {odd}"
            )
    rows = [[prior[member] for member in MEMBERS] for prior in settings.prior_weights.values()]
    values = np.array(rows, dtype=np.float64)
    return values / values.sum(axis=1, keepdims=True)


def tuning_nights(draft: Model, past: Past, at_day: float, settings: Ranker) -> list[Night]:
    """The nights the weights are learned on: tuning_days of them, the last one day before at_day."""
    cuts = [at_day - back for back in range(settings.tuning_days, 0, -1)]
    return [candidates.night_at(draft, past, cut, 1.0, settings) for cut in cuts]


def has_lessons(past: Past, at_day: float, settings: Ranker) -> bool:
    """True where lessons are wanted, and the log was lesson_warm_up_days old at the first one."""
    began = past.first_days.min(initial=np.inf)
    return bool(settings.lessons and first_lesson(at_day, settings) - began >= settings.lesson_warm_up_days)


def lesson_nights(draft: Model, past: Past, at_day: float, settings: Ranker) -> list[Night]:
    """The moments whose following lesson_days teach the boosted ranker, one after another up to at_day."""
    first, step = first_lesson(at_day, settings), settings.lesson_days
    cuts = np.arange(first, at_day - step + 1e-9, step)
    return [candidates.night_at(draft, past, float(cut), float(step), settings) for cut in cuts]


def first_lesson(at_day: float, settings: Ranker) -> float:
    """The moment of the first lesson: before it the members that lessons read are fitted."""
    return at_day - settings.learning_days


def tree_rows(tuning: TuningSet, asked: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(k, F) what the trees read of the candidates marked in asked (g, c) bool; scores (g, c): the blend's, which they
    read too (stacking, Wolpert 1992)."""
    return with_blend(tuning.pairs[asked], np.nonzero(asked)[0], scores[asked])


def finished_model(draft: Model, learned: weights.Learned, past: Past, at_day: float, settings: Ranker) -> Model:
    """The night's model: draft (fitted on all events before at_day) with popularity at the night and the learned
    weights, still without a boosted ranker."""
    night = candidates.night_at(draft, past, at_day, 1.0, settings)
    return dataclasses.replace(
        night.model,
        trends=trends_at(night, learned.half_lives),
        popular_7_days=recent(past.counts, draft.n_items, at_day, 7.0),
        scales=learned.scales,
        weights_novel=learned.weights_novel,
        weights_repeat=learned.weights_repeat,
        half_lives=np.array([settings.popularity_half_lives_days[learned.half_lives[0]], *draft.half_lives[1:]]),
        first_days=past.first_days,
    )


def trends_at(night: Night, chosen: np.ndarray) -> np.ndarray:
    """(n, 4) the POPULARITY_MEMBERS at a night; chosen (3,): indices of the half lives of popularity, trend and
    slow."""
    columns = night.popularity[:, chosen]
    return np.column_stack([columns, columns[:, 0] * night.youth])
