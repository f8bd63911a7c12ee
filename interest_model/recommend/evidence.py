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
_PAIRS_AT_ONCE = 2**18  # of a row and an own item: two vectors of each are held


class _Own(NamedTuple):
    """Distinct pairs (p,) of user and own item, by user, consumed last first. users, items, last_days; own, own_recent,
    taken: what the item counts with the long and with the short half life, and counted once, in any unit of the
    user's."""

    users: np.ndarray
    items: np.ndarray
    last_days: np.ndarray
    own: np.ndarray
    own_recent: np.ndarray
    taken: np.ndarray

    def counting(self, member: str) -> tuple["_Own", np.ndarray]:
        """The pairs that count for a member, and what each does: of its latest events only, but for `own`."""
        counted = {"own": self.own, "ease": self.taken, "factors": self.taken}.get(member, self.own_recent)
        some = counted > 0
        return _Own(*(column[some] for column in self)), counted[some]


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
        counting, counted = own.counting(name)
        crossed = _itself if name in ("own", "own_recent") else _crossed
        for places, row, pair in crossed(counting, users[asked], items[asked]):
            at = asked[places]
            strength = counted[pair] * links(model, name, counting.items[pair], items[at][row])
            some = strength > 0
            row, pair, strength = row[some], pair[some], strength[some]
            for rank, place in enumerate(_largest(row, strength)):
                best, found = pair[place], at[row[place]]
                because[found, rank], because_days[found, rank] = counting.items[best], counting.last_days[best]
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
    # of each item the latest event that counts, where any does: an event of weight 0 speaks for nothing
    order = np.lexsort((histories.weights > 0, keys))
    latest_of_item = order[np.flatnonzero(np.diff(keys[order], append=-1))]
    keys, days = keys[latest_of_item], histories.days[latest_of_item]
    users, items = keys // n_items, keys % n_items
    order = np.lexsort((-days, users))
    users, items = users[order], items[order]
    counted = (lookup(one, users, items) for one in (own, recent, taken))
    return _Own(users, items, days[order], *counted)


_Pairs = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Places of some rows, row (k,) ascending among them, and pair of _Own (k,): of own items that may speak for it."""


def _crossed(own: _Own, users: np.ndarray, items: np.ndarray) -> _Pairs:
    """Each row, users (r,) and items (r,), with all own items of its user; few rows at a time where a user has many."""
    indptr = np.searchsorted(own.users, np.arange(users.max(initial=-1) + 2))
    counts = np.diff(indptr)[users]
    block = (np.cumsum(counts) - counts) // _PAIRS_AT_ONCE
    for places in np.split(np.arange(len(users)), np.flatnonzero(np.diff(block)) + 1):
        few = counts[places]
        row = np.repeat(np.arange(len(places)), few)
        yield places, row, np.arange(len(row)) + np.repeat(indptr[users[places]] - (np.cumsum(few) - few), few)


def _itself(own: _Own, users: np.ndarray, items: np.ndarray) -> _Pairs:
    """Each row, users (r,) and items (r,), with the same item among its user's own, where it is there."""
    width = max(own.items.max(initial=0), items.max(initial=0)) + 1
    keys, wanted = own.users * width + own.items, users * width + items
    order = np.argsort(keys)
    place = np.searchsorted(keys[order], wanted)
    row = np.flatnonzero(np.append(keys[order], -1)[place] == wanted)
    yield np.arange(len(users)), row, order[place[row]]


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
