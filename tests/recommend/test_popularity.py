import numpy as np
import pytest

from interest_model.recommend.popularity import ItemCounts, bin_day, decayed, head_items, recent

COUNTS = ItemCounts(np.array([0, 0, 1]), np.array([10.0, 8.0, 6.0]), np.array([2.0, 1.0, 4.0]))


def test_a_count_halves_with_each_half_life():
    # item 0: 2 at age 2, 1 at age 4; item 1: 4 at age 6; half life 2
    assert decayed(COUNTS, 2, 12.0, (2.0,)).tolist() == [[2 / 2 + 1 / 4], [4 / 8]]


def test_nothing_after_the_moment_counts():
    assert decayed(COUNTS, 2, 10.0, (2.0,))[:, 0] == pytest.approx([0.5, 1.0])
    assert recent(COUNTS, 2, 10.0, 7.0).tolist() == [1.0, 4.0]


def test_recent_counts_the_window_only():
    assert recent(COUNTS, 2, 12.0, 4.0).tolist() == [3.0, 0.0]


def test_bins_are_hours_lately_and_days_before():
    days = np.array([10.0, 10.0 + 1.5 / 24, 9.9])
    assert bin_day(days, 11.0, 1.0) == pytest.approx([10 + 0.5 / 24, 10 + 1.5 / 24, 9.5])


def test_what_happened_a_microsecond_before_the_moment_counts():
    """As where one event of each user is left out: the moment follows the last event of the log."""
    last = 15_000.0 + np.arange(24) / 24
    for day in last:
        counts = ItemCounts(np.zeros(1, np.int32), bin_day(np.array([day]), day + 1e-6 / 86_400, 28.0), np.ones(1))
        assert recent(counts, 1, day + 1e-6 / 86_400, 7.0).tolist() == [1.0]


@pytest.mark.parametrize(
    "hours", [0.0, -8.0, 7.0, -5.5, -5.75, 3.5], ids=["UTC", "Shanghai", "Phoenix", "Kolkata", "Kathmandu", "St John's"]
)
def test_before_any_midnight_of_the_logs_zone_all_that_happened_counts_and_nothing_else(hours):
    """Moments are midnights of the log's zone, up to 100 days back: one event each quarter of an hour."""
    at_day = 15_000.0 + hours / 24
    days = at_day - 110 + np.arange(110 * 96) / 96
    counts = ItemCounts(np.zeros(len(days), np.int32), bin_day(days, at_day, 28.0), np.ones(len(days)))
    for back in (0, 1, 27, 28, 29, 60, 100):
        moment = at_day - back
        assert recent(counts, 1, moment, 5.0).tolist() == [5 * 96]


def test_head_is_ascending_with_ties_to_the_smaller_and_without_unused_items():
    assert head_items(np.array([1.0, 3.0, 3.0, 0.0, 3.0]), 2).tolist() == [1, 2]
    assert head_items(np.array([1.0, 0.0]), 2).tolist() == [0]
