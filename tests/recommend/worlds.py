"""Small histories and models for the ranker's tests, and a planted world where the right item is known."""

import numpy as np
import pyarrow as pa

from interest_model.config import Ranker, load_settings
from interest_model.recommend import audience, candidates, fit
from interest_model.recommend.attributes import no_attributes
from interest_model.recommend.blend import Model
from interest_model.recommend.histories import Histories, between
from interest_model.recommend.interests import no_topics
from interest_model.recommend.members import nowhere
from interest_model.recommend.popularity import ItemCounts, bin_day


def histories(users: dict[str, list[tuple[int, float]]]) -> Histories:
    """Histories from user id to (item, day) pairs, oldest first; every weight is one."""
    events = [event for one in users.values() for event in one]
    return Histories(
        user_ids=np.array(list(users), dtype=object),
        indptr=np.cumsum([0, *map(len, users.values())]),
        items=np.array([item for item, _ in events], dtype=np.int32),
        days=np.array([day for _, day in events], dtype=np.float64),
        weights=np.ones(len(events), dtype=np.float32),
    )


def ranker_settings(**changes) -> Ranker:
    overrides = [f"ranker.{key}={value}" for key, value in changes.items()]
    return load_settings(overrides=overrides).ranker


def counts_of(known: Histories, at_day: float) -> ItemCounts:
    """Counts per item and time bin of all events."""
    bins = bin_day(known.days, at_day, 80)
    pairs, sizes = np.unique(np.stack([known.items, bins]), axis=1, return_counts=True)
    return ItemCounts(pairs[0].astype(np.int32), pairs[1], sizes.astype(np.float64))


def fitted(
    known: Histories,
    n_items: int,
    at_day: float,
    repeats=False,
    vectors=None,
    places=None,
    topics=None,
    attributes=None,
    **changes,
) -> Model:
    """The model of a night at at_day, by the same steps as a nightly run."""
    settings = ranker_settings(**changes)
    known = between(known, -np.inf, at_day)
    counts = counts_of(known, at_day)
    first_days = np.full(n_items, np.inf)
    np.minimum.at(first_days, known.items, known.days)
    vectors = np.zeros((n_items, 4), np.float32) if vectors is None else vectors
    places = nowhere(n_items) if places is None else places
    names = np.array([f"item{position:04d}" for position in range(n_items)])

    def members_at(day: float):
        head = fit.ease_head(counts, n_items, day, settings.ease_max_items)
        rows = pa.Table.from_batches(fit.pair_batches(between(known, -np.inf, day), n_items, head, settings))
        return fit.collaborative(rows, n_items, head, settings)

    def lessons(nights, limit):
        return pa.Table.from_batches([candidates.tuning_rows(known, nights)])

    topics, attributes = topics or no_topics(n_items), attributes or no_attributes(n_items)
    items = fit.Known(names, candidates.Past(counts, first_days), vectors, places, topics, attributes)
    readers = fit.Readers(members_at, lessons, lambda asked: audience.of_users(known, asked))
    return fit.night_model(items, readers, at_day, settings, repeats)


def checkerboard(n_users: int = 60, n_items: int = 40, days: int = 40, seed: int = 3) -> Histories:
    """Even users consume only even items and odd users only odd ones, one a day, in a random order without repeats."""
    rng = np.random.default_rng(seed)
    users = {}
    for user in range(n_users):
        own = rng.permutation(np.arange(user % 2, n_items, 2))[: n_items // 4]
        users[f"user{user:03d}"] = [
            (int(item), float(day)) for item, day in zip(own, sorted(rng.uniform(0, days, len(own))), strict=True)
        ]
    return histories(users)
