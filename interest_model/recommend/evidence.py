"""Which of a user's own items speak for a recommended one. No Spark."""

import numpy as np

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS, POPULARITY_MEMBERS, Model
from interest_model.recommend.histories import Histories, latest
from interest_model.recommend.sparse_scores import lookup

NAMED = 3  # own items named for a row at most


def speaking_for(histories: Histories, model: Model, at_day: float, rows) -> tuple[np.ndarray, np.ndarray]:
    """(r, 3) own items that add most to the score of each row's origin, best first, -1 where fewer add anything; and
    (r, 3) the days they were last consumed, NaN there.

    rows: users (r,), items (r,), origins (r,), see scoring.Lists. Popularity comes from nobody's own items.
    """
    histories = latest(histories, int(model.history_length))
    users, items, origins = rows
    counts = np.where(origins >= len(POPULARITY_MEMBERS), histories.lengths[users], 0)
    row = np.repeat(np.arange(len(users)), counts)
    starts = np.cumsum(counts) - counts
    event = np.arange(len(row)) - np.repeat(starts, counts) + np.repeat(histories.indptr[:-1][users], counts)
    strength = _strength(histories, model, at_day, event, (items[row], origins[row]))
    return _best(row, histories.items[event], histories.days[event], strength, len(users))


def _strength(histories: Histories, model: Model, at_day: float, event: np.ndarray, rows) -> np.ndarray:
    """(e,) what one own event adds to its row's origin, for the row's item."""
    items, origins = rows
    age = np.maximum(at_day - histories.days[event], 0.0)
    strength = np.zeros(len(event))
    for name in PERSONAL_MEMBERS:
        chosen = np.flatnonzero(origins == MEMBERS.index(name))
        half_life = model.half_lives[2] if name in ("ease", "own") else model.half_lives[1]
        links = _links(model, name, histories.items[event[chosen]], items[chosen])
        strength[chosen] = links * histories.weights[event[chosen]] * 0.5 ** (age[chosen] / half_life)
    return strength


def _best(row: np.ndarray, own: np.ndarray, days: np.ndarray, strength: np.ndarray, n_rows: int):
    """The NAMED own items with the largest sums of their events' strength; ties go to the one consumed last."""
    some = strength > 0
    row, own, days, strength = row[some], own[some], days[some], strength[some]
    width = int(own.max(initial=0)) + 1
    pairs, place = np.unique(row.astype(np.int64) * width + own, return_inverse=True)
    sums, last = np.bincount(place, strength, len(pairs)), np.full(len(pairs), -np.inf)
    np.maximum.at(last, place, days)
    order = np.lexsort((pairs, -last, -sums, pairs // width))
    of_row = pairs[order] // width
    rank = np.arange(len(order)) - np.searchsorted(of_row, of_row)
    order, of_row, rank = order[rank < NAMED], of_row[rank < NAMED], rank[rank < NAMED]
    because, because_days = np.full((n_rows, NAMED), -1, dtype=np.int64), np.full((n_rows, NAMED), np.nan)
    because[of_row, rank], because_days[of_row, rank] = pairs[order] % width, last[order]
    return because, because_days


def _links(model: Model, member: str, own: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k,) how strongly one own item speaks for one item, for a personal member."""
    if member in ("own", "own_recent"):
        return (own == items).astype(np.float64)
    if member == "content":
        return np.einsum("kd,kd->k", model.vectors[own], model.vectors[items], dtype=np.float64)
    return lookup(getattr(model.collaborative, member), own, items)
