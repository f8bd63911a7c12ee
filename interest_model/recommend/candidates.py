"""Past nights as lessons: what was said about a user's candidates, and which of them the user then took. No Spark.

Everything is computed from what is known today, so a night has no memory of its own: the members are fitted on events
before the first of these nights, popularity and the user's own items are those at each night.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from interest_model.config import Ranker
from interest_model.interest.states_of_users import population_shares
from interest_model.recommend import sparse_scores
from interest_model.recommend.blend import PERSONAL_MEMBERS, Model
from interest_model.recommend.context import context_at
from interest_model.recommend.features import item_facts, pair_features
from interest_model.recommend.histories import Histories, between, keep, take
from interest_model.recommend.popularity import ItemCounts, decayed

_PER_MEMBER = 30  # candidates each personal member may name, and as many that are new to the user
_PER_POPULARITY = 40  # candidates each half life may name; 10 are needed, the rest lets a personal member lift them
TUNING_SCHEMA = pa.schema(
    [("night", pa.float64()), ("user_id", pa.string()), ("n_novel", pa.int32()), ("n_repeat", pa.int32())]
    + [(name, pa.binary()) for name in ("features", "pairs", "hits", "seen")]
)


class Past(NamedTuple):
    """counts: consumptions per item and time bin; first_days (n,): when each item was first seen, days since epoch."""

    counts: ItemCounts
    first_days: np.ndarray


class Night(NamedTuple):
    """A past moment: at_day; horizon_days: in how many days after it is looked for what users took; popularity (n, h)
    float64 for each half life, every column divided by its largest; youth (n,) float64: (1 + age in days) ** -0.5, zero
    for an item not yet seen; model: for the personal members; its pool, popular items and item facts are of this
    moment, its audience is nobody's."""

    at_day: float
    horizon_days: float
    popularity: np.ndarray
    youth: np.ndarray
    model: Model


def youth(first_days: np.ndarray, at_day: float) -> np.ndarray:
    """(n,) (1 + days since the item was first seen) ** -0.5; zero where that lies after at_day. first_days (n,) days
    since epoch."""
    age = at_day - first_days
    return np.where(age >= 0, (1.0 + np.maximum(age, 0.0)) ** -0.5, 0.0)


def scaled(columns: np.ndarray) -> np.ndarray:
    """(n, h) columns divided by their largest value."""
    return columns / np.maximum(columns.max(axis=0, initial=0.0), 1e-30)


