"""The gate by hand-worked numbers, and what its record says of any night."""

import dataclasses
import datetime

import numpy as np
import pytest

from interest_model.config import Promotion
from interest_model.errors import UsageError
from interest_model.training.promotion import (
    NO_MODEL,
    Figure,
    Judged,
    champion_as_of,
    decision,
    digest_of,
    first_night,
    judge,
    rolled_back,
    standing,
)

SETTINGS = Promotion("m", min_lead=0.0, level=0.95, min_users=4)
WEIGHTS = np.array([4.0, 5.0, 3.0, 4.0])  # four replicates of four users


def figure(values, sums) -> Figure:
    return Figure(float(np.sum(values)), len(values), np.array(sums, dtype=float), WEIGHTS)


FLOOR = figure([0.25, 0.25, 0.25, 0.25], [1.0, 1.25, 0.75, 1.0])  # mean 0.25 in every replicate
BETTER = figure([0.5, 0.5, 0.5, 0.5], [2.0, 2.5, 1.5, 2.0])  # 0.5 in every replicate
DOUBTFUL = figure([1.0, 0.0, 0.5, 0.5], [2.0, 3.0, 0.6, 2.0])  # 0.5, but 0.6 and 0.2 in two replicates


def day(number: int) -> datetime.date:
    return datetime.date(2026, 1, number)


def test_a_lead_outside_the_interval_is_promoted():
    verdict = judge({"challenger": BETTER, "champion 1": FLOOR}, "champion 1", SETTINGS)
    assert verdict.state == "promoted"
    assert verdict.figures["lead"] == verdict.figures["lead_low"] == verdict.figures["lead_high"] == 0.25
    assert verdict.figures["ndcg@10 champion 1"] == 0.25 and "champion 1 0.2500: lead +0.2500" in verdict.reason


def test_the_same_lead_with_zero_inside_its_interval_is_refused():
    # leads of the replicates: 0.25, 0.35, -0.05, 0.25; their 2.5 % point is -0.05 + 0.075 x 0.30
    verdict = judge({"challenger": DOUBTFUL, "champion 1": FLOOR}, "champion 1", SETTINGS)
    assert verdict.state == "refused" and verdict.figures["lead"] == 0.25
    assert verdict.figures["lead_low"] == pytest.approx(-0.05 + 0.075 * 0.30)


def test_a_worse_challenger_and_an_equal_one_are_refused():
    for challenger in (FLOOR, BETTER):
        assert judge({"challenger": challenger, "champion 1": BETTER}, "champion 1", SETTINGS).state == "refused"


@pytest.mark.parametrize("stricter", [{"min_lead": 0.25}, {"min_users": 5}])
def test_what_is_not_enough_is_refused(stricter):
    settings = Promotion(**({"model": "m", "min_lead": 0.0, "level": 0.95, "min_users": 4} | stricter))
    assert judge({"challenger": BETTER, "champion 1": FLOOR}, "champion 1", settings).state == "refused"


def test_the_first_version_has_only_to_find_anything():
    assert judge({"challenger": FLOOR, "popularity": BETTER}, NO_MODEL, SETTINGS).state == "promoted"
    useless = figure([0.0] * 4, [0.0] * 4)
    verdict = judge({"challenger": useless, "popularity": BETTER}, NO_MODEL, SETTINGS)
    assert verdict.state == "refused" and verdict.figures["ndcg@10 popularity"] == 0.5


def test_nobody_judged_is_refused_without_a_figure_that_is_no_number():
    nobody = Figure(0.0, 0, np.zeros(4), np.zeros(4))
    verdict = judge({"challenger": nobody}, NO_MODEL, SETTINGS)
    assert verdict.state == "refused" and "lead_low" not in verdict.figures


def history() -> list[dict]:
    """Version 1 from day 2, 2 refused, 3 from day 9; told out of order."""
    yes, no = (judge({"challenger": one, "c": FLOOR}, "c", SETTINGS) for one in (BETTER, FLOOR))
    rows = [
        decision("m", Judged("1", "one"), yes, None, day(2)),
        decision("m", Judged("2", "two"), no, "1", day(6)),
        decision("m", Judged("3", "three"), yes, "1", day(9)),
        decision("other", Judged("1", "another one"), yes, None, day(1)),
    ]
    return [row | {"decided_ts": datetime.datetime(2026, 2, 1 + n)} for n, row in enumerate(rows)][::-1]


