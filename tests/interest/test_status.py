import math

import numpy as np
import pytest
import scipy.sparse as sp

from interest_model.interest import status
from interest_model.interest.hits import Hits, latest
from interest_model.interest.states_of_users import StateSettings, states, touches_of, visits_of
from interest_model.interest.status import STATUSES, StatusRule
from tests.interest.planted import AT_DAY, MOVES, world
from tests.interest.words import hits
from tests.recommend.worlds import histories

RULE = StatusRule()
RIGHT = {
    "growing": {"rising"}, "fading": {"fading"}, "returning": {"returning"}, "gone": {"gone"}, "new": {"new"},
    "sudden": {"rising", "new"}, "constant": {"stable"},
}  # fmt: skip


def found(users: Hits, trend: float = 0.0, rule: StatusRule = RULE) -> list[str]:
    return [STATUSES[code] for code in status.statuses(users, np.full(len(users.users), trend), AT_DAY, rule)]


def test_gone_by_hand():
    # 3 hits, then 12 or 13 silent visits: 1 / C(15, 3) = 0.0022 and 1 / C(16, 3) = 0.0018 against 0.04 * 0.05 = 0.002
    assert found(hits("111" + "0" * 12, "111" + "0" * 13)) == ["stable", "gone"]


def test_gone_looks_back_no_further_than_the_silence_is_long():
    # 8 silent visits; of the 8 before them 2 hits: C(8, 2) / C(16, 2) = 0.23, whatever came earlier
    assert found(hits("1" * 30 + "01000001" + "0" * 8)) == ["stable"]
    assert found(hits("1" * 30 + "01101111" + "0" * 8)) == ["stable"]  # C(8, 6) / C(16, 6) = 0.0035
    assert found(hits("1" * 30 + "01111111" + "0" * 8)) == ["gone"]  # C(8, 7) / C(16, 7) = 0.0007


def test_silence_of_a_few_days_is_not_gone():
    assert found(hits("1" * 10 + "0" * 10, days_apart=1.0)) == ["stable"]


def test_new_by_hand():
    # the mirror image: 13 visits without, then 3 with, the first of them 6 days ago; 42 days ago is not new
    assert found(hits("0" * 12 + "111", "0" * 13 + "111")) == ["stable", "new"]
    assert found(hits("0" * 13 + "111", days_apart=14.0)) == ["stable"]


def test_returning_by_hand():
    # 3 hits, 12 or 13 silent: 1 / C(15, 3) = 0.0022 and 1 / C(16, 3) = 0.0018 against 0.08 * 0.05 / 2 = 0.002
    assert found(hits("111" + "0" * 12 + "1", "111" + "0" * 13 + "1")) == ["stable", "returning"]
    assert found(hits("111" + "0" * 13 + "1" * 21)) == ["stable"]  # it came back 42 days ago
    assert found(hits("111" + "0" * 13 + "1", days_apart=0.9)) == ["stable"]  # away for 12.6 days


def test_order_of_precedence():
    came_and_went = hits("1111111" + "0" * 10 + "1" * 9 + "0" * 10, days_apart=1.4)
    assert status.returning(came_and_went, AT_DAY, RULE).all()
    assert found(came_and_went) == ["gone"]
    assert found(hits("0" * 14 + "1" * 7 + "0" * 10 + "1", days_apart=1.4)) == ["returning"]
    new = hits("0" * 16 + "1" * 6, days_apart=2.0)
    assert found(new, trend=0.1) == ["new"]
    assert status.rising_or_fading(new, np.array([0.1]), RULE) == status.RISING


def test_a_share_of_each_test_makes_up_the_level():
    looks = math.ceil(RULE.returning_days / RULE.silent_days)
    silences = 2 * math.exp(RULE.log_silence_level) + looks * math.exp(RULE.log_returning_level)
    assert 2 * RULE.trend_level + silences == pytest.approx(RULE.level)


def test_rising_and_fading_must_be_sure_and_agree_with_the_trend():
    late, early = hits("00010010110111011111"), hits("11111011101101001000")
    assert found(late, trend=0.1) == ["rising"]
    assert found(early, trend=-0.1) == ["fading"]
    assert found(late, trend=-0.1) == found(late, trend=0.0) == ["stable"]
    assert found(late, trend=0.009) == ["stable"]
    assert found(hits("01" * 10), trend=0.1) == ["stable"]
    assert found(hits("0" * 5 + "1" * 3, "0" * 6 + "1" * 3), trend=0.1) == ["rising", "rising"]  # 1 / C(8, 3) = 0.018
    assert found(hits("0" * 4 + "1" * 3), trend=0.1) == ["stable"]  # 1 / C(7, 3) = 0.029 against 0.42 * 0.05 = 0.021


def test_what_moved_long_ago_and_stayed_is_stable():
    """From a fifth to seven tenths of the visits 100 days ago, 84 days count: found no more often than chance does."""
    rng = np.random.default_rng(6)
    about = rng.random((500, 150)) < np.where(np.arange(150) < 100, 0.2, 0.7)
    users = hits(*("".join(row) for row in np.where(about, "1", "0")))
    assert np.mean([name == "rising" for name in found(users, trend=0.02)]) <= 0.03
    far_back = StatusRule(trend_days=365.0)
    assert np.mean([name == "rising" for name in found(users, trend=0.02, rule=far_back)]) >= 0.99


