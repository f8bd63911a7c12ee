"""Offline splits by hand and by property."""

from datetime import date

import pytest

from interest_model.errors import DataError, UsageError

pytestmark = pytest.mark.spark
COLUMNS = (
    "event_id string, user_id string, item_id string, day double, "
    "positive boolean, arrival_date date, file string, line bigint"
)


@pytest.fixture
def consumption(spark):
    def made(rows):
        whole = [(*row, True, date(2024, 1, 1), "log.csv", int(row[0][1:])) for row in rows]
        return spark.createDataFrame(whole, COLUMNS)

    return made


EVENTS = [
    ("e1", "a", "x", 1.0), ("e2", "a", "y", 2.5), ("e3", "b", "x", 2.5), ("e4", "b", "z", 3.0),
    ("e5", "a", "z", 4.0), ("e6", "a", "w", 4.5), ("e7", "c", "x", 4.5), ("e8", "a", "x", 5.25),
]  # fmt: skip


def pairs(frame):
    return {(row["user_id"], row["item_id"]) for row in frame.collect()}


def ids(frame):
    return {row["event_id"] for row in frame.collect()}


def test_temporal_keeps_an_instant_whole_and_after_the_cut(consumption):
    from interest_model.evaluation.splits import split

    parts = split(consumption(EVENTS), "temporal", 0.75, 1)  # event at position 6 of 8: e7, at the instant of e6
    assert parts.at_day == 4.5 and parts.horizon_days == 1
    assert ids(parts.known) == {"e1", "e2", "e3", "e4", "e5"}
    assert pairs(parts.truth) == {("a", "w"), ("c", "x"), ("a", "x")}
    last = split(consumption(EVENTS), "temporal-last", 0.75, 1)
    assert pairs(last.truth) == {("c", "x"), ("a", "x")} and ids(last.known) == ids(parts.known)


def test_leave_one_out_in_file_order_takes_the_last_line_of_users_with_two_events(consumption):
    from interest_model.evaluation.splits import split

    tied = [("e1", "a", "x", 1.0), ("e3", "a", "y", 2.0), ("e2", "a", "z", 2.0), ("e4", "b", "x", 3.0)]
    parts = split(consumption(tied), "loo-file", 0.9, 1)
    assert pairs(parts.truth) == {("a", "y")} and ids(parts.known) == {"e1", "e2", "e4"}
    assert parts.at_day > 3.0 and parts.horizon_days == 0


def test_shuffled_ties_depend_on_the_seed_alone_and_each_event_of_the_tie_gets_its_turn(consumption):
    from interest_model.evaluation.splits import split

    tied = [(f"e{n}", f"u{n // 4}", f"i{n % 4}", 2.0) for n in range(40)]
    taken = {seed: pairs(split(consumption(tied), "loo-shuffled", 0.9, seed).truth) for seed in (1, 1, 2, 3)}
    assert taken[1] == pairs(split(consumption(tied[::-1]), "loo-shuffled", 0.9, 1).truth)
    assert len({frozenset(one) for one in taken.values()}) == 3
    assert {item for one in taken.values() for _, item in one} == {"i0", "i1", "i2", "i3"}


def test_nights_before_are_those_whose_shortest_horizon_has_ended():
    from interest_model.evaluation.splits import nights_before

    assert nights_before(date(2024, 3, 2), 2, (7, 1, 28)) == [date(2024, 2, 29), date(2024, 3, 1)]
    assert nights_before(date(2024, 3, 2), 1, (2,)) == [date(2024, 2, 29)]


def test_nights_may_end_earlier_so_that_long_horizons_have_ended_too():
    from interest_model.evaluation.splits import nights_before

    assert nights_before(date(2024, 3, 31), 2, (1, 28), date(2024, 3, 1)) == [date(2024, 2, 29), date(2024, 3, 1)]
    with pytest.raises(UsageError, match="(?s)--last-night 2024-03-31.*give a night up to 2024-03-30"):
        nights_before(date(2024, 3, 31), 2, (1, 28), date(2024, 3, 31))


@pytest.fixture
def arrivals(spark):
    """(event_id, user, item, day of January it happened, day it arrived): consumption, all positive."""

    def made(rows):
        whole = [(*row[:3], date(2024, 1, row[3]), date(2024, 1, row[4]), True) for row in rows]
        return spark.createDataFrame(
            whole,
            "event_id string, user_id string, item_id string, event_date date, arrival_date date, positive boolean",
        )

    return made


def test_a_night_knows_what_had_arrived_and_finds_what_was_taken_after_as_known_at_the_horizons_end(arrivals):
    from interest_model.evaluation.splits import night_splits

    log = arrivals([
        ("e1", "a", "x", 3, 3), ("e2", "b", "x", 5, 5),
        ("late", "a", "y", 4, 6),  # happened before the night, arrived after it: neither known nor to be found
        ("next", "a", "z", 6, 6), ("slow", "b", "z", 6, 7),  # of the next day; the second arrived a day late
        ("two", "b", "w", 7, 7), ("three", "b", "v", 8, 8),
    ])  # fmt: skip
    one, two = night_splits(log, date(2024, 1, 5), date(2024, 1, 7), (3, 2, 1), "Europe/Berlin")
    assert ids(one.known) == ids(two.known) == {"e1", "e2"}
    assert (one.horizon_days, pairs(one.truth)) == (1, {("a", "z")})
    assert (two.horizon_days, pairs(two.truth)) == (2, {("a", "z"), ("b", "z"), ("b", "w")})
    assert one.at_day == 19_728 - 1 / 24 and one.list_date == one.night == date(2024, 1, 5)
    assert one.folder == two.folder == "replay-2024-01-05" and one.protocol == "refit"


def test_nights_with_nothing_after_them_are_refused_before_anything_is_fitted(arrivals):
    from interest_model.evaluation.splits import check_judgeable

    log, nights = arrivals([("e1", "a", "x", 3, 3), ("e2", "b", "x", 5, 6)]), [date(2024, 1, 4), date(2024, 1, 9)]
    check_judgeable(log, nights)  # the first of them has a day to be judged by
    for given in (log, log.limit(0)):
        with pytest.raises(DataError, match=r"2024-01-05 to 2024-01-09(?s:.*)--run-date"):
            check_judgeable(given, [date(2024, 1, 5), date(2024, 1, 9)])


def test_a_night_before_the_log_is_said(arrivals):
    from interest_model.evaluation.splits import night_splits

    with pytest.raises(DataError, match="night of 2024-01-02"):
        night_splits(arrivals([("e1", "a", "x", 3, 3)]), date(2024, 1, 2), date(2024, 1, 3), (1,), "UTC")


def test_nothing_to_split_is_said(consumption):
    from interest_model.evaluation.splits import split

    for protocol in ("temporal", "loo-file"):
        with pytest.raises(DataError, match="table events"):
            split(consumption([]), protocol, 0.9, 1)
    with pytest.raises(DataError, match="no event before it"):
        split(consumption([("e1", "a", "x", 1.0), ("e2", "b", "x", 1.0)]), "temporal", 0.9, 1)


def test_models_of_a_cut_are_those_of_the_day_before_it_and_leaving_one_out_has_none():
    from interest_model.evaluation.splits import Split

    cut = Split("temporal", 0, None, None, 100.5, 25)
    assert cut.model_day == date(1970, 4, 10)
    assert cut._replace(night=date(2026, 1, 9)).model_day == date(2026, 1, 9)
    assert cut._replace(horizon_days=0).model_day is None
