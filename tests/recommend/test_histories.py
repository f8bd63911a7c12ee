import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interest_model.recommend.histories import between, from_arrow, instants, latest, take
from tests.recommend.worlds import histories

THREE = histories({"a": [(5, 1.0), (6, 2.0), (7, 2.0)], "b": [], "c": [(5, 2.0), (8, 9.0)]})


def batch(items, days, weights):
    return pa.RecordBatch.from_pydict(
        {
            "user_id": pa.array(["a", "b"]),
            "items": pa.array(items, pa.list_(pa.int32())),
            "days": pa.array(days, pa.list_(pa.float64())),
            "weights": pa.array(weights, pa.list_(pa.float64())),
        }
    )


def test_from_arrow_keeps_users_apart():
    read = from_arrow(batch([[3, 4], []], [[1.5, 2.5], []], [[1.0, 2.0], []]))
    assert list(read.user_ids) == ["a", "b"]
    assert read.indptr.tolist() == [0, 2, 2]
    assert (read.items.tolist(), read.days.tolist(), read.weights.tolist()) == ([3, 4], [1.5, 2.5], [1.0, 2.0])


def test_from_arrow_reads_a_slice_of_a_batch():
    read = from_arrow(batch([[3, 4], [9]], [[1.5, 2.5], [7.0]], [[1.0, 2.0], [1.0]]).slice(1))
    assert (list(read.user_ids), read.items.tolist(), read.days.tolist()) == (["b"], [9], [7.0])


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="'items' and 'days'"):
        from_arrow(batch([[3, 4], []], [[1.5], []], [[1.0, 2.0], []]))


def test_between_includes_the_start_and_not_the_end():
    kept = between(THREE, 2.0, 9.0)
    assert kept.items.tolist() == [6, 7, 5]
    assert kept.indptr.tolist() == [0, 2, 2, 3]


def test_take_reorders_users_with_their_events():
    taken = take(THREE, np.array([2, 0]))
    assert list(taken.user_ids) == ["c", "a"]
    assert taken.items.tolist() == [5, 8, 5, 6, 7]


def test_latest_keeps_the_end_of_each_history():
    assert latest(THREE, 1).items.tolist() == [7, 8]


def test_an_instant_is_shared_within_a_user_only():
    same_day = histories({"a": [(1, 4.0), (2, 4.0)], "b": [(3, 4.0), (4, 5.0)]})
    assert instants(same_day).tolist() == [0, 0, 1, 2]


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=6), st.integers(1, 4))
def test_latest_is_the_tail_of_every_user(days_of_users, length):
    users = {f"u{k}": [(k, float(day)) for day in sorted(days)] for k, days in enumerate(days_of_users)}
    cut = latest(histories(users), length)
    for k, events in enumerate(users.values()):
        assert cut.days[cut.indptr[k] : cut.indptr[k + 1]].tolist() == [day for _, day in events[-length:]]
