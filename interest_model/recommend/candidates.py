"""Tuning rows: what every member said about a user's candidates on a past night, and what the user then took. No Spark.

Everything is computed from what is known today, so a night has no memory of its own: the members are fitted on events
before the first tuning night, popularity and the user's own items are those at each night.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from interest_model.recommend import scoring
from interest_model.recommend.blend import PERSONAL_MEMBERS, Model
from interest_model.recommend.histories import Histories, between, keep, take
from interest_model.recommend.popularity import ItemCounts, decayed

_PER_MEMBER = 40  # candidates each personal member may name
_PER_POPULARITY = 60  # candidates each half life may name; 10 are needed, the rest lets a personal member lift them
TUNING_SCHEMA = pa.schema(
    [("night", pa.float64()), ("user_id", pa.string()), ("n_novel", pa.int32()), ("n_repeat", pa.int32())]
    + [(name, pa.binary()) for name in ("features", "hits", "seen")]
)


class Night(NamedTuple):
    """Popularity at one moment: at_day; popularity (n, h) float64 for each half life, every column divided by its
    largest; youth (n,) float64: (1 + age in days) ** -0.5, zero for an item not yet seen; model: for the personal
    members, its pool that of this moment."""

    at_day: float
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
    chosen = [scoring.popular_list(popularity[:, column], share)[0] for column in range(popularity.shape[1])]
    age = at_day - first_days
    newest = np.argsort(np.where(age >= 0, age, np.inf), kind="stable")[: size // 2]
    return np.unique(np.concatenate([*chosen, newest[age[newest] >= 0]])).astype(np.int32)


def tuning_rows(histories: Histories, nights: list[Night]) -> pa.RecordBatch:
    """One row per night and user who acted in the day after it and had a history before it.

    Columns: n_novel, n_repeat: distinct items of the day after, seen ones left out / kept; features: (c, h + 1 + 6)
    float32
    bytes, a row per candidate: popularity at each half life, youth, PERSONAL_MEMBERS; hits and seen: (c,) bytes of 0 or
    1.
    """
    parts = [_night_rows(histories, night) for night in nights]
    columns = [sum(column, []) for column in zip(*parts, strict=True)] if parts else [[] for _ in TUNING_SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, TUNING_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=TUNING_SCHEMA)


def _night_rows(histories: Histories, night: Night) -> tuple[list, ...]:
    after = between(histories, night.at_day, night.at_day + 1.0)
    before = keep(histories, histories.days < night.at_day)
    judged = (after.lengths > 0) & (before.lengths > 0)
    after, before = take(after, judged), take(before, judged)
    if not after.n_users:
        return [], [], [], [], [], [], []
    n = night.model.n_items
    scores = scoring.member_scores(before, night.model, night.at_day)
    rows, columns = _candidates(scores, night, before.n_users)
    keys = rows * n + columns
    truth = np.unique(after.rows * n + after.items)
    known = np.unique(before.rows * n + before.items)
    hits, seen = np.isin(keys, truth), np.isin(keys, known)
    features = np.empty((len(rows), night.popularity.shape[1] + 1 + len(PERSONAL_MEMBERS)), dtype="<f4")
    h = night.popularity.shape[1]
    features[:, :h], features[:, h] = night.popularity[columns], night.youth[columns]
    for place, name in enumerate(PERSONAL_MEMBERS, start=h + 1):
        features[:, place] = scoring.lookup(scores[name], rows, columns)
    n_repeat = np.bincount(truth // n, minlength=before.n_users)
    n_novel = np.bincount(truth[~np.isin(truth, known)] // n, minlength=before.n_users)
    cuts = np.searchsorted(rows, np.arange(1, before.n_users))
    packed = [
        [one.tobytes() for one in np.split(array, cuts)] for array in (features, hits.astype("u1"), seen.astype("u1"))
    ]
    return [night.at_day] * before.n_users, list(before.user_ids), list(n_novel), list(n_repeat), *packed


def _candidates(scores, night: Night, n_users: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (users) and columns (items) of all candidates, ascending: the best of each popularity and each personal
    member."""
    n = night.model.n_items
    popular = [scoring.popular_list(column, _PER_POPULARITY)[0] for column in night.popularity.T]
    common = np.unique(np.concatenate(popular))
    keys = [np.repeat(np.arange(n_users), len(common)) * n + np.tile(common, n_users)]
    for name in PERSONAL_MEMBERS:
        rows, _, columns, _ = scoring.top(scores[name], _PER_MEMBER)
        keys.append(rows * n + columns)
    keys = np.unique(np.concatenate(keys))
    return keys // n, keys % n


def night_at(
    model: Model,
    counts: ItemCounts,
    first_days: np.ndarray,
    at_day: float,
    half_lives: tuple[float, ...],
    pool_size: int,
) -> Night:
    """The night at `at_day`: popularity from the counts before it, personal members from `model`."""
    popularity = scaled(decayed(counts, model.n_items, at_day, half_lives))
    pool = candidate_pool(popularity, first_days, at_day, pool_size)
    return Night(at_day, popularity, youth(first_days, at_day), _with_pool(model, pool))


def _with_pool(model: Model, pool: np.ndarray) -> Model:
    return dataclasses.replace(model, pool=pool)