def candidate_pool(popularity: np.ndarray, first_days: np.ndarray, at_day: float, size: int) -> np.ndarray:
    """(p,) int32 ascending: items every user is scored on, half of them the most popular of each half life, half the
    newest.

    popularity (n, h). Newest means first seen before at_day, latest first; ties go to the smaller position.
    """
    share = max(1, size // 2 // max(1, popularity.shape[1]))
    chosen = [sparse_scores.popular_list(popularity[:, column], share)[0] for column in range(popularity.shape[1])]
    age = at_day - first_days
    newest = np.argsort(np.where(age >= 0, age, np.inf), kind="stable")[: size // 2]
    return np.unique(np.concatenate([*chosen, newest[age[newest] >= 0]])).astype(np.int32)


def tuning_rows(histories: Histories, nights: list[Night]) -> pa.RecordBatch:
    """One row per night and user who acted in the days after it and had a history before it.

    Columns: n_novel, n_repeat: distinct items of the days after, seen ones left out / kept; features: (c, h + 1 + m)
    float32 bytes, a row per candidate: popularity at each half life, youth, the m PERSONAL_MEMBERS; pairs: (c, F)
    float32 bytes, see features.pair_features; hits and seen: (c,) bytes of 0 or 1.
    """
    parts = [_night_rows(histories, night) for night in nights]
    columns = [sum(column, []) for column in zip(*parts, strict=True)] if parts else [[] for _ in TUNING_SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, TUNING_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=TUNING_SCHEMA)


def _night_rows(histories: Histories, night: Night) -> tuple[list, ...]:
    after = between(histories, night.at_day, night.at_day + night.horizon_days)
    before = keep(histories, histories.days < night.at_day)
    judged = (after.lengths > 0) & (before.lengths > 0)
    after, before = take(after, judged), take(before, judged)
    if not after.n_users:
        return tuple([] for _ in TUNING_SCHEMA)
    n = night.model.n_items
    context = context_at(before, night.model, night.at_day)
    rows, columns = named(context.members, before, night.model)
    keys = rows * n + columns
    truth = np.unique(after.rows * n + after.items)
    known = np.unique(before.rows * n + before.items)
    hits, seen = np.isin(keys, truth), np.isin(keys, known)
    blend = _blend_features(context.members, night, rows, columns)
    pairs = pair_features(context, night.model, rows, columns).astype("<f4")
    n_repeat = np.bincount(truth // n, minlength=before.n_users)
    n_novel = np.bincount(truth[~np.isin(truth, known)] // n, minlength=before.n_users)
    cuts = np.searchsorted(rows, np.arange(1, before.n_users))
    arrays = (blend, pairs, hits.astype("u1"), seen.astype("u1"))
    packed = [[one.tobytes() for one in np.split(array, cuts)] for array in arrays]
    return [night.at_day] * before.n_users, list(before.user_ids), list(n_novel), list(n_repeat), *packed


def _blend_features(scores, night: Night, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    h = night.popularity.shape[1]
    features = np.empty((len(rows), h + 1 + len(PERSONAL_MEMBERS)), dtype="<f4")
    features[:, :h], features[:, h] = night.popularity[columns], night.youth[columns]
    for place, name in enumerate(PERSONAL_MEMBERS, start=h + 1):
        features[:, place] = sparse_scores.lookup(scores[name], rows, columns)
    return features


def named(scores: dict[str, sp.csr_matrix], histories: Histories, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Rows (users) and columns (items) of all candidates, ascending: the popular items for everybody, and the best of
    each personal member, among all items and among those new to the user."""
    n, n_users = model.n_items, histories.n_users
    keys = [np.repeat(np.arange(n_users), len(model.popular)) * n + np.tile(model.popular, n_users)]
    for name in PERSONAL_MEMBERS:
        tops = [sparse_scores.top(scores[name], _PER_MEMBER)]
        if not name.startswith("own"):
            tops.append(sparse_scores.top(sparse_scores.without(scores[name], histories), _PER_MEMBER))
        keys += [rows * n + columns for rows, _, columns, _ in tops]
    keys = np.unique(np.concatenate(keys))
    return keys // n, keys % n


def popular_items(popularity: np.ndarray) -> np.ndarray:
    """(p,) int32 ascending: the most popular items of each half life; popularity (n, h)."""
    chosen = [sparse_scores.popular_list(column, _PER_POPULARITY)[0] for column in popularity.T]
    return np.unique(np.concatenate([*chosen, np.zeros(0, np.int64)])).astype(np.int32)


def night_at(draft: Model, past: Past, at_day: float, horizon_days: float, settings: Ranker) -> Night:
    """The night at `at_day`: popularity and item facts from the counts before it, personal members from `draft`."""
    counts, first_days = past
    popularity = scaled(decayed(counts, draft.n_items, at_day, settings.popularity_half_lives_days))
    model = dataclasses.replace(
        draft,
        pool=candidate_pool(popularity, first_days, at_day, settings.pool_items),
        popular=popular_items(popularity),
        item_facts=item_facts(counts, first_days, draft.attributes.prices, draft.collaborative, at_day),
        topic_shares=population_shares(draft.topics.membership, counts, at_day, float(draft.topics.rule[0])),
    )
    return Night(at_day, horizon_days, popularity, youth(first_days, at_day), model)
