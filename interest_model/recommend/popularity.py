"""Popularity with exponential decay from counts per item and time bin: any half life, at any moment. No Spark."""

from typing import NamedTuple

import numpy as np


class ItemCounts(NamedTuple):
    """Consumption counts, one entry per item and time bin, in any order.

    items (b,) int32: catalogue positions; days (b,) float64: middle of the bin, days since 1970-01-01 UTC; counts (b,)
    float64. Bins are hours for recent days and whole days further back, counted back from a night (see `bin_day`).
    """

    items: np.ndarray
    days: np.ndarray
    counts: np.ndarray


ROUNDING_HOURS = 0.5e-6 / 3_600  # half the step of time stamps, and more than days since 1970 are rounded by


def bin_day(days: np.ndarray, at_day: float, fine_days: float) -> np.ndarray:
    """Middle of each event's bin: the hour before at_day that it lies in, further back than fine_days the day.

    Counted back from at_day, a midnight of the log's zone, no bin crosses a midnight before it: of what lies before a
    moment nothing is missing and nothing came later. The Spark face says the same in SQL.
    """
    hours = (at_day - days) * 24 - ROUNDING_HOURS  # an event at the very start of an hour belongs to it
    return at_day - np.where(hours <= fine_days * 24, np.ceil(hours) - 0.5, 24 * np.ceil(hours / 24) - 12.0) / 24


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
