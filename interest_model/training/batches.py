"""Histories to padded batches: truncated, in segments or as prefixes, augmented, bucketed by length. torch, no Spark.

Everything random comes from the settings' seed and the number of the epoch: an epoch can be made again after a kill.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from interest_model.interest.dynamics import Batch, Targets
from interest_model.interest.item_tower import MASKED
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.recommend.histories import Histories

_MICROS_PER_DAY = 86_400e6
_POOL_BATCHES = 50  # shuffled batches' worth of sequences that are sorted by length together


class Sequences(NamedTuple):
    """Histories and what a model learns beside them.

    values (m,) float32: what the log says of the item of each event, such as a rating, NaN where it says nothing; None:
    not in this log. positive (m,) bool: the events that count as found where lists are judged; None: all.
    """

    histories: Histories
    values: np.ndarray | None = None
    positive: np.ndarray | None = None


class Spans(NamedTuple):
    """Parts of histories, each a training row: events starts[k] to stops[k] - 1 of the flat arrays, of one user."""

    starts: np.ndarray
    stops: np.ndarray


class TrainingBatches:
    """The batches of any epoch, in an order and with augmentation that only (seed, epoch) decide.

    A position's targets are events after it: the next one, or every one within the horizon of its query time. That is
    never later than they are, and the same only where they are of one moment, a basket (see query_days). end_day: the
    log is complete before it; None: just after the last event. A position whose window reaches beyond is left out, its
    targets are not all known. zone: the log's, see query_days.
    """

    def __init__(
        self,
        sequences: Sequences,
        model: ModelSettings,
        fit: FitSettings,
        end_day: float | None = None,
        zone: str = "UTC",
    ):
        self.sequences, self.model, self.fit = sequences, model, fit
        histories = sequences.histories
        self._ends_of_user = histories.indptr[1:][histories.rows]
        self.query_days = query_days(histories, fit.query, zone)
        self.target_ends = self._target_ends(end_day)
        self.has_target = self.target_ends > np.arange(len(histories.items)) + 1

    def _target_ends(self, end_day: float | None) -> np.ndarray:
        """(m,) for each event, one past its last target; its targets begin at the event after it."""
        days, after = self.sequences.histories.days, np.arange(len(self._ends_of_user)) + 1
        if self.fit.target == "next":
            return np.minimum(after + 1, self._ends_of_user)
        until = self.query_days + self.fit.horizon_days
        last = np.nextafter(days.max(initial=-np.inf), np.inf) if end_day is None else end_day
        return np.where(until <= last, first_not_before(days, after, self._ends_of_user, until), after)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self.fit.seed, epoch])
        spans, augmented = self._crop(self._spans(rng), rng)
        for rows in batch_rows(spans.stops - spans.starts, self.fit.batch_size, self.fit.bucketed, rng):
            batch = self._batch(Spans(spans.starts[rows], spans.stops[rows]), augmented[rows], rng)
            if len(batch.positions):
                yield batch

    def _spans(self, rng: np.random.Generator) -> Spans:
        """Training rows that hold at least one position with a target."""
        indptr, length = self.sequences.histories.indptr, self.model.max_length
        if self.model.bidirectional:
            return prefixes(indptr, self._some(rng), length)
        if self.fit.long_histories == "segments":
            spans = segments(indptr, length)
        else:
            spans = truncated(indptr, self._last_targets(), length)
        before = np.concatenate([[0], np.cumsum(self.has_target)])
        kept = before[spans.stops] > before[spans.starts]
        return Spans(spans.starts[kept], spans.stops[kept])

    def _last_targets(self) -> np.ndarray:
        """(n,) one past each user's last event with a target, the user's first event where there is none: what comes
        after it teaches nothing, and of who acts often it may be more than a span holds."""
        histories, events = self.sequences.histories, np.flatnonzero(self.has_target)
        stops = histories.indptr[:-1].copy()
        np.maximum.at(stops, histories.rows[events], events + 1)
        return stops

    def _some(self, rng: np.random.Generator) -> np.ndarray:
        """(e,) events with a target, at most `positions` of each user, at random."""
        events = np.flatnonzero(self.has_target)
        users = self.sequences.histories.rows[events]
        return np.sort(events[some_per_group(users, self.fit.positions, rng)])

    def _crop(self, spans: Spans, rng: np.random.Generator) -> tuple[Spans, np.ndarray]:
        """Spans with some cropped, and (r,) the augmentation each is due: 0 none, 1 cropped, 2 mask, 3 reorder."""
        due = rng.random(len(spans.starts)) < self.fit.augment
        kind = np.where(due, rng.integers(1, 4, len(due)), 0)
        lengths = spans.stops - spans.starts
        kept = np.where(kind == 1, np.maximum(np.ceil(lengths * (1 - self.fit.augment_share)), 1), lengths).astype(int)
        offset = np.floor(rng.random(len(due)) * (lengths - kept + 1)).astype(int)
        if self.model.bidirectional:
            offset = lengths - kept  # the end of a prefix is what is scored
        return Spans(spans.starts + offset, spans.starts + offset + kept), kind

    def _batch(self, spans: Spans, kind: np.ndarray, rng: np.random.Generator) -> Batch:
        events, mask = padded(spans)
        shuffled, unordered = reordered(events, mask, kind == 3, self.fit.augment_share, rng)
        hidden = mask & (kind == 2)[:, None] & (rng.random(mask.shape) < self.fit.augment_share)
        scored = mask & self.has_target[events] & ~unordered
        if self.model.bidirectional:
            scored &= events == spans.stops[:, None] - 1
        places = np.flatnonzero(scored.ravel())
        if self.fit.positions:
            places = np.sort(places[some_per_group(places // mask.shape[1], self.fit.positions, rng)])
        batch = _tensors(self.sequences, shuffled, events, mask)
        items = torch.where(torch.from_numpy(hidden), MASKED, batch.items)
        query = torch.from_numpy(np.where(mask, self.query_days[events], 0.0))
        positions, targets = torch.from_numpy(places), self._targets(events.ravel()[places])
        return batch._replace(items=items, query_days=query, positions=positions, targets=targets)

    def _targets(self, events: np.ndarray) -> Targets:
        """The distinct target items of events (p,), an item that comes twice with its first value."""
        histories, values = self.sequences.histories, self.sequences.values
        counts = self.target_ends[events] - events - 1
        rows = np.repeat(np.arange(len(events)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.repeat(events + 1, counts) + within
        items = histories.items[found].astype(np.int64)
        n_items = int(items.max(initial=0)) + 1
        _, first = np.unique(rows * n_items + items, return_index=True)
        rows, items, found = rows[first], items[first], found[first]
        weights = 1.0 / np.bincount(rows, minlength=len(events))[rows]
        known = np.full(len(found), np.nan) if values is None else values[found]
        return Targets(*map(torch.from_numpy, (rows, items, weights.astype(np.float32), known.astype(np.float32))))


def scoring_batches(
    sequences: Sequences, max_length: int, batch_size: int, query_day: float | np.ndarray
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Users (b,) and a batch whose one scored position per row is the state at query_day (days since 1970-01-01 UTC;
    one for all, or one for each user).

    All users once, those of like length together. The model refuses histories with events after query_day.
    """
    indptr, asked = sequences.histories.indptr, np.asarray(query_day, dtype=np.float64)
    spans = truncated(indptr, indptr[1:], max_length)
    asked = np.broadcast_to(asked, sequences.histories.n_users)
    for users in batch_rows(spans.stops - spans.starts, batch_size, True, None):
        events, mask = padded(Spans(spans.starts[users], spans.stops[users]))
        batch = _tensors(sequences, events, events, mask)
        last = np.maximum(mask.sum(axis=1) - 1, 0)
        query = batch.days.clone()
        query[np.arange(len(users)), last] = torch.from_numpy(asked[users])
        places = torch.from_numpy(np.arange(len(users)) * mask.shape[1] + last)
        yield users, batch._replace(query_days=query, positions=places)


