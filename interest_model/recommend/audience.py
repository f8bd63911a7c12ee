"""Whom an item reaches: the mean taste of those who took it lately, and how near a user's own comes to it. No Spark.

A user's taste is the direction in which the factorisation sees what the user took. An item that has only just come in
has no factors yet, but it has an audience from its first day on. Partial sums over users merge by adding: tastes and
decays are in steps of 2**-12, so the sums are exact and the order of partitions changes nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from interest_model.recommend.blend import Audience, Model
from interest_model.recommend.context import Context
from interest_model.recommend.histories import Histories, keep, latest
from interest_model.recommend.member_scores import once

HALF_LIVES_DAYS = (4.0, 28.0)  # of what makes somebody part of an audience
FEATURES = tuple(f"audience_{kind}_{days:g}_days" for days in HALF_LIVES_DAYS for kind in ("cosine", "pull"))
SCHEMA = pa.schema([("moment", pa.int32()), ("block", pa.int32()), ("sums", pa.binary())])
_PRIOR_EVENTS = 3.0  # of everybody's taste that each audience begins with
_STEPS, _PULL_STEPS = 2.0**12, 2.0**20
_BLOCK = 256  # items of one row of sums


class Moment(NamedTuple):
    """What tastes and audiences at a moment (days since epoch) are made with. n_items: of the catalogue; items (a,):
    those whose audience is asked for; factor_items (h,), axes (h, d): see Collaborative; half_life_days, length: how a
    user's own past fades, and how many of the latest events are read."""

    at_day: float
    n_items: int
    items: np.ndarray
    factor_items: np.ndarray
    axes: np.ndarray
    half_life_days: float
    length: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the sums: half lives, items, and the dimensions with the weight of all behind them."""
        return len(HALF_LIVES_DAYS), len(self.items), self.axes.shape[1] + 1


def moment(model: Model, items: np.ndarray, at_day: float) -> Moment:
    learned = model.collaborative
    asked = items, learned.factor_items, learned.axes
    return Moment(at_day, model.n_items, *asked, float(model.half_lives[2]), int(model.history_length))


def nobody() -> Audience:
    """Of no item: before any user was asked, and where none is."""
    h = len(HALF_LIVES_DAYS)
    return Audience(np.zeros(0, np.int32), np.zeros((h, 0, 0), np.float32), np.zeros((h, 0), np.float32))


def of_users(histories: Histories, moments: list[Moment]) -> list[Audience]:
    """What these users alone say of each moment."""
    return audiences(pa.Table.from_batches([sums(histories, moments)]), moments)


def tastes(histories: Histories, at: Moment) -> np.ndarray:
    """(n_users, d) float64: each user's items, each once, on the axes of the factorisation, at unit length; zeros for a
    user none of whose items has factors. histories: of events before the moment, their latest `length`."""
    taken = once(histories, at.n_items, at.at_day, at.half_life_days)
    found = taken[:, at.factor_items] @ at.axes
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return _stepped(np.where(lengths > 1e-9, found / np.maximum(lengths, 1e-9), 0.0), _STEPS)


def sums(histories: Histories, moments: list[Moment]) -> pa.RecordBatch:
    """The partial sums of some users, rows of SCHEMA: per moment and block of its items (h, items, d + 1) float64
    bytes, the decayed sum of tastes of who took each item, and of ones; blocks that nobody took are left out."""
    return _rows({(number, block): part for number, at in enumerate(moments) for block, part in _blocks(histories, at)})


def _rows(found: dict[tuple[int, int], np.ndarray]) -> pa.RecordBatch:
    """By (moment, block), in that order."""
    numbers, blocks = ([key[place] for key in sorted(found)] for place in range(2))
    bytes_of = [found[key].tobytes() for key in sorted(found)]
    return pa.RecordBatch.from_pydict({"moment": numbers, "block": blocks, "sums": bytes_of}, SCHEMA)


def _blocks(histories: Histories, at: Moment) -> Iterator[tuple[int, np.ndarray]]:
    known = latest(keep(histories, histories.days < at.at_day), at.length)
    own = tastes(known, at)
    with_one = np.column_stack([own, np.ones(len(own))])
    found = np.empty(at.shape)
    for place, half_life in enumerate(HALF_LIVES_DAYS):
        decay = _stepped(0.5 ** ((at.at_day - known.days) / half_life), _STEPS)
        took = sp.csr_matrix((decay, (known.items, known.rows)), (at.n_items, known.n_users))
        found[place] = took[at.items] @ with_one
    for block, start in enumerate(range(0, len(at.items), _BLOCK)):
        part = found[:, start : start + _BLOCK]
        if part[..., -1].any():
            yield block, part


def added(rows: pa.Table) -> pa.RecordBatch:
    """The same sums with one row per moment and block: what a merging step between partitions and driver returns."""
    totals: dict[tuple[int, int], np.ndarray] = {}
    for number, block, values in zip(*(rows.column(name).to_pylist() for name in SCHEMA.names), strict=True):
        found = np.frombuffer(values, "<f8")
        totals[number, block] = totals.get((number, block), 0.0) + found
    return _rows(totals)


def audiences(rows: pa.Table, moments: list[Moment]) -> list[Audience]:
    """What the sums of all users, rows of SCHEMA, say of each moment."""
    totals = [np.zeros(at.shape) for at in moments]
    merged = added(rows)
    for number, block, values in zip(*(merged.column(name).to_pylist() for name in SCHEMA.names), strict=True):
        part = totals[number][:, block * _BLOCK : (block + 1) * _BLOCK]
        part += np.frombuffer(values, "<f8").reshape(part.shape)
    return [_audience(total, at) for total, at in zip(totals, moments, strict=True)]


def _audience(total: np.ndarray, at: Moment) -> Audience:
    tasted, weight = total[..., :-1], total[..., -1:]
    everybody = tasted.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    means = (tasted + _PRIOR_EVENTS * everybody[:, None]) / (weight + _PRIOR_EVENTS) - everybody[:, None]
    return Audience(at.items, means.astype(np.float32), everybody.astype(np.float32))


def pair_audience(context: Context, model: Model, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k, 2 h) in FEATURES order of pairs of a user and an item: how near both come to each other beyond what everybody
    is fond of, as a cosine and as a dot product; zeros for an item without an audience and a user without a taste.
    """
    items = model.audience.items
    if not len(items):
        return np.zeros((len(rows), len(FEATURES)))
    place = np.minimum(np.searchsorted(items, columns), len(items) - 1)
    there = items[place] == columns
    own = tastes(latest(context.histories, int(model.history_length)), moment(model, items, context.at_day))
    found = []
    for means, everybody in zip(*(part.astype(np.float64) for part in model.audience[1:]), strict=True):
        beyond = np.where(own.any(axis=1, keepdims=True), own - everybody, 0.0)
        pull = np.where(there, _stepped(beyond @ means.T, _PULL_STEPS)[rows, place], 0.0)
        lengths = np.linalg.norm(beyond, axis=1)[rows] * np.linalg.norm(means, axis=1)[place]
        found += [pull / np.maximum(lengths, 1e-9), pull]
    return np.column_stack(found)


def _stepped(values: np.ndarray, steps: float) -> np.ndarray:
    """Values in steps of 1 / steps: a matrix product's last bits depend on the batch, its steps do not."""
    return np.rint(values * steps) / steps
