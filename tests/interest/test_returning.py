"""Chance of coming back and number of events: by hand, on a planted world, and what must hold of any forecast."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.interest import returning
from interest_model.interest.returning import (
    Reach,
    ReturnWindows,
    fit_returns,
    from_arrays,
    merge_returns,
    of_users,
    returns,
    to_arrays,
)
from interest_model.recommend.histories import Histories, between, take

HORIZONS = np.array([1.0, 7.0, 28.0])
CUT = 20_000.0
LONG = Reach(CUT - 100_000, np.inf, 2**30)  # a log that has been there for ever
PLANTED = Reach(CUT - 60, np.inf, 2**30)


def return_values(histories, cut, seen_days=1e9):
    return returning.return_values(histories, cut, seen_days)


def return_windows(histories, cut, horizons, reach=LONG, **more):
    return returning.return_windows(histories, reach.as_of(histories, cut), cut, horizons, reach, **more)


def users(*days: list[float]) -> Histories:
    lengths = [len(one) for one in days]
    return Histories(
        np.array([f"u{number}" for number in range(len(days))], dtype=object),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.zeros(sum(lengths), dtype=np.int32),
        np.array([day for one in days for day in one], dtype=np.float64),
        np.ones(sum(lengths), dtype=np.float32),
    )


def planted(n: int, seed: int) -> tuple[Histories, np.ndarray]:
    """Users whose days are a Poisson process: 60 days before the cut and 28 after it. Rates per day, log-uniform from
    0.005 to 0.5, are known only through the events; a third stopped 30 days before the cut."""
    rng = np.random.default_rng(seed)
    rate = np.exp(rng.uniform(np.log(0.005), np.log(0.5), n))
    stopped = rng.random(n) < 1 / 3
    days = [np.sort(rng.uniform(-60.0, 28.0, rng.poisson(88 * one))) for one in rate]
    kept = [list(CUT + (one[one < -30] if gone else one)) for one, gone in zip(days, stopped, strict=True)]
    return users(*kept), np.where(stopped, 0.0, rate)


def test_values_by_hand():
    # two events 7 days ago, which make one day acted, and one 20 days ago
    values = return_values(users([CUT - 20, CUT - 7, CUT - 7], []), CUT)
    assert values[0, 0] == pytest.approx(np.log(8.0))  # days since the latest
    weekly = 2 * 0.5 + 0.5 ** (20 / 7)
    assert values[0, 3] == pytest.approx(np.log1p(weekly))
    assert values[0, 8] == pytest.approx(np.log1p(weekly - 0.5))  # days acted count once
    assert values[0, 13] == pytest.approx(np.log1p(7.0 / ((20 - 7 + 1) / 2)))
    assert not values[1].any()
    year = return_values(users([CUT - 20, CUT - 7, CUT - 7]), CUT, 365.0)
    assert year[0, 11:13] == pytest.approx(np.log1p([3.0, 2.0]))


def test_values_are_as_of_a_log_without_beginning():
    """Who acts twice a day at the same hours has the same values at any age of the log, but for the silence."""
    steady, told = users(list(np.arange(CUT - 400, CUT, 0.5) + 0.25)), []
    for age in (14.0, 28.0, 112.0, 364.0):
        reach = Reach(CUT - age, np.inf, 2**30)
        known = between(steady, CUT - age, np.inf)
        told.append(return_values(known, CUT, reach.seen_days(known, CUT))[0])
    for values in told[1:]:
        assert values[1:13] == pytest.approx(told[0][1:13], abs=0.01)
    assert told[0][11:13] == pytest.approx(np.log1p([730.0, 365.0]))


def test_what_is_known_of_a_user_ends_with_the_log_the_lookback_or_the_latest_events():
    some = users(list(CUT - np.arange(50.0, 0, -1)), [CUT - 3], [])
    assert Reach(CUT - 80, 365.0, 100).seen_days(some, CUT).tolist() == [80, 80, 80]
    assert Reach(CUT - 80, 30.0, 100).seen_days(some, CUT).tolist() == [30, 30, 30]
    short = Reach(CUT - 80, 365.0, 20)
    assert short.seen_days(short.as_of(some, CUT), CUT).tolist() == [20, 80, 80]
    assert Reach(CUT, 365.0, 100).seen_days(some, CUT).tolist() == [1, 1, 1]


def test_the_weekday_after_the_cut_is_told_from_the_others():
    same, other = CUT - np.array([20.5, 13.5, 6.5]), CUT - np.array([19.5, 12.5, 5.5])
    values = return_values(users(list(same), list(other)), CUT)
    assert values[0, -1] > 0.5 and values[1, -1] == 0.0


def test_an_event_at_midnight_is_of_the_day_that_begins():
    """A log of days alone has its events at midnight: on the weekday after the cut, and on the one after that."""
    values = [return_values(users(list(CUT - np.array(ages))), CUT)[0] for ages in ([20, 13, 6], [20.5, 13.5, 6.5])]
    assert values[0][-1] == pytest.approx(0.0) and values[1][-1] > 0.5
    midnight = return_values(users(list(CUT - np.array([21.0, 14.0, 7.0]))), CUT)[0]
    noon = return_values(users(list(CUT - np.array([20.5, 13.5, 6.5]))), CUT)[0]
    assert midnight[-1] == pytest.approx(noon[-1], rel=0.05)


def test_windows_count_events_of_each_part_and_leave_out_strangers():
    histories = users([CUT - 1, CUT, CUT + 0.9, CUT + 1.0, CUT + 27.9, CUT + 28.0], [CUT + 3])
    windows = return_windows(histories, CUT, HORIZONS)
    assert windows.events.tolist() == [[2, 1, 1]]
    assert len(windows.values) == 1
    open_end = return_windows(histories, CUT, HORIZONS, until_day=CUT + 7.0).events[0]
    assert open_end[:2].tolist() == [2, 1] and np.isnan(open_end[2])


def test_nothing_after_the_cut_moves_a_value():
    histories, _ = planted(50, 3)
    before = histories.days < CUT
    changed = histories._replace(days=np.where(before, histories.days, histories.days + 0.01))
    assert np.array_equal(return_values(histories, CUT), return_values(changed, CUT))
    assert not np.array_equal(return_values(histories, CUT + 28), return_values(changed, CUT + 28))


def test_chances_and_numbers_are_calibrated_on_a_planted_world():
    """Reliability table of other users than those of the fit: ten groups of 600 by forecast chance."""
    model = fit_returns(return_windows(planted(6000, 1)[0], CUT, HORIZONS, PLANTED), HORIZONS, PLANTED)
    now = return_windows(planted(6000, 2)[0], CUT, HORIZONS, PLANTED)
    chance, number = returns(model, now.values)
    events = np.cumsum(now.events, axis=1)
    for column in range(3):
        for group in np.array_split(np.argsort(chance[:, column], kind="stable"), 10):
            said, came = chance[group, column].mean(), (events[group, column] > 0).mean()
            assert abs(said - came) < 4 * np.sqrt(said * (1 - said) / len(group)) + 0.01
        assert number[:, column].mean() == pytest.approx(events[:, column].mean(), rel=0.06)


def test_close_to_the_best_that_can_be_known():
    """Log loss against the forecaster that knows each user's rate, and against the base rate alone."""
    histories, rate = planted(4000, 5)
    model = fit_returns(return_windows(planted(6000, 1)[0], CUT, HORIZONS, PLANTED), HORIZONS, PLANTED)
    now = return_windows(histories, CUT, HORIZONS, PLANTED)
    known = between(histories, -np.inf, CUT).lengths > 0
    came = now.events[:, :2].sum(axis=1) > 0

    def loss(chance):
        chance = np.clip(chance, 1e-6, 1 - 1e-6)
        return -np.mean(np.where(came, np.log(chance), np.log(1 - chance)))

    best, base = loss(1 - np.exp(-7.0 * rate[known])), loss(np.full(len(came), came.mean()))
    said = loss(returns(model, now.values)[0][:, 1])
    assert best < said < best + 0.35 * (base - best)


