import dataclasses
import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.interest.dynamics import Batch
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.training import batches
from interest_model.training.batches import Sequences, Spans, TrainingBatches
from tests.interest.parts import fit_settings, model_settings
from tests.recommend.worlds import histories

TWO = histories({"a": [(1, 0.5), (2, 0.9), (3, 2.25), (2, 9.0)], "none": [], "b": [(4, 1.0), (5, 1.5)]})
PLAIN = fit_settings(bucketed=False, batch_size=8)
MODEL = model_settings(max_length=10)


def pairs(one: Batch) -> set[tuple]:
    """(the history up to a scored position, query day, target, weight), for all targets of a batch."""
    length, found = one.items.shape[1], set()
    for row, item, weight in zip(*(part.tolist() for part in one.targets[:3]), strict=True):
        b, step = divmod(int(one.positions[row]), length)
        seen = tuple(one.items[b, : step + 1].tolist())
        found.add((seen, float(one.query_days[b, step]), item, round(weight, 3)))
    return found


def only(fit: FitSettings, model: ModelSettings = MODEL, sequences: Sequences | None = None, **more) -> Batch:
    (one,) = TrainingBatches(sequences or Sequences(TWO), model, fit, **more)(0)
    return one


def test_every_event_is_the_target_of_what_came_before():
    assert pairs(only(PLAIN)) == {
        ((1,), 0.5, 2, 1.0),  # the same day: asked right after the event
        ((1, 2), 2.0, 3, 1.0),  # asked at the last midnight before
        ((1, 2, 3), 9.0, 2, 1.0),
        ((4,), 1.0, 5, 1.0),
    }


def test_the_query_never_knows_the_time_of_its_target():
    later = histories({"a": [(1, 0.5), (2, 3.1)]}), histories({"a": [(1, 0.5), (2, 3.9)]})
    for kind in ("night", "event"):
        one, other = (batches.query_days(world, kind) for world in later)
        assert one[0] == other[0] and one[0] < 3.1


def test_a_night_begins_at_the_midnight_of_the_logs_zone():
    """Tokyo is nine hours ahead. a: 20:00 and 08:00 the next day, a midnight between; b: 08:30 and 09:30, none."""

    def local(day: int, hour: float) -> float:
        return day + (hour - 9) / 24

    world = histories({"a": [(1, local(5, 20)), (2, local(6, 8))], "b": [(1, local(5, 8.5)), (2, local(5, 9.5))]})
    asked = batches.query_days(world, "night", "Asia/Tokyo")
    assert asked[[0, 2]].tolist() == pytest.approx([local(6, 0), local(5, 8.5)], abs=1e-9)
    one = only(dataclasses.replace(PLAIN, query="night"), sequences=Sequences(world), zone="Asia/Tokyo")
    assert sorted(day for _, day, *_ in pairs(one)) == sorted(asked[[0, 2]].tolist())


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("Europe/Berlin", "2026-03-29 12:00"),  # an hour is left out at 02:00
        ("Europe/Berlin", "2026-10-25 12:00"),
        ("America/Sao_Paulo", "2018-11-04 12:00"),  # the day begins at 01:00
        ("Asia/Tokyo", "2026-01-05 00:00"),
        ("UTC", "2026-01-05 00:00"),
    ],
)
def test_a_midnight_is_the_one_at_which_lists_are_made(zone, moment):
    from interest_model.recommend.consumption import end_of_day

    local = datetime.datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))
    yesterday = local.date() - datetime.timedelta(days=1)
    found = batches.midnights(np.array([local.timestamp() / 86_400]), zone)
    assert found.tolist() == [end_of_day(yesterday, zone)]


def test_a_window_holds_all_items_of_its_days_once():
    fit = dataclasses.replace(PLAIN, target="window", horizon_days=7.0, query="event")
    assert pairs(only(fit)) == {
        ((1,), 0.5, 2, 0.5),  # until 7.5: items 2 and 3
        ((1,), 0.5, 3, 0.5),
        ((1, 2), 0.9, 3, 1.0),  # until 7.9
        # item 3 at 2.25: until 9.25, beyond the log's end at 9.0, so not all is known
        ((4,), 1.0, 5, 1.0),
    }
    known_longer = pairs(only(fit, end_day=10.0))
    assert ((1, 2, 3), 2.25, 2, 1.0) in known_longer and len(known_longer) == 5