def query_days(histories: Histories, kind: str, zone: str = "UTC") -> np.ndarray:
    """(m,) the time at which the state after each event is scored.

    "event": the moment of the event. "night": the last midnight of the zone before the next event, where one lies
    between them, as a nightly list for a user who comes that day would be asked; else the moment of the event.
    """
    days, after = histories.days, np.arange(len(histories.days)) + 1
    if kind == "event" or not len(days):
        return days.copy()
    follows = after < histories.indptr[1:][histories.rows]
    following = days[np.minimum(after, len(days) - 1)]
    return np.where(follows, np.maximum(days, midnights(following, zone)), days)


def midnights(days: np.ndarray, zone: str) -> np.ndarray:
    """(m,) when the zone's day began that holds each moment; both in days since 1970-01-01 UTC."""
    if zone == "UTC":
        return np.floor(days)
    utc = pa.array(np.rint(days * _MICROS_PER_DAY).astype(np.int64), pa.timestamp("us", tz="UTC"))
    local = pc.local_timestamp(utc.cast(pa.timestamp("us", tz=zone)))
    begun = pc.assume_timezone(
        pc.floor_temporal(local, unit="day"), timezone=zone, ambiguous="earliest", nonexistent="latest"
    )
    return np.asarray(begun.cast(pa.int64())) / _MICROS_PER_DAY


