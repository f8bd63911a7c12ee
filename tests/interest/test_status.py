import numpy as np
import pytest

from interest_model.interest import status
from interest_model.interest.hits import Hits
from interest_model.interest.states_of_users import StateSettings, states
from interest_model.interest.status import STATUSES, StatusRule
from tests.interest.planted import AT_DAY, MOVES, world
from tests.interest.words import hits

RULE = StatusRule()
RIGHT = {
    "growing": {"rising"}, "fading": {"fading"}, "returning": {"returning"}, "gone": {"gone"}, "new": {"new"},
    "sudden": {"rising", "new"}, "constant": {"stable"},
}  # fmt: skip


def found(users: Hits, trend: float = 0.0, trend_se: float = 0.1, rule: StatusRule = RULE) -> list[str]:
    n = len(users.users)
    codes = status.statuses(users, np.full(n, trend), np.full(n, trend_se), AT_DAY, rule)
    return [STATUSES[code] for code in codes]


def test_gone_by_hand():
    # 3 hits, then 6 or 8 silent visits: 1 / C(9, 3) = 0.0119 and 1 / C(11, 3) = 0.0061 against 0.05 / 6 = 0.0083
    assert found(hits("111000000", "11100000000", days_apart=3.0)) == ["stable", "gone"]


def test_gone_looks_back_no_further_than_the_silence_is_long():
    # 8 silent visits; of the 8 before them 2 hits: C(8, 2) / C(16, 2) = 0.23, whatever came earlier
    assert found(hits("1" * 30 + "01000001" + "0" * 8)) == ["stable"]
    assert found(hits("1" * 30 + "01101111" + "0" * 8)) == ["gone"]  # C(8, 6) / C(16, 6) = 0.0035


def test_silence_of_a_few_days_is_not_gone():
    assert found(hits("1" * 10 + "0" * 10, days_apart=1.0)) == ["stable"]


def test_new_by_hand():
    # the mirror image: 8 visits without, then 3 with, the first of them 6 days ago; 40 days ago is not new
    assert found(hits("000000111", "00000000111")) == ["stable", "new"]
    assert found(hits("00000000111", days_apart=14.0)) == ["stable"]


def test_returning_by_hand():
    # 3 hits, 9 or 10 silent: 1 / C(12, 3) = 0.0045 and 1 / C(13, 3) = 0.0035 against 0.05 / 6 / 2 = 0.0042
    assert found(hits("1110000000001", "11100000000001")) == ["stable", "returning"]
    assert found(hits("11100000000001" + "1" * 20)) == ["stable"]  # it came back 42 days ago
    assert found(hits("11100000000001", days_apart=1.0)) == ["stable"]  # away for 11 days


def test_order_of_precedence():
    came_and_went = hits("1111111" + "0" * 10 + "1" * 8 + "0" * 10, days_apart=1.4)
    assert status.returning(came_and_went, AT_DAY, RULE).all()
    assert found(came_and_went, trend=0.1, trend_se=0.01) == ["gone"]
    assert found(hits("1111111" + "0" * 10 + "1"), trend=0.1, trend_se=0.01) == ["returning"]
    assert found(hits("0" * 20 + "1" * 5), trend=0.1, trend_se=0.01) == ["new"]


def test_trends_must_be_sure_and_large():
    users = hits("01" * 10)
    assert found(users, trend=0.1, trend_se=0.01) == ["rising"]
    assert found(users, trend=-0.1, trend_se=0.01) == ["fading"]
    assert found(users, trend=0.1, trend_se=0.05) == ["stable"]  # 2 standard errors; 2.24 are asked for
    assert found(users, trend=0.009, trend_se=0.0001) == ["stable"]
    assert RULE.trend_z == pytest.approx(2.2414, abs=1e-4)


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
    planted = world(300, seed=7)
    return planted, *judged(planted)


@pytest.mark.parametrize("move", MOVES)
def test_planted_moves_are_found(planted_world, move):
    planted, names, _ = planted_world
    of_move = planted.moves == move
    assert np.isin(names[of_move], list(RIGHT[move])).mean() >= 0.95


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


def test_gradual_moves_with_few_events_are_seldom_taken_for_their_opposite():
    """With 20 to 39 events a gradual move is often not yet sure; it is found in most users and never reversed."""
    planted = world(300, seed=9, moves=("growing", "fading"), events=(20, 39))
    names, _ = judged(planted)
    growing = planted.moves == "growing"
    assert (names[growing] == "rising").mean() >= 0.75
    assert (names[~growing] == "fading").mean() >= 0.6
    assert not np.isin(names[growing], ["fading", "gone"]).any()
    assert not np.isin(names[~growing], ["rising", "new"]).any()