def test_a_window_does_not_include_its_end():
    world = Sequences(histories({"a": [(1, 0.0), (2, 3.0), (3, 7.0), (4, 20.0)]}))
    fit = dataclasses.replace(PLAIN, target="window", horizon_days=7.0, query="event")
    assert {pair[2] for pair in pairs(only(fit, sequences=world)) if pair[0] == (1,)} == {2}


def test_truncation_keeps_the_latest_events_that_have_a_target():
    found = pairs(only(PLAIN, dataclasses.replace(MODEL, max_length=2)))
    assert found == {((2,), 2.0, 3, 1.0), ((2, 3), 9.0, 2, 1.0), ((4,), 1.0, 5, 1.0)}


def test_who_acts_more_often_than_a_span_is_long_is_trained_on():
    """Ten events a day for 20 days: the last week, of which not all is known, holds more than a span of 10."""
    often = histories({"often": [(k % 7, k / 10) for k in range(200)], "none": []})
    fit = dataclasses.replace(PLAIN, target="window", horizon_days=7.0, query="event")
    one = only(fit, sequences=Sequences(often))
    assert one.mask.sum() == 10 and len(one.positions) == 10
    assert one.days.max() == pytest.approx(19.9 - 7.0, abs=0.11)


def test_segments_train_on_all_of_a_long_history():
    fit = dataclasses.replace(PLAIN, long_histories="segments")
    found = pairs(only(fit, dataclasses.replace(MODEL, max_length=2)))
    assert found == {((1,), 0.5, 2, 1.0), ((1, 2), 2.0, 3, 1.0), ((3,), 9.0, 2, 1.0), ((4,), 1.0, 5, 1.0)}


def test_segments_by_hand():
    spans = batches.segments(np.array([0, 5, 5, 7]), 2)
    assert sorted(zip(spans.starts.tolist(), spans.stops.tolist(), strict=True)) == [(0, 1), (1, 3), (3, 5), (5, 7)]


def test_a_bidirectional_model_gets_one_row_per_prefix():
    one = only(PLAIN, dataclasses.replace(MODEL, bidirectional=True, max_length=2))
    assert one.positions.tolist() == [b * 2 + n - 1 for b, n in enumerate(one.mask.sum(1).tolist())]
    assert {pair[::2] for pair in pairs(one)} == {((1,), 2), ((1, 2), 3), ((2, 3), 2), ((4,), 5)}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_positions_are_limited(bidirectional):
    fit = dataclasses.replace(PLAIN, positions=1)
    one = only(fit, dataclasses.replace(MODEL, bidirectional=bidirectional))
    assert len(one.positions) == 2
    assert {pair[0][0] for pair in pairs(one)} == {1, 4}


def test_values_and_places_travel_with_their_events():
    places = np.arange(12, dtype=np.float32).reshape(6, 2)
    values = np.array([1, 2, np.nan, 4, 5, 6], np.float32)
    one = only(PLAIN, sequences=Sequences(TWO._replace(places=places), values))
    found = dict(zip(one.targets.items.tolist(), one.targets.values.tolist(), strict=True))
    assert found[5] == 6 and np.isnan(found[3])
    row = int((one.items[:, 0] == 1).nonzero())
    assert one.places[row].tolist() == [[0, 1], [2, 3], [4, 5]]
    row = int((one.items[:, 0] == 4).nonzero())
    assert one.places[row].tolist() == [[8, 9], [0, 0], [0, 0]]


def long_world(n_users: int = 40, seed: int = 0):
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(0.1, n_users)
    return histories({f"u{k}": [(int(i), float(i)) for i in range(n)] for k, n in enumerate(lengths)})


AUGMENTED = fit_settings(batch_size=4, augment=0.8, augment_share=0.5)