def first_not_before(days: np.ndarray, low: np.ndarray, high: np.ndarray, until: np.ndarray) -> np.ndarray:
    """(m,) for each k the first event in [low_k, high_k) with days >= until_k, high_k where there is none: bisection,
    exact for days of any size; days rise within each range."""
    low, high = low.copy(), high.copy()
    while np.any(open_ := low < high):
        middle = (low + high) // 2
        earlier = open_ & (days[np.minimum(middle, len(days) - 1)] < until)
        low = np.where(earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


def truncated(indptr: np.ndarray, stops: np.ndarray, length: int) -> Spans:
    """One span per user: the latest `length` events before stops (n,)."""
    return Spans(np.maximum(indptr[:-1], stops - length), stops)


def segments(indptr: np.ndarray, length: int) -> Spans:
    """Every history in spans of `length` events, cut from its end: only its oldest span is shorter."""
    counts = -(-np.diff(indptr) // length)
    users = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    stops = indptr[1:][users] - nth * length
    return Spans(np.maximum(stops - length, indptr[:-1][users]), stops)


def prefixes(indptr: np.ndarray, events: np.ndarray, length: int) -> Spans:
    """The history up to and with each of the events (e,), its latest `length` events."""
    users = np.searchsorted(indptr, events, side="right") - 1
    return Spans(np.maximum(indptr[users], events + 1 - length), events + 1)


def padded(spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """events (b, l) flat positions and mask (b, l), padded on the right with event 0; l is at least one."""
    lengths = spans.stops - spans.starts
    steps = np.arange(max(int(lengths.max(initial=0)), 1))
    mask = steps < lengths[:, None]
    return np.where(mask, spans.starts[:, None] + steps, 0), mask


def reordered(
    events: np.ndarray, mask: np.ndarray, due: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Events (b, l) with a run of `share` of each due row shuffled, and the places (b, l) bool inside such a run.

    A place inside may show a later event, perhaps its own target, so it must not be scored; the last place of the run
    has seen all of it and may.
    """
    lengths = mask.sum(axis=1)
    run = np.where(due & (lengths > 1), np.clip(np.ceil(lengths * share), 2, None), 0)
    start = np.floor(rng.random(len(due)) * (lengths - run + 1))
    steps = np.arange(mask.shape[1])
    inside = (steps >= start[:, None]) & (steps < (start + run)[:, None])
    keys = np.where(inside, start[:, None] + run[:, None] * rng.random(mask.shape), steps)
    shuffled = np.take_along_axis(events, np.argsort(keys, axis=1, kind="stable"), axis=1)
    return shuffled, inside & (steps < (start + run - 1)[:, None])


def some_per_group(groups: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of at most `most` random members of each group (0: all); groups (e,) int, in any order."""
    if not most:
        return np.arange(len(groups))
    order = np.lexsort((rng.random(len(groups)), groups))
    sorted_groups = groups[order]
    first = np.searchsorted(sorted_groups, sorted_groups, side="left")
    return order[np.arange(len(groups)) - first < most]


def batch_rows(
    lengths: np.ndarray, batch_size: int, bucketed: bool, rng: np.random.Generator | None
) -> Iterator[np.ndarray]:
    """Rows (b,) of each batch, all rows once, shuffled by rng; None: in order of length.

    Bucketed: rows of like length share a batch, so that little of it is padding; sorted only within pools of
    _POOL_BATCHES batches and the batches shuffled, so that epochs differ.
    """
    n = len(lengths)
    order = np.argsort(lengths, kind="stable") if rng is None else rng.permutation(n)
    if bucketed and rng is not None:
        order = order[np.lexsort((lengths[order], np.arange(n) // (batch_size * _POOL_BATCHES)))]
    starts = np.arange(0, n, batch_size)
    for start in starts if rng is None else rng.permutation(starts):
        yield order[start : start + batch_size]


def _tensors(sequences: Sequences, seen: np.ndarray, events: np.ndarray, mask: np.ndarray) -> Batch:
    """A batch without queries: items and places of the events `seen` (b, l), times of `events` (b, l)."""
    histories = sequences.histories
    if not len(histories.items):
        items, days = np.zeros(mask.shape, np.int64), np.zeros(mask.shape)
    else:
        items = np.where(mask, histories.items[seen], 0).astype(np.int64)
        days = np.where(mask, histories.days[events], 0.0)
    places = None
    if histories.places is not None and len(histories.items):
        places = torch.from_numpy(np.where(mask[..., None], histories.places[seen], 0.0).astype(np.float32))
    days = torch.from_numpy(days)
    return Batch(torch.from_numpy(items), days, torch.from_numpy(mask), days, torch.zeros(0, dtype=torch.int64), places)
