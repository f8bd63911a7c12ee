import numpy as np
import pytest

from interest_model.recommend import weights
from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS
from tests.recommend.worlds import checkerboard, fitted

EVEN = np.ones(len(MEMBERS)) / len(MEMBERS)


def tuning(good: str, n_nights: int = 40, n_candidates: int = 30, seed: int = 0) -> weights.TuningSet:
    """User-nights where one hit stands among random scores; the personal member `good` always puts it first."""
    rng = np.random.default_rng(seed)
    shape = (n_nights, n_candidates)
    hits = np.zeros(shape, dtype=bool)
    hits[np.arange(n_nights), rng.integers(0, n_candidates, n_nights)] = True
    personal = rng.random((*shape, len(PERSONAL_MEMBERS))).astype(np.float32)
    knows = PERSONAL_MEMBERS.index(good)
    personal[..., knows] = np.where(hits, 1.0, 0.3 * personal[..., knows])
    popularity = rng.random((*shape, 3)).astype(np.float32)
    ones = np.ones(n_nights, dtype=np.int64)
    none = np.zeros(shape, dtype=bool)
    pairs = np.zeros((*shape, 0), np.float32)
    nights = np.arange(n_nights, dtype=np.float64)
    youth = np.ones(shape, np.float32)
    return weights.TuningSet(nights, popularity, youth, personal, pairs, hits, none, ~none, ones, ones)


def test_the_member_that_knows_gets_the_weight():
    learned = weights.learn(tuning(good="ease"), EVEN[None], 0.05, repeats=True)
    assert MEMBERS[int(np.argmax(learned.weights_novel))] == "ease"
    judge = weights.Judge(tuning(good="ease", seed=1), repeats=False)
    features = weights.member_features(tuning(good="ease", seed=1), learned.half_lives) / learned.scales
    equal, found = judge.values(features @ EVEN).mean(), judge.values(features @ learned.weights_novel).mean()
    assert found > equal + 0.1


def test_strong_shrinkage_keeps_the_prior():
    learned = weights.learn(tuning(good="ease"), EVEN[None], 1e6, repeats=True)
    assert learned.weights_repeat == pytest.approx(EVEN)


def test_without_any_user_night_the_prior_stands():
    empty = weights.TuningSet(*(array[:0] for array in tuning(good="transitions")))
    learned = weights.learn(empty, EVEN[None], 0.1, repeats=True)
    assert learned.weights_repeat == pytest.approx(EVEN)
    assert learned.scales.tolist() == [1.0] * len(MEMBERS)


def test_the_prior_that_leads_further_is_followed():
    blind, knowing = EVEN.copy(), EVEN.copy()
    blind[MEMBERS.index("ease")], knowing[MEMBERS.index("ease")] = 1e-6, 5.0
    for priors in ([blind, knowing], [knowing, blind]):
        learned = weights.learn(tuning(good="ease"), np.array(priors), 1e6, repeats=False)
        assert learned.weights_novel[MEMBERS.index("ease")] > 0.5


def test_own_items_get_no_weight_where_they_are_left_out():
    learned = weights.learn(tuning(good="own"), EVEN[None], 0.05, repeats=True)
    assert learned.weights_novel[[MEMBERS.index("own"), MEMBERS.index("own_recent")]].tolist() == [0.0, 0.0]
    assert MEMBERS[int(np.argmax(learned.weights_repeat))] == "own"


def test_the_half_life_whose_list_is_best_is_chosen():
    given = tuning(good="transitions")
    given.popularity[..., 1] = np.where(given.hits, 1.0, 0.5 * given.popularity[..., 1])
    assert weights.learn(given, EVEN[None], 0.1, repeats=False).half_lives.tolist() == [1, 0, 2]


def test_judge_by_hand():
    """Hit at rank 2, one of two wanted items: (1 / log2 3) / (1 + 1 / log2 3); a seen candidate is no rival."""
    one = weights.TuningSet(
        nights=np.zeros(1),
        pairs=np.zeros((1, 4, 0), np.float32),
        popularity=np.zeros((1, 4, 1), np.float32),
        youth=np.zeros((1, 4), np.float32),
        personal=np.zeros((1, 4, 6), np.float32),
        hits=np.array([[False, True, False, False]]),
        seen=np.array([[False, False, True, False]]),
        real=np.array([[True, True, True, False]]),
        n_novel=np.array([2]),
        n_repeat=np.array([2]),
    )
    scores = np.array([[3.0, 2.0, 9.0, 9.0]])
    gain = 1 / np.log2(3)
    assert weights.Judge(one, repeats=False).values(scores) == pytest.approx([gain / (1 + gain)])
    assert weights.Judge(one, repeats=True).values(scores) == pytest.approx([0.5 / (1 + gain)])


def test_ties_stand_at_mid_rank():
    given = tuning(good="transitions", n_nights=1, n_candidates=3)
    assert weights.Judge(given, repeats=True).values(np.ones((1, 3))) == pytest.approx([1 / np.log2(3)])


def test_a_night_learns_the_planted_world_and_repeats_itself():
    world = checkerboard()
    one, other = (fitted(world, 40, 40.0, neighbours=20, ease_l2=5.0) for _ in range(2))
    assert one.weights_novel.tolist() == other.weights_novel.tolist()
    collaborative = [MEMBERS.index(name) for name in ("transitions", "lift", "ease")]
    assert one.weights_novel[collaborative].sum() > 0.25