def test_an_epoch_can_be_made_again_and_differs_from_the_next():
    make = TrainingBatches(Sequences(long_world()), MODEL, AUGMENTED)
    one, again, other = ([batch.items for batch in make(epoch)] for epoch in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(one, other, strict=False))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_augmentation_never_shows_a_target_before_its_time(bidirectional):
    """In this world item k comes at day k, so a target is above all that its position has seen."""
    kind, seen = dataclasses.replace(MODEL, bidirectional=bidirectional), {"masked": 0, "reordered": 0}
    for one in TrainingBatches(Sequences(long_world()), kind, AUGMENTED)(0):
        assert bool((one.days.diff(dim=1) >= 0)[one.mask[:, 1:]].all())
        for history, day, item, _ in pairs(one):
            assert item > max(history) and day <= item
            seen["masked"] += -1 in history
            seen["reordered"] += list(history) != sorted(history) and -1 not in history
    assert min(seen.values()) > 0


def test_cropping_keeps_a_run_and_a_prefix_its_end():
    fit = dataclasses.replace(PLAIN, augment=1.0, augment_share=0.5)
    make = TrainingBatches(Sequences(long_world()), dataclasses.replace(MODEL, bidirectional=True), fit)
    spans = batches.prefixes(np.array([0, 60]), np.arange(60), 10)
    cropped, kind = make._crop(spans, np.random.default_rng(0))
    lengths, before = cropped.stops - cropped.starts, spans.stops - spans.starts
    assert cropped.stops.tolist() == spans.stops.tolist()
    assert np.where(kind == 1, np.ceil(before / 2), before).tolist() == lengths.tolist()
    assert set(kind) == {1, 2, 3}


def test_bucketed_batches_hold_all_rows_once_with_less_padding():
    lengths = np.random.default_rng(0).geometric(0.05, 1000)

    def cells(bucketed):
        rows = list(batches.batch_rows(lengths, 16, bucketed, np.random.default_rng(1)))
        assert sorted(np.concatenate(rows)) == list(range(1000))
        return sum(len(one) * lengths[one].max() for one in rows)

    assert cells(True) < 1.3 * lengths.sum() < 2 * lengths.sum() < cells(False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 6), st.data())
def test_bisection_agrees_with_searchsorted(days, until, data):
    days = np.sort(np.array(days, float))
    low = data.draw(st.integers(0, len(days)))
    high = data.draw(st.integers(low, len(days)))
    found = batches.first_not_before(days, np.array([low]), np.array([high]), np.array([float(until)]))
    assert found[0] == low + np.searchsorted(days[low:high], until)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.floats(0.1, 0.9), st.integers(0, 99))
def test_reordering_shuffles_one_run_and_marks_what_has_not_seen_all_of_it(lengths, share, seed):
    stops = np.cumsum(lengths)
    events, mask = batches.padded(Spans(stops - lengths, stops))
    due = np.arange(len(lengths)) % 2 == 0
    shuffled, unordered = batches.reordered(events, mask, due, share, np.random.default_rng(seed))
    assert np.array_equal(np.sort(shuffled[mask]), np.sort(events[mask]))
    assert np.array_equal(shuffled[~due], events[~due]) and not unordered[~due].any()
    for row, step in zip(*np.nonzero(mask & ~unordered), strict=True):
        assert set(shuffled[row, : step + 1]) == set(events[row, : step + 1])


def test_scoring_asks_every_user_once_at_the_query_day():
    found = dict.fromkeys(range(3))
    for users, one in batches.scoring_batches(Sequences(TWO), 2, 2, 20.0):
        steps = one.positions - torch.arange(len(users)) * one.items.shape[1]
        for b, user in enumerate(users):
            assert float(one.query_days[b, steps[b]]) == 20.0
            found[int(user)] = one.items[b][one.mask[b]].tolist()
    assert found == {0: [3, 2], 1: [], 2: [4, 5]}


def test_no_users_and_no_events():
    nobody, nothing = histories({}), histories({"a": [], "b": []})
    for world in (nobody, nothing):
        assert list(TrainingBatches(Sequences(world), MODEL, AUGMENTED)(0)) == []
        window = dataclasses.replace(AUGMENTED, target="window")
        assert list(TrainingBatches(Sequences(world), MODEL, window)(0)) == []
    assert list(batches.scoring_batches(Sequences(nobody), 5, 5, 1.0)) == []
    ((users, one),) = batches.scoring_batches(Sequences(nothing), 5, 5, 1.0)
    assert len(users) == 2 and not one.mask.any()
