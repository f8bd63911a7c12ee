import calendar
import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interest_model.config import Windows
from interest_model.tables import WINDOWS

UTC = datetime.UTC
ALL_KINDS = Windows(kinds=("day", "week", "month"), context_length=4)


def build(frame, settings=ALL_KINDS):
    from interest_model.history.windows import build_windows

    rows = build_windows(frame, settings).collect()
    return {(row.user_id, row.window_kind, row.window_start): row.asDict() for row in rows}


def reference(events, settings):
    """{key: ordered event rows} in plain Python."""
    from interest_model.history.windows import first_day

    windows = {}
    for row in sorted(events, key=lambda row: (row["event_ts"], row["event_id"])):
        for kind in settings.kinds:
            windows.setdefault((row["user_id"], kind, first_day(kind, row["event_date"])), []).append(row)
    return windows


def test_first_and_end_days_by_hand():
    from interest_model.history.windows import end_day, first_day

    date = datetime.date
    assert first_day("week", date(2025, 1, 1)) == date(2024, 12, 30)  # the Monday lies in the year before
    assert first_day("month", date(2024, 2, 29)) == date(2024, 2, 1)
    assert first_day("day", date(2024, 2, 29)) == date(2024, 2, 29)
    assert end_day("month", date(2024, 2, 1)) == date(2024, 3, 1)
    assert end_day("month", date(2024, 12, 1)) == date(2025, 1, 1)
    assert end_day("week", date(2024, 12, 30)) == date(2025, 1, 6)
    assert end_day("day", date(2024, 2, 28)) == date(2024, 2, 29)


@given(st.dates(datetime.date(1990, 1, 1), datetime.date(2100, 1, 1)))
def test_touched_windows_hold_the_day_and_are_read_whole(day):
    from interest_model.history.windows import end_day, first_day, touched_windows, window_input_days

    touched = touched_windows([day, day], ALL_KINDS)
    assert sorted(kind for kind, _ in touched) == ["day", "month", "week"]
    for kind, start in touched:
        assert start <= day < end_day(kind, start)
        assert first_day(kind, end_day(kind, start)) == end_day(kind, start)
    assert window_input_days([("month", day.replace(day=1))]) == {
        day.replace(day=number + 1) for number in range(calendar.monthrange(day.year, day.month)[1])
    }
    assert len(window_input_days([("week", first_day("week", day)), ("day", day)])) == 7


@pytest.mark.spark
def test_one_window_by_hand(frame_of, make_event):
    start = datetime.datetime(2024, 12, 31, 10, tzinfo=UTC)
    rows = [make_event("u", start + datetime.timedelta(hours=number), item=str(number)) for number in range(6)]
    place = {"latitude": 1.5, "longitude": 2.5, "place_id": "home", "weight": 0.5, "event_type": "buy"}
    rows[5] = make_event("u", start + datetime.timedelta(hours=5), item="5", arrival=datetime.date(2025, 1, 2), **place)
    rows[0] = rows[0] | {"arrival_date": datetime.date(2025, 1, 7)}
    rows.append(make_event("u", datetime.datetime(2025, 1, 1, tzinfo=UTC), item="next day"))
    found = build(frame_of(reversed(rows)))
    day = found["u", "day", datetime.date(2024, 12, 31)]
    assert (day["window_end"], day["n_events"]) == (datetime.date(2025, 1, 1), 6)
    assert day["last_arrival_date"] == datetime.date(2025, 1, 7)  # the cut-off event's arrival counts too
    assert day["item_ids"] == ["2", "3", "4", "5"] and day["mask"] == [True] * 4
    assert day["latitudes"] == [None, None, None, 1.5] and day["longitudes"][3] == 2.5
    assert day["place_ids"][2:] == [None, "home"] and day["weights"] == [1.0, 1.0, 1.0, 0.5]
    assert day["event_types"] == ["click", "click", "click", "buy"]
    week = found["u", "week", datetime.date(2024, 12, 30)]
    assert week["item_ids"] == ["3", "4", "5", "next day"] and week["n_events"] == 7
    assert week["window_end"] == datetime.date(2025, 1, 6)
    january = found["u", "month", datetime.date(2025, 1, 1)]
    assert january["item_ids"] == ["next day", None, None, None]
    assert january["mask"] == [True, False, False, False]
    assert january["weights"] == [1.0, None, None, None] and january["window_end"] == datetime.date(2025, 2, 1)
    assert len(found) == 2 + 1 + 2


@pytest.mark.spark
def test_types_fit_the_contract_and_no_events_give_no_windows(frame_of):
    from interest_model.history.windows import build_windows
    from interest_model.storage import fit_contract

    assert fit_contract(WINDOWS, build_windows(frame_of([]), ALL_KINDS)).collect() == []


@pytest.mark.spark
def test_days_of_a_change_of_clocks_follow_the_logs_zone(frame_of, make_event):
    zone = "America/New_York"  # 2024-11-03 has 25 hours there: 04:00 to 05:00 UTC of the next day
    hours = [(3, 3, 59), (3, 4, 0), (4, 4, 59), (4, 5, 0)]
    rows = [make_event("u", datetime.datetime(2024, 11, day, hour, minute, tzinfo=UTC), zone=zone)
            for day, hour, minute in hours]  # fmt: skip
    found = build(frame_of(rows), Windows(kinds=("day",), context_length=2))
    sizes = {str(start): row["n_events"] for (_, _, start), row in found.items()}
    assert sizes == {"2024-11-02": 1, "2024-11-03": 2, "2024-11-04": 1}


@pytest.mark.spark
@pytest.mark.parametrize("length", [1, 4, 64])
def test_agrees_with_plain_python(frame_of, make_random_events, length):
    settings = Windows(kinds=("day", "week", "month"), context_length=length)
    start = datetime.datetime(2024, 2, 26, tzinfo=UTC)
    rows = make_random_events(np.random.default_rng(7), 80, zone="America/New_York", start=start)
    found, wanted = build(frame_of(rows), settings), reference(rows, settings)
    assert found.keys() == wanted.keys()
    for key, events in wanted.items():
        row, kept = found[key], events[-length:]
        nothing = [None] * (length - len(kept))
        assert row["n_events"] == len(events)
        assert row["last_arrival_date"] == max(one["arrival_date"] for one in events)
        assert row["item_ids"] == [one["item_id"] for one in kept] + nothing
        assert row["weights"] == [one["weight"] for one in kept] + nothing
        assert [ts and ts.replace(tzinfo=UTC) for ts in row["event_ts"]] == [one["event_ts"] for one in kept] + nothing
        assert row["mask"] == [True] * len(kept) + [False] * len(nothing)


@pytest.mark.spark
def test_nights_with_late_events_equal_one_rebuild(frame_of, make_random_events):
    from interest_model.history.windows import touched_windows, window_input_days

    start = datetime.datetime(2023, 12, 28, tzinfo=UTC)
    rows = make_random_events(np.random.default_rng(8), 40, start=start)
    kept = {}
    for night in sorted({row["arrival_date"] for row in rows})[:8]:
        known = [row for row in rows if row["arrival_date"] <= night]
        touched = touched_windows({row["event_date"] for row in known if row["arrival_date"] == night}, ALL_KINDS)
        read = window_input_days(touched)
        fresh = build(frame_of([row for row in known if row["event_date"] in read]))
        kept = {key: row for key, row in kept.items() if key[1:] not in touched}
        kept |= {key: row for key, row in fresh.items() if key[1:] in touched}
    assert kept == build(frame_of(known))
