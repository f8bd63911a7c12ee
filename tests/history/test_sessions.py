import datetime
import itertools
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.config import Sessions
from interest_model.tables import SESSIONS

UTC = datetime.UTC
HALF_HOUR = Sessions(gap_minutes=30, max_hours=10)
MICRO = datetime.timedelta(microseconds=1)
ZONES = ("UTC", "America/New_York", "Antarctica/Troll", "Asia/Kolkata")


def reference(events, rule):
    """The rule once more, in plain Python: {first event id: list of event ids}."""
    sessions = []
    groups = {}
    for row in sorted(events, key=lambda row: (row["event_ts"], row["event_id"])):
        groups.setdefault((row["user_id"], row["session_key"]), []).append(row)
    limit = datetime.timedelta(hours=rule.max_hours)
    for (_, key), rows in groups.items():
        gap = limit if key is not None else datetime.timedelta(minutes=rule.gap_minutes)
        chains = [[rows[0]]]
        for earlier, later in itertools.pairwise(rows):
            if later["event_ts"] - earlier["event_ts"] > gap:
                chains.append([])
            chains[-1].append(later)
        for chain in chains:
            if chain[-1]["event_ts"] - chain[0]["event_ts"] > limit:
                sessions += [list(day) for _, day in itertools.groupby(chain, lambda row: row["event_date"])]
            else:
                sessions.append(chain)
    return {session[0]["event_id"]: session for session in sessions}


def by_start_day(sessions):
    days = {}
    for session in sessions.values():
        days.setdefault(session[0]["event_date"], set()).add(tuple(row["event_id"] for row in session))
    return days


def build(frame, rule):
    from interest_model.history.sessions import build_sessions

    return {row.session_id: row for row in build_sessions(frame, rule).collect()}


def comparable(rows):
    return {(row.session_id, row.session_date, row.n_events, row.end_ts, tuple(row.item_ids)) for row in rows.values()}


