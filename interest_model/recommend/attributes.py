"""Prices, brands and other attributes of items, and what a user's items have in common by them. No Spark."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.histories import Histories

_PRIOR_EVENTS = 5.0  # of everybody's that a user's own consumption is added to


class ItemTraits(NamedTuple):
    """What item files say of n items: prices (n,) float64, NaN where there is none; named: attribute to (n,) str, None
    where an item has none."""

    prices: np.ndarray
    named: dict[str, np.ndarray]


class KnownItems(NamedTuple):
    """item_ids (n,) str; first_days (n,) float64: days since 1970-01-01 UTC when first consumed; texts (n, w) float32:
    vectors, a row of zeros where there is none; traits: prices and attributes."""

    item_ids: np.ndarray
    first_days: np.ndarray
    texts: np.ndarray
    traits: ItemTraits


class ItemAttributes(NamedTuple):
    """What item files say of n items. prices (n,) float32: ln(1 + price), NaN where there is none; values (n, v)
    float32 CSR: 1 where the item has the value; kinds (v,) int64: which attribute each value is one of, from 0."""

    prices: np.ndarray
    values: sp.csr_matrix
    kinds: np.ndarray


def no_attributes(n_items: int) -> ItemAttributes:
    """Of a log whose items have none."""
    nothing = sp.csr_matrix((n_items, 0), dtype=np.float32)
    return ItemAttributes(np.full(n_items, np.nan, dtype=np.float32), nothing, np.zeros(0, dtype=np.int64))


def log_prices(prices: np.ndarray) -> np.ndarray:
    """(n,) ln(1 + price); below zero counts as zero, NaN stays."""
    return np.log1p(np.maximum(prices, 0.0))


def attributes_of(traits: ItemTraits) -> ItemAttributes:
    """Traits as numbers. A value of one item only says nothing of others: it is left out."""
    prices, named = traits
    columns, kinds = [], []
    for kind, name in enumerate(sorted(named)):
        known = np.array([one is not None for one in named[name]], dtype=bool)
        words, codes, sizes = np.unique(named[name][known].astype(str), return_inverse=True, return_counts=True)
        entries = np.ones(len(codes), np.float32), (np.flatnonzero(known), codes)
        columns.append(sp.csr_matrix(entries, (len(prices), len(words)))[:, sizes > 1])
        kinds.append(np.full(columns[-1].shape[1], kind, dtype=np.int64))
    rows = log_prices(prices).astype(np.float32)
    if not columns:
        return no_attributes(len(prices))._replace(prices=rows)
    return ItemAttributes(rows, sp.hstack(columns, format="csr", dtype=np.float32), np.concatenate(kinds))


def attribute_lifts(
    histories: Histories, faded: np.ndarray, known: ItemAttributes, item_users: np.ndarray, pairs: tuple
) -> np.ndarray:
    """(k,) ln of how much more often than everybody the user takes items with the candidate's attributes: the sum over
    its values of ln(share among the user's items / share among all), each share within its attribute (naive Bayes).
    Zero for an item without attributes.

    faded (e,): what each event of the histories counts. item_users (n,): users of each item. pairs: a user (k,) and an
    item (k,).
    """
    rows, columns = pairs
    if not known.values.nnz or not len(rows):
        return np.zeros(len(rows))
    n_users = histories.n_users
    by_kind = sp.csr_matrix((np.ones(len(known.kinds)), (np.arange(len(known.kinds)), known.kinds)))
    everybody = np.asarray(known.values.T @ item_users).ravel() + 1.0
    share = everybody / (everybody @ by_kind)[known.kinds]
    taken = sp.csr_matrix((faded, (histories.rows, histories.items)), (n_users, len(item_users))) @ known.values
    totals = np.asarray((taken @ by_kind).todense())
    candidates = known.values[columns]
    pair, value = np.repeat(np.arange(len(columns)), np.diff(candidates.indptr)), candidates.indices
    own = np.asarray(taken[rows[pair], value]).ravel()
    everyone = _PRIOR_EVENTS * share[value]
    lifted = (own + everyone) / (totals[rows[pair], known.kinds[value]] + _PRIOR_EVENTS) / share[value]
    return np.bincount(pair, np.log(lifted), len(columns))
