"""Which of a user's own items speak for a recommended one. No Spark."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS, Collaborative, Model
from interest_model.recommend.context import Context
from interest_model.recommend.histories import latest
from interest_model.recommend.member_scores import once
from interest_model.recommend.sparse_scores import lookup

NAMED = 3  # own items named for a row at most


class _Own(NamedTuple):
    """Distinct pairs (p,) of user and own item, by user, consumed last first. indptr (n_users + 1,); items, last_days,
    own, own_recent, taken (p,): what the item counts with the long and with the short half life, and counted once, in
    any unit of the user's."""

    indptr: np.ndarray
    items: np.ndarray
    last_days: np.ndarray
    own: np.ndarray
    own_recent: np.ndarray
    taken: np.ndarray


def speaking_for(context: Context, model: Model, rows) -> tuple[np.ndarray, np.ndarray]:
    """(r, 3) own items that add most to the score of each row's origin, best first, -1 where fewer add anything; and
    (r, 3) the days they were last consumed, NaN there. Of equal ones the one consumed last comes first.

    rows: users (r,), items (r,), origins (r,), see scoring.Lists. Popularity comes from nobody's own items.
    """
    users, items, origins = rows
    own = _own_items(context, model)
    because, because_days = np.full((len(users), NAMED), -1, dtype=np.int64), np.full((len(users), NAMED), np.nan)
    for name in PERSONAL_MEMBERS:
        asked = np.flatnonzero(origins == MEMBERS.index(name))
        if not len(asked):
            continue
        row, pair, strength = _strengths(model, name, own, users[asked], items[asked])
        for rank, place in enumerate(_largest(row, strength)):
            best, at = pair[place], asked[row[place]]
            because[at, rank], because_days[at, rank] = own.items[best], own.last_days[best]
    return because, because_days


def _largest(row: np.ndarray, strength: np.ndarray) -> Iterator[np.ndarray]:
    """Yields for each rank the places (at most one of a row) of the largest strengths; the first one of equals. row
    (k,) ascending; strength (k,) > 0. Cheaper than to sort all for the best few."""
    left = strength.copy()
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    segment = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(row))))
    for _ in range(NAMED if len(row) else 0):
        largest = np.maximum.reduceat(left, starts)
        hits = np.flatnonzero(left == largest[segment])
        first = hits[np.diff(segment[hits], prepend=-1) > 0]
        yield first[left[first] > 0]
        left[first] = 0.0


def _own_items(context: Context, model: Model) -> _Own:
    histories, n_items = context.histories, model.n_items
    own, recent = context.members["own"], context.members["own_recent"]
    read = latest(histories, int(model.history_length))  # what EASE and factors know of the user
    taken = once(read, n_items, context.at_day, float(model.half_lives[2]))
    keys = histories.rows * n_items + histories.items
    keys, first_from_end = np.unique(keys[::-1], return_index=True)
    days = histories.days[::-1][first_from_end]
    users, items = keys // n_items, keys % n_items
    order = np.lexsort((-days, users))
    users, items = users[order], items[order]
    indptr = np.searchsorted(users, np.arange(histories.n_users + 1))
    counted = (lookup(one, users, items) for one in (own, recent, taken))
    return _Own(indptr, items, days[order], *counted)


def _strengths(model: Model, member: str, own: _Own, users: np.ndarray, items: np.ndarray):
    """Row (k,) ascending, pair of `own` (k,) and what it adds to the member's score of the row's item (k,), where it
    adds anything; users, items: of the rows."""
    counts = np.diff(own.indptr)[users]
    row = np.repeat(np.arange(len(users)), counts)
    pair = np.arange(len(row)) + np.repeat(own.indptr[:-1][users] - (np.cumsum(counts) - counts), counts)
    counted = {"own": own.own, "ease": own.taken, "factors": own.taken}.get(member, own.own_recent)
    strength = counted[pair] * links(model, member, own.items[pair], items[row])
    some = strength > 0
    return row[some], pair[some], strength[some]


def links(model: Model, member: str, own: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k,) how strongly one own item speaks for one item, for a personal member."""
    if member in ("own", "own_recent"):
        return (own == items).astype(np.float64)
    if member == "content":
        return np.einsum("kd,kd->k", model.vectors[own], model.vectors[items])
    if member == "sequence":
        from interest_model.interest.shipped_model import item_cosines

        return item_cosines(model.sequence, own, items)
    if member == "nearby":
        return lookup(model.nearby, own, items)
    if member == "factors":
        return _factor_links(model.collaborative, own, items)
    if member == "interests":
        topics = model.topics.membership
        return np.asarray(topics[own].multiply(topics[items]).sum(axis=1)).ravel()
    return lookup(getattr(model.collaborative, member), own, items)


def _factor_links(learned: Collaborative, own: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(k,) what one consumption of an own item adds to the factorisation's score of an item, see factor_scores."""
    place = np.full(len(learned.item_users), len(learned.factor_items))
    place[learned.factor_items] = np.arange(len(learned.factor_items))
    factors = np.vstack([learned.factors, np.zeros((1, learned.factors.shape[1]), np.float32)])
    scale = 1.0 / np.sqrt(np.maximum(learned.item_users[own], 1.0))
    return scale * np.einsum("kd,kd->k", factors[place[own]], factors[place[items]])