@st.composite
def worlds(draw):
    """A rule, a zone, one user's events around a change of clocks, and a late event."""
    gap = draw(st.integers(1, 600))
    rule = Sessions(gap_minutes=gap, max_hours=draw(st.integers(-(-gap // 60), 24)))
    zone = draw(st.sampled_from(ZONES))
    first_day = draw(st.sampled_from(["2024-03-07", "2024-03-28", "2024-10-24", "2024-02-26", "2023-12-28"]))
    start = datetime.datetime.fromisoformat(first_day).replace(tzinfo=UTC)
    steps = draw(st.lists(st.integers(0, 1440 * 7), min_size=2, max_size=50))
    # a regular tread makes chains of any length, the random steps break it
    tread = draw(st.integers(20, 600))
    first, length = draw(st.integers(0, 4000)), draw(st.integers(0, 40))
    minutes = steps + [first + tread * number for number in range(length)]
    keys = draw(st.sampled_from([(None,), (None, "a"), ("a", "b")]))
    rows = []
    for number, offset in enumerate(minutes):
        moment = start + datetime.timedelta(minutes=offset)
        day = moment.astimezone(ZoneInfo(zone)).date()
        key = keys[draw(st.integers(0, len(keys) - 1))] if len(keys) > 1 else keys[0]
        rows.append({"user_id": "u", "session_key": key, "event_ts": moment, "event_id": number, "event_date": day})
    return rule, rows, draw(st.integers(0, len(rows) - 1))


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_a_late_event_changes_only_days_within_reach(world):
    from interest_model.history.sessions import touched_session_days

    rule, rows, which = world
    late = rows[which]
    before = by_start_day(reference(rows[:which] + rows[which + 1 :], rule))
    after = by_start_day(reference(rows, rule))
    changed = {day for day in before.keys() | after.keys() if before.get(day) != after.get(day)}
    assert changed
    assert changed <= touched_session_days([late["event_date"]], rule)


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_sessions_of_a_day_are_decided_by_the_days_within_reach(world):
    from interest_model.history.sessions import session_input_days

    rule, rows, which = world
    day = rows[which]["event_date"]
    read = session_input_days([day], rule)
    part = by_start_day(reference([row for row in rows if row["event_date"] in read], rule))
    assert part.get(day) == by_start_day(reference(rows, rule)).get(day)


@pytest.mark.parametrize(("late_minutes", "changed"), [(-25, {"01", "02"}), (605, {"01", "02"})])
def test_a_late_event_can_change_the_day_before_and_the_day_after(late_minutes, changed):
    from interest_model.history.sessions import touched_session_days

    start = datetime.datetime(2024, 5, 1, 14, 30, tzinfo=UTC)

    def row(minutes):
        moment = start + datetime.timedelta(minutes=minutes)
        day = moment.date()
        return {"user_id": "u", "session_key": None, "event_ts": moment, "event_id": minutes, "event_date": day}

    chain = [row(minutes) for minutes in range(0, 581, 20)]  # 14:30 to 00:10, one session of the first day
    late = row(late_minutes)  # 14:05 of the first day, or 00:35 of the second: more than ten hours, cut at midnight
    before, after = by_start_day(reference(chain, HALF_HOUR)), by_start_day(reference([*chain, late], HALF_HOUR))
    found = {day for day in before.keys() | after.keys() if before.get(day) != after.get(day)}
    assert {f"{day:%d}" for day in found} == changed
    assert found <= touched_session_days([late["event_date"]], HALF_HOUR)


def test_reach_follows_the_settings():
    from interest_model.history.sessions import reach_days, session_input_days, touched_session_days

    assert [reach_days(Sessions(30, hours)) for hours in (1, 10, 11, 21, 22)] == [1, 1, 2, 2, 3]
    day = datetime.date(2024, 3, 1)
    assert touched_session_days([day], HALF_HOUR) == {datetime.date(2024, 2, 29), day, datetime.date(2024, 3, 2)}
    assert session_input_days([day, day], HALF_HOUR) == touched_session_days([day], HALF_HOUR)
    assert touched_session_days([], HALF_HOUR) == set()


@pytest.mark.spark
def test_gap_one_microsecond_around_the_limit(frame_of, make_event):
    start, gap = datetime.datetime(2024, 5, 1, 12, tzinfo=UTC), datetime.timedelta(minutes=30)
    steps = {"below": gap - MICRO, "at": gap, "above": gap + MICRO}
    rows = [make_event(user, moment) for user, step in steps.items() for moment in (start, start + step)]
    found = build(frame_of(rows), HALF_HOUR)
    sizes = {user: sorted(row.n_events for row in found.values() if row.user_id == user) for user in steps}
    assert sizes == {"below": [2], "at": [2], "above": [1, 1]}


@pytest.mark.spark
def test_columns_of_one_session(frame_of, make_event):
    import hashlib

    start = datetime.datetime(2024, 5, 1, 23, 50, tzinfo=UTC)
    rows = [
        make_event("u", start + datetime.timedelta(minutes=20), item="b", event_type="buy"),
        make_event("u", start, item="a", arrival=datetime.date(2024, 5, 4)),
        make_event("u", start + datetime.timedelta(minutes=10), item="b"),
    ]
    (session,) = build(frame_of(rows), HALF_HOUR).values()
    assert session.session_id == hashlib.md5(f"u/{rows[1]['event_id']}".encode()).hexdigest()
    assert session.session_date == datetime.date(2024, 5, 1)  # the day it started
    assert (session.duration_seconds, session.n_events, session.n_items) == (1200.0, 3, 2)
    assert session.last_arrival_date == datetime.date(2024, 5, 4)
    assert session.item_ids == ["a", "b", "b"] and session.event_types == ["click", "click", "buy"]


@pytest.mark.spark
def test_types_fit_the_contract_and_no_events_give_no_sessions(frame_of):
    from interest_model.history.sessions import build_sessions
    from interest_model.storage import fit_contract

    assert fit_contract(SESSIONS, build_sessions(frame_of([]), HALF_HOUR)).collect() == []


@pytest.mark.spark
def test_the_logs_own_session_id_wins(frame_of, make_event):
    start, hour = datetime.datetime(2024, 5, 1, 8, tzinfo=UTC), datetime.timedelta(hours=1)
    rows = [make_event("u", start + hour * number, key, item=str(number)) for number, key in enumerate("aabab")]
    rows += [make_event("v", start, "a"), make_event("v", start + 10 * hour + MICRO, "a")]
    found = build(frame_of(rows), HALF_HOUR)
    # two hours between events of one id do not cut it, another id in between does not either, ten hours do
    items = sorted("".join(row.item_ids) for row in found.values() if row.user_id == "u")
    assert items == ["013", "24"]
    assert sum(row.user_id == "v" for row in found.values()) == 2


@pytest.mark.spark
def test_a_long_chain_is_cut_at_midnight_of_the_logs_zone(frame_of, make_event):
    zone, step = "America/New_York", datetime.timedelta(minutes=30)
    start = datetime.datetime(2024, 3, 9, 23, tzinfo=UTC)  # 18:00 local; clocks go forward that night
    exactly = [make_event("exactly", start + step * number, item=str(number), zone=zone) for number in range(21)]
    longer = [row | {"user_id": "longer"} for row in exactly]
    longer.append(make_event("longer", start + step * 20 + MICRO, zone=zone))
    found = build(frame_of(exactly + longer), HALF_HOUR)
    days = sorted((row.user_id, str(row.session_date), row.n_events) for row in found.values())
    # 18:00 to 23:30 are twelve events of the first day
    assert days == [("exactly", "2024-03-09", 21), ("longer", "2024-03-09", 12), ("longer", "2024-03-10", 10)]


@pytest.mark.spark
def test_events_tied_in_time_are_ordered_by_id(frame_of, make_event):
    moment = datetime.datetime(2024, 5, 1, tzinfo=UTC)
    rows = [make_event("u", moment, item=str(number)) for number in range(9)]
    (session,) = build(frame_of(rows), HALF_HOUR).values()
    ordered = sorted(rows, key=lambda row: row["event_id"])
    assert session.item_ids == [row["item_id"] for row in ordered]
    assert session.duration_seconds == 0.0


@pytest.mark.spark
@pytest.mark.parametrize("rule", [HALF_HOUR, Sessions(gap_minutes=600, max_hours=24)], ids=["default", "two days"])
def test_agrees_with_the_rule_in_plain_python(frame_of, make_random_events, rule):
    rows = make_random_events(np.random.default_rng(3), 150, zone="America/New_York")
    found = build(frame_of(rows), rule)
    wanted = reference(rows, rule)
    assert len(found) == len(wanted)
    assert {(row.user_id, row.session_date, row.start_ts.replace(tzinfo=UTC), row.n_events, tuple(row.item_ids))
            for row in found.values()} == {
        (one[0]["user_id"], one[0]["event_date"], one[0]["event_ts"], len(one), tuple(row["item_id"] for row in one))
        for one in wanted.values()
    }  # fmt: skip


@pytest.mark.spark
def test_a_users_sessions_do_not_depend_on_others(frame_of, make_random_events):
    rows = make_random_events(np.random.default_rng(4), 60)
    alone = [row for row in rows if row["user_id"][-1] in "13579"]
    together = build(frame_of(rows), HALF_HOUR)
    users = {row["user_id"] for row in alone}
    assert comparable(build(frame_of(alone), HALF_HOUR)) == comparable(
        {key: row for key, row in together.items() if row.user_id in users}
    )


@pytest.mark.spark
@pytest.mark.parametrize("rule", [HALF_HOUR, Sessions(gap_minutes=600, max_hours=24)], ids=["default", "two days"])
def test_nights_with_late_events_equal_one_rebuild(frame_of, make_random_events, rule):
    from interest_model.history.sessions import session_input_days, touched_session_days

    rows = make_random_events(np.random.default_rng(5), 40, zone="Antarctica/Troll", keys=True)
    kept = {}
    for night in sorted({row["arrival_date"] for row in rows})[:12]:
        known = [row for row in rows if row["arrival_date"] <= night]
        days = touched_session_days({row["event_date"] for row in known if row["arrival_date"] == night}, rule)
        read = session_input_days(days, rule)
        fresh = build(frame_of([row for row in known if row["event_date"] in read]), rule)
        kept = {key: row for key, row in kept.items() if row.session_date not in days}
        kept |= {key: row for key, row in fresh.items() if row.session_date in days}
    assert comparable(kept) == comparable(build(frame_of(known), rule))