def test_a_slow_decline_that_ends_silent_is_fading_not_gone():
    slow = hits("1111111111110100110000000000", days_apart=2.5)
    end = hits("1" * 12 + "0" * 9, days_apart=2.5)
    assert status.gone(slow, AT_DAY, RULE).all() and status.gone(end, AT_DAY, RULE).all()
    assert found(slow, trend=-0.1) == ["fading"]
    assert found(end, trend=-0.1) == ["gone"]
    assert found(slow, trend=0.0) == ["gone"]  # where no trend is sure there is no slow move to set against it


def test_only_the_last_visits_say_whether_a_move_was_slow():
    """Nothing for 280 days, the topic for 60, nothing for 20: over a year a slow rise is the better account."""
    year, one, gone = hits("0" * 140 + "1" * 30 + "0" * 10), np.array([0]), np.array([status.GONE])
    assert not status.silence_is_better(year, one, gone, RULE)
    assert status.silence_is_better(latest(year, AT_DAY - RULE.trend_days), one, gone, RULE)
    assert found(year, trend=-0.1) == ["gone"]


def test_pairs_without_hits_and_no_pairs_at_all():
    assert found(hits("0000", "0", "")) == ["stable"] * 3
    assert not status.sudden(hits("0000", "1111", "0"), AT_DAY, RULE).any()
    assert found(hits()) == []
    assert len(status.sudden(hits(), AT_DAY, RULE)) == 0


def test_a_step_is_sudden_only_while_it_is_recent():
    users = hits("0" * 30 + "1" * 10, "0" * 30 + "1" * 20, "1" * 30 + "0" * 10, "01" * 20)
    assert status.sudden(users, AT_DAY, RULE).tolist() == [True, False, True, False]


@pytest.mark.parametrize("n_visits", [20, 50, 200])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_scan_holds_its_level(n_visits, share):
    """Steps of any age (no slow move is excluded then): false alarms of 2,000 constant users at the level or below."""
    rng = np.random.default_rng(5)
    users = hits(*("".join(row) for row in np.where(rng.random((2000, n_visits)) < share, "1", "0")))
    alarms = status.sudden(users, AT_DAY, StatusRule(sudden_level=0.05, sudden_days=np.inf)).mean()
    assert 0.005 <= alarms <= 0.06


def judged(planted):
    """(n,) status and sudden of each user's planted topic; a topic the user never touched is stable."""
    now = states(planted.histories, planted.membership, planted.prior, AT_DAY, StateSettings())
    names, sudden = np.full(len(planted.moves), "stable", dtype=object), np.zeros(len(planted.moves), dtype=bool)
    own = now.topics == planted.planted[now.users]
    names[now.users[own]] = np.array(STATUSES)[now.status[own]]
    sudden[now.users[own]] = now.sudden[own]
    return names, sudden


@pytest.fixture(scope="module")
def planted_world():
    planted = world(2000, seed=7)
    return planted, *judged(planted)


def right(planted, names, move: str) -> float:
    return np.isin(names[planted.moves == move], list(RIGHT[move])).mean()


@pytest.mark.parametrize("move", MOVES)
def test_planted_moves_are_found(planted_world, move):
    planted, names, _ = planted_world
    assert right(planted, names, move) >= 0.95


def test_planted_steps_are_sudden_and_constant_or_growing_interests_are_not(planted_world):
    planted, _, sudden = planted_world
    assert sudden[planted.moves == "sudden"].mean() >= 0.95
    assert sudden[planted.moves == "new"].mean() >= 0.95
    assert sudden[planted.moves == "constant"].mean() <= 0.05
    assert sudden[planted.moves == "growing"].mean() <= 0.10


def test_false_alarms_of_constant_topics_stay_at_the_level():
    """All topics of 1,500 constant users count, planted and background."""
    planted = world(1500, seed=8, moves=("constant",))
    now = states(planted.histories, planted.membership, planted.prior, AT_DAY, StateSettings())
    assert 0.005 <= (now.status != status.STABLE).mean() <= 0.05
    assert now.sudden.mean() <= 0.05


def test_moves_of_users_with_few_events_are_found_in_most_and_seldom_taken_for_their_opposite():
    """20 to 29 events, the hardest: what can be told from so few."""
    planted = world(1000, seed=9, events=(20, 29))
    names, _ = judged(planted)
    floors = {"growing": 0.9, "fading": 0.82, "returning": 0.77, "gone": 0.88, "sudden": 0.93, "new": 0.9}
    assert {move: floor for move, floor in floors.items() if right(planted, names, move) < floor} == {}
    assert right(planted, names, "constant") >= 0.95
    assert not np.isin(names[planted.moves == "growing"], ["fading", "gone"]).any()
    assert not np.isin(names[planted.moves == "fading"], ["rising", "new"]).any()


def test_a_gap_of_exactly_the_permitted_length_ends_no_visit():
    """Of whole minutes as days since 1970, a third of gaps of 30 minutes is longer than half an hour by rounding."""
    days = [20_000 + k * 30 / 1_440 for k in range(200)]
    known = histories({"a": [(0, day) for day in days]})
    touches = touches_of(known, sp.identity(1, np.float32, "csr"))
    visits = visits_of(known, touches, np.ones(200), 0.5)
    assert visits.indptr.tolist() == [0, 1]
    assert visits_of(known, touches, np.ones(200), 0.49).indptr.tolist() == [0, 200]
