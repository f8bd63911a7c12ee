import datetime

import numpy as np
import pytest

from interest_model.config import Windows
from interest_model.tables import WINDOWS

SETTINGS = Windows(kinds=("day", "week", "month"), context_length=8)
DAY = datetime.date(2024, 3, 8)

pytestmark = pytest.mark.spark


def rows_of(frame):
    return {tuple(map(str, row.asDict().values())) for row in frame.select(*WINDOWS.names).collect()}


def test_events_known_includes_the_night_itself(frame_of, make_event):
    from interest_model.history.known import events_known

    moment = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)
    rows = [make_event("u", moment, item=str(lag), arrival=DAY + datetime.timedelta(days=lag)) for lag in (-1, 0, 1)]
    assert sorted(row.item_id for row in events_known(frame_of(rows), DAY).collect()) == ["-1", "0"]


@pytest.mark.parametrize("run_date", [DAY, datetime.date(2024, 3, 15), datetime.date(2024, 1, 1)])
def test_windows_known_equal_a_rebuild_of_what_was_known(frame_of, make_random_events, run_date):
    from interest_model.history.known import events_known, windows_known
    from interest_model.history.windows import build_windows

    events = frame_of(make_random_events(np.random.default_rng(11), 60))
    stored = build_windows(events, SETTINGS)
    rebuilt = build_windows(events_known(events, run_date), SETTINGS)
    assert rows_of(windows_known(stored, events, run_date, SETTINGS)) == rows_of(rebuilt)
    assert rows_of(stored) != rows_of(rebuilt)  # else there was nothing to see


def test_unchanged_windows_are_not_built_again(frame_of, make_event):
    from interest_model.history.known import windows_known
    from interest_model.history.windows import build_windows

    moment = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)
    late = make_event("v", moment, item="late", arrival=DAY)
    events = frame_of([make_event("u", moment), make_event("v", moment), late])
    stored = build_windows(events, SETTINGS)
    known = windows_known(stored, events.where("user_id = 'v'"), datetime.date(2024, 3, 2), SETTINGS)
    found = sorted((row.user_id, row.window_kind, row.n_events) for row in known.collect())
    assert found == [(user, kind, 1) for user in "uv" for kind in ("day", "month", "week")]
