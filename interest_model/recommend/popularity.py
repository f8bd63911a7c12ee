"""Popularity with exponential decay from counts per item and time bin: any half life, at any moment. No Spark."""

from typing import NamedTuple

import numpy as np


class ItemCounts(NamedTuple):
    """Consumption counts, one entry per item and time bin, in any order.

    items (b,) int32: catalogue positions; days (b,) float64: middle of the bin, days since 1970-01-01 UTC; counts (b,)
    float64. Bins are hours for recent days and whole days further back (see `bin_day`).
    """

    items: np.ndarray
    days: np.ndarray
    counts: np.ndarray


def bin_day(days: np.ndarray, fine_from_day: float) -> np.ndarray:
    """Middle of each event's bin: its hour from `fine_from_day` on, its UTC day before. The Spark face says the same
    in SQL."""
    return np.where(days >= fine_from_day, (np.floor(days * 24) + 0.5) / 24, np.floor(days) + 0.5)


def decayed(counts: ItemCounts, n_items: int, at_day: float, half_lives: tuple[float, ...]) -> np.ndarray:
    """(n_items, h): each item's consumptions before `at_day`, one of age a counting 0.5 ** (a / half life). Half lives
    in days."""
    known = counts.days < at_day
    items, ages, sizes = counts.items[known], at_day - counts.days[known], counts.counts[known]
    columns = [np.bincount(items, sizes * 0.5 ** (ages / half_life), n_items) for half_life in half_lives]
    return np.stack(columns, axis=1) if columns else np.zeros((n_items, 0))


def recent(counts: ItemCounts, n_items: int, at_day: float, days: float) -> np.ndarray:
    """(n_items,): consumptions in the `days` days before `at_day`."""
    known = (counts.days < at_day) & (counts.days >= at_day - days)
    return np.bincount(counts.items[known], counts.counts[known], n_items)


def head_items(popularity: np.ndarray, size: int) -> np.ndarray:
    """(h,) int32, ascending: the `size` items with the largest popularity above zero; ties go to the smaller
    position."""
    order = np.argsort(-popularity, kind="stable")[:size]
    return np.sort(order[popularity[order] > 0]).astype(np.int32)
