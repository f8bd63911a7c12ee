"""User histories in one flat layout: what every numerical part of the ranker reads. No Spark."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

PLACE = ("latitude", "longitude")


class Histories(NamedTuple):
    """Histories of n users with m events in all, users one after another, each oldest first.

    user_ids (n,) str; indptr (n + 1,) int64: user k's events are indptr[k]:indptr[k + 1]; items (m,) int32: positions
    in the catalogue; days (m,) float64: event time as days since 1970-01-01 UTC; weights (m,) float32: strength of the
    event; places (m, 2) float32: latitude and longitude in degrees, NaN unknown; None: of no event.
    """

    user_ids: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    days: np.ndarray
    weights: np.ndarray
    places: np.ndarray | None = None

    @property
    def n_users(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(n,) events of each user."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> np.ndarray:
        """(m,) the user (0 to n - 1) of each event."""
        return np.repeat(np.arange(self.n_users), self.lengths)


def from_arrow(batch: pa.RecordBatch | pa.Table) -> Histories:
    """Histories from rows (user_id string, items list<int32>, days list<float64>, weights list<float64>), one per user;
    places from lists latitude and longitude, where the rows have them.

    The lists of a row have equal length and are oldest first. Raises ValueError where their lengths differ.
    """
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    table = table.combine_chunks()
    lengths = _lengths(table, "items")
    placed = [name for name in PLACE if name in table.column_names]
    for name in ("days", "weights", *placed):
        if not np.array_equal(lengths, _lengths(table, name)):
            raise ValueError(f"histories: lists 'items' and '{name}' differ in length")
    return Histories(
        user_ids=np.asarray(table.column("user_id").to_pylist(), dtype=object),
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=_values(table, "items", np.int32),
        days=_values(table, "days", np.float64),
        weights=_values(table, "weights", np.float32),
        places=np.stack([_values(table, name, np.float32) for name in placed], axis=1) if placed else None,
    )


def between(histories: Histories, start_day: float, end_day: float) -> Histories:
    """The same users with only the events in [start_day, end_day); users may become empty."""
    return keep(histories, (histories.days >= start_day) & (histories.days < end_day))


def keep(histories: Histories, events: np.ndarray) -> Histories:
    """The same users with only the marked events; events (m,) bool."""
    before = np.concatenate([[0], np.cumsum(events)])
    return Histories(
        histories.user_ids,
        before[histories.indptr],
        histories.items[events],
        histories.days[events],
        histories.weights[events],
        picked(histories.places, events),
    )


def take(histories: Histories, users: np.ndarray) -> Histories:
    """Only the stated users, in that order; users (k,) positions or (n,) bool."""
    users = np.flatnonzero(users) if users.dtype == bool else users
    lengths = histories.lengths[users]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    events = np.arange(indptr[-1]) + np.repeat(histories.indptr[users] - indptr[:-1], lengths)
    return Histories(
        histories.user_ids[users],
        indptr,
        histories.items[events],
        histories.days[events],
        histories.weights[events],
        picked(histories.places, events),
    )


def latest(histories: Histories, length: int) -> Histories:
    """The same users with at most their latest `length` events."""
    from_end = histories.indptr[1:][histories.rows] - np.arange(len(histories.items))
    return keep(histories, from_end <= length)


def instants(histories: Histories) -> np.ndarray:
    """(m,) number of each event's instant: events of one user at the same time share it; counted over all users, in
    order."""
    if not len(histories.days):
        return np.zeros(0, dtype=np.int64)
    new = np.ones(len(histories.days), dtype=bool)
    new[1:] = np.diff(histories.days) != 0
    starts = histories.indptr[:-1]
    new[starts[starts < len(new)]] = True
    return np.cumsum(new) - 1


def picked(values: np.ndarray | None, events: np.ndarray) -> np.ndarray | None:
    """What these events have of something that not every log has."""
    return None if values is None else values[events]


def _lengths(table: pa.Table, name: str) -> np.ndarray:
    lists = table.column(name).combine_chunks()
    return np.asarray(lists.value_lengths().fill_null(0), dtype=np.int64)


def _values(table: pa.Table, name: str, dtype) -> np.ndarray:
    lists = table.column(name).combine_chunks()
    return np.asarray(lists.flatten(), dtype=dtype)