MODEL = fit_returns(return_windows(planted(500, 4)[0], CUT, HORIZONS, PLANTED), HORIZONS, PLANTED)


@given(st.lists(st.lists(st.floats(-400, 5), min_size=1, max_size=20).map(sorted), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_chance_and_number_grow_with_the_horizon(days):
    histories = users(*[[CUT + day for day in one] for one in days])
    chance, number = of_users(MODEL, histories, CUT)
    assert np.isfinite(number).all() and (chance >= 0).all() and (chance <= 1).all()
    assert (np.diff(chance) >= 0).all() and (np.diff(number) >= 0).all() and (number >= chance).all()


def test_partitions_of_users_give_the_same_windows():
    histories, _ = planted(40, 6)
    whole = return_windows(histories, CUT, HORIZONS)
    parts = [return_windows(take(histories, part), CUT, HORIZONS) for part in np.array_split(np.arange(40), 3)]
    merged = merge_returns(parts)
    assert np.array_equal(merged.values, whole.values) and np.array_equal(merged.events, whole.events)


def test_arrays_and_back():
    again = from_arrays(to_arrays(MODEL))
    values = return_values(planted(20, 7)[0], CUT)
    assert np.array_equal(returns(again, values)[0], returns(MODEL, values)[0])


def test_nothing_to_fit_and_horizons_out_of_order_are_refused():
    empty = return_windows(users(), CUT, HORIZONS)
    with pytest.raises(ValueError, match="0 windows"):
        fit_returns(empty, HORIZONS, LONG)
    with pytest.raises(ValueError, match="must ascend"):
        fit_returns(return_windows(users([CUT - 1]), CUT, HORIZONS[::-1]), HORIZONS[::-1], LONG)
    with pytest.raises(ValueError, match="each part"):
        fit_returns(return_windows(users([CUT - 1]), CUT, HORIZONS, until_day=CUT + 7), HORIZONS, LONG)
    with pytest.raises(ValueError, match="no windows"):
        merge_returns([])


def test_a_log_in_which_nobody_ever_returns_has_finite_forecasts():
    windows = return_windows(users([CUT - 3], [CUT - 1]), CUT, HORIZONS)
    chance, number = returns(fit_returns(windows, HORIZONS, LONG), windows.values)
    assert (chance < 0.05).all() and np.isfinite(number).all()
    everybody = ReturnWindows(windows.values, np.array([[1.0, 0, 0], [2, 0, 0]]))
    chance, _ = returns(fit_returns(everybody, HORIZONS, LONG), windows.values)
    assert (chance > 0.95).all()