def test_an_old_night_has_the_version_it_had():
    found = [champion_as_of(history(), "m", day(number)) for number in (1, 2, 6, 8, 9, 20)]
    assert found == [None, "1", "1", "1", "3", "3"]


def test_a_number_stands_for_the_files_that_were_promoted_under_it():
    assert [digest_of(history(), "m", version, day(20)) for version in ("1", "2", "3")] == ["one", None, "three"]
    assert digest_of(history(), "other", "1", day(20)) == "another one"


def test_a_night_of_before_a_store_was_lost_keeps_the_files_it_had():
    yes = judge({"challenger": BETTER, "c": FLOOR}, "c", SETTINGS)
    rows = [decision("m", Judged("1", "old store"), yes, None, day(2)) | {"decided_ts": datetime.datetime(2026, 2, 1)}]
    rows += [rolled_back(rows, "m", day(10)) | {"decided_ts": datetime.datetime(2026, 2, 2)}]
    again = decision("m", Judged("1", "new store"), yes, None, day(12))
    rows += [again | {"decided_ts": datetime.datetime(2026, 2, 3)}]
    assert [champion_as_of(rows, "m", day(number)) for number in (1, 3, 11, 12)] == [None, "1", None, "1"]
    found = [digest_of(rows, "m", "1", day(number)) for number in (1, 3, 9, 12)]
    assert found == [None, "old store", "old store", "new store"]


def test_a_refusal_stands_for_the_same_gate_and_champion_only():
    rows, refused = history(), Judged("2", "two")
    no = standing(rows, "m", refused, "1", SETTINGS)
    assert (no["state"], no["version"]) == ("refused", "2")
    for stricter in ({"min_lead": 0.01}, {"level": 0.9}, {"min_users": 3}):
        assert standing(rows, "m", refused, "1", dataclasses.replace(SETTINGS, **stricter)) is None
    assert standing(rows, "m", refused, "3", SETTINGS) is None
    assert standing(rows, "m", Judged("2", "other files"), "1", SETTINGS) is None


def test_a_champion_is_not_judged_again_nor_what_was_taken_out_by_hand():
    rows, third, looser = history(), Judged("3", "three"), dataclasses.replace(SETTINGS, min_users=1)
    assert standing(rows, "m", third, "3", looser)["state"] == "promoted"
    rows += [rolled_back(rows, "m", day(12)) | {"decided_ts": datetime.datetime(2026, 3, 1)}]
    for settings in (SETTINGS, looser):  # before it was promoted the champion was the same as now
        assert standing(rows, "m", third, "1", settings)["state"] == "rolled_back"


def test_rollback_puts_the_former_champion_back_from_a_night_on():
    rows = history()
    row = rolled_back(rows, "m", day(12))
    assert (row["version"], row["champion"], row["from_run_date"]) == ("3", "1", day(12))
    rows = [*rows, row | {"decided_ts": datetime.datetime(2026, 3, 1)}]
    assert [champion_as_of(rows, "m", day(number)) for number in (8, 9, 11, 12)] == ["1", "3", "3", "1"]
    again = rolled_back(rows, "m", day(5))  # the first one: before it there was none
    assert (again["version"], again["champion"], again["from_run_date"]) == ("1", None, day(12))
    rows = [*rows, again | {"decided_ts": datetime.datetime(2026, 3, 2)}]
    assert champion_as_of(rows, "m", day(12)) is None
    with pytest.raises(UsageError, match="no champion"):
        rolled_back(rows, "m", day(13))


def test_a_decision_changes_no_night_that_was_issued():
    assert first_night([], "m", day(5), None) == day(6) == first_night([], "m", day(5), day(3))
    assert first_night([], "m", day(5), day(20)) == day(21)


def test_a_decision_holds_no_earlier_than_the_one_before_it():
    """Version 3 is in force from day 9 on, as night 8 ran; that night failed, and a training of day 5 comes after."""
    assert first_night(history(), "m", day(5), day(5)) == day(9) == first_night(history(), "m", day(5), day(8))
    assert first_night(history(), "m", day(5), day(9)) == day(10)
    assert first_night(history(), "other", day(5), None) == day(6)
