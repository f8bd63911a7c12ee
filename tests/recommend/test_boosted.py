import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from interest_model.errors import ConfigError
from interest_model.recommend import boosted, fit, scoring
from interest_model.recommend.blend import BLEND_ALONE, MEMBERS, Mixture, Model
from interest_model.recommend.candidates import Past
from interest_model.recommend.context import context_at
from interest_model.recommend.features import TREE_FEATURES
from interest_model.recommend.sparse_scores import lookup
from tests.recommend.worlds import checkerboard, counts_of, fitted, histories, ranker_settings

SETTINGS = ranker_settings(boosting_leaf_hits=2, boosting_rounds=30)


def finite(low: float, high: float):
    return st.floats(low, high, allow_nan=False)


def lessons(n: int = 2_000, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that are taken where the second feature is above one half and the third is not."""
    values = np.random.default_rng(seed).random((n, len(TREE_FEATURES))).astype(np.float32)
    return values, (values[:, 1] > 0.5) & (values[:, 2] <= 0.5)


def test_trees_find_what_goes_together():
    values, hits = lessons()
    fresh, truth = lessons(seed=5)
    chances = boosted.chances(boosted.fit(values, hits, SETTINGS), fresh, np.arange(len(fresh)))
    assert ((chances > 0.5) == truth).mean() > 0.97
    assert (chances >= 0).all() and (chances <= 1).all()


def test_trees_do_not_read_what_they_must_not():
    values, hits = lessons()
    without = ranker_settings(boosting_leaf_hits=2, boosting_rounds=30, boosting_without=f"[{TREE_FEATURES[1]}]")
    used = [boosted._forests(boosted.fit(values, hits, one).tobytes()) for one in (SETTINGS, without)]
    splits = [np.sum([forest.feature_importance("split") for forest in one], axis=0) for one in used]
    assert splits[0][1] > 0 and splits[1][1] == 0 and splits[1][2] > 0
    with pytest.raises(ConfigError, match="no_such_feature.*\n?.*known are: .*age_days"):
        boosted.fit(values, hits, ranker_settings(boosting_without="[no_such_feature]"))


def test_forests_differ_and_speak_by_the_mean_of_their_log_odds():
    values, hits = lessons()
    one, three = (boosted.fit(values, hits, dataclasses.replace(SETTINGS, boosting_forests=n)) for n in (1, 3))
    odds = [forest.predict(values, raw_score=True) for forest in boosted._forests(three.tobytes())]
    assert len(odds) == 3 and not np.array_equal(odds[0], odds[1])
    users = np.arange(len(values)) // 20  # so few candidates each that every forest is asked about all
    assert boosted.chances(three, values, users) == pytest.approx(1 / (1 + np.exp(-np.mean(odds, axis=0))))
    assert boosted.chances(one, values, users) == pytest.approx(1 / (1 + np.exp(-odds[0])))


def test_further_forests_are_asked_about_the_best_by_the_first():
    """Two users with 100 and 40 candidates: all forests speak of 30 of each, the first alone of the others."""
    values, hits = lessons()
    three = boosted.fit(values, hits, dataclasses.replace(SETTINGS, boosting_forests=3))
    users, asked = np.repeat([4, 9], [100, 40]), values[:140]
    first, *others = (forest.predict(asked, raw_score=True) for forest in boosted._forests(three.tobytes()))
    found = boosted.chances(three, asked, users)
    together = np.mean([first, *others], axis=0)
    assert not np.isclose(first, together).any()
    of_all = np.isclose(found, 1 / (1 + np.exp(-together)))
    assert np.isclose(found[~of_all], 1 / (1 + np.exp(-first[~of_all]))).all()
    for user in (4, 9):
        mine, bar = users == user, np.sort(first[users == user])[-30]
        assert of_all[mine].tolist() == (first[mine] >= bar).tolist()


def test_the_misses_that_are_drawn_count_for_those_left_out():
    """1,000 hits among 11,000 rows: a fifth of the misses is drawn, 2 a hit, and each stands for 5 rows."""
    hits = np.arange(11_000) % 11 == 0
    kept, weights = boosted._drawn(hits, 0.2, 3)
    assert hits[kept].sum() == 1_000 and (weights[hits[kept]] == 1).all()
    assert len(kept) == pytest.approx(3_000, abs=150) and weights[~hits[kept]] == pytest.approx(5.0)
    others, _ = boosted._drawn(hits, 0.2, 4)
    assert not np.array_equal(kept, others)
    everything, ones = boosted._drawn(hits, 1.0, 3)
    assert np.array_equal(everything, np.arange(11_000)) and (ones == 1).all()


def test_rows_are_read_once_where_nothing_is_drawn_and_anew_for_each_forest_where_something_is(monkeypatch):
    """2,000 rows, one hit in four: three misses a hit are all of them, two are not."""
    values, _ = lessons()
    asked = []
    draw = boosted._drawn
    monkeypatch.setattr(boosted, "_drawn", lambda *given: asked.append(given[1:]) or draw(*given))
    for misses, expected in ((2.0, [2 / 3] * 3), (20.0, [1.0])):
        asked.clear()
        boosted.fit(values, np.arange(2_000) % 4 == 0, dataclasses.replace(SETTINGS, boosting_misses=misses))
        assert [share for share, _ in asked] == pytest.approx(expected)
        assert len({seed for _, seed in asked}) == len(expected)


def test_chances_stay_chances_where_few_misses_are_drawn():
    """Rows are hits once in 20, whatever is read, and three misses of 19 are drawn for each."""
    values = np.random.default_rng(6).random((40_000, len(TREE_FEATURES))).astype(np.float32)
    few = dataclasses.replace(SETTINGS, boosting_misses=3.0, boosting_rounds=5, boosting_leaf_hits=100)
    trees = boosted.fit(values, np.arange(40_000) % 20 == 0, few)
    assert boosted.chances(trees, values, np.arange(40_000)).mean() == pytest.approx(0.05, rel=0.05)


def test_same_lessons_same_trees():
    one, other = (boosted.fit(*lessons(), SETTINGS) for _ in range(2))
    assert np.array_equal(one, other)


def test_without_both_kinds_of_rows_there_are_no_trees():
    values, _ = lessons(50)
    for hits in (np.zeros(50, bool), np.ones(50, bool)):
        assert len(boosted.fit(values, hits, SETTINGS)) == 0
    assert boosted.chances(boosted.NO_TREES, values, np.arange(50)).tolist() == [0.0] * 50


def clockwork(n_users: int = 80, days: int = 90):
    """Every user takes one item of their own every 5th day, and a random one on the days between: only the rhythm says
    that the own one is due. Users differ in the day it falls on."""
    rng = np.random.default_rng(8)
    users = {}
    for user in range(n_users):
        events = [(user % 20 if (day + user) % 5 == 0 else int(rng.integers(20, 60)), day + 0.5) for day in range(days)]
        users[f"user{user:02d}"] = events
    return histories(users)


def past_of(world) -> Past:
    first = np.full(60, np.inf)
    np.minimum.at(first, world.items, world.days)
    return Past(counts_of(world, 90.0), first)


@pytest.fixture(scope="module")
def rhythm():
    world = clockwork()
    changes = {"boosting_leaf_hits": 2, "lesson_min_users": 50, "lesson_days": 1, "lessons": 10, "tuning_days": 5}
    return world, fitted(world, 60, 90.0, repeats=True, **changes)


def test_the_trees_know_when_an_item_is_due(rhythm):
    """The blend cannot: the own item is the first in it on every day."""
    world, model = rhythm
    assert model.mixture(repeats=True).share > 0
    found = scoring.best_candidates(context_at(world, model, 90.0), model, 10, repeats=True)
    own, due = found.items == found.users % 20, (90 + found.users) % 5 == 0
    assert own.sum() == 80 and found.chances[own & due].min() > 10 * found.chances[own & ~due].max()
    assert (scoring.mixed(found, model.mixture(True)._replace(share=np.array(0.0)))[1][own] == 1).all()
    by_trees = dataclasses.replace(model, mixture_repeat=model.mixture(True)._replace(share=np.array(1.0)))
    lists = scoring.recommend(world, by_trees, 90.0, 1, repeats=True)
    users = np.arange(80)
    first, due = lists.items[np.searchsorted(lists.users, users)] == users % 20, (90 + users) % 5 == 0
    assert first[due].mean() > first[~due].mean() + 0.3


def test_trees_survive_the_model_arrays(rhythm):
    world, model = rhythm
    again = Model.from_arrays({name: array.copy() for name, array in model.to_arrays().items()})
    one, other = (scoring.recommend(world, each, 90.0, 10, repeats=True) for each in (model, again))
    assert np.array_equal(one.items, other.items) and np.array_equal(one.scores, other.scores)


def test_shares_of_nothing_and_of_all_are_the_blend_and_the_trees(rhythm):
    world, model = rhythm
    context = context_at(world, model, 90.0)
    found = scoring.best_candidates(context, model, 10, repeats=True)
    blend = scoring.blended(context.members, model, model.weights(True))
    mixture = model.mixture(True)
    shares = {share: mixture._replace(share=np.array(share)) for share in (0.0, 0.5, 1.0)}
    users, ranks, items, scores = scoring.mixed(found, shares[0.0])
    assert scores == pytest.approx(lookup(blend, users, items), abs=1e-7)
    assert np.array_equal(items, found.items) and ranks[users == 0].tolist() == list(range(1, (users == 0).sum() + 1))
    chances = sp.csr_matrix((found.chances, (found.users, found.items)), blend.shape)
    users, _, items, scores = scoring.mixed(found, shares[1.0])
    given = lookup(chances, users, items)
    scored = given > 0
    assert scores[scored] == pytest.approx(given[scored], abs=1e-6) and scored.mean() > 0.9
    half = np.sqrt(lookup(blend, users, items) * given)
    mixed = scoring.mixed(found, shares[0.5])
    best = sp.csr_matrix((mixed[3], mixed[::2]), blend.shape)
    assert lookup(best, users, items)[scored] == pytest.approx(half[scored], abs=1e-6)
    without_trees = dataclasses.replace(model, mixture_repeat=BLEND_ALONE)
    assert not scoring.best_candidates(context, without_trees, 10, repeats=True).chances.any()


def test_what_the_trees_did_not_score_stays_below_what_they_did(rhythm, monkeypatch):
    world, model = rhythm
    monkeypatch.setattr(scoring, "_RESCORED", 5)
    context = context_at(world, model, 90.0)
    found = scoring.best_candidates(context, model, 12, repeats=True)
    scored = set(zip(found.users[found.chances > 0].tolist(), found.items[found.chances > 0].tolist(), strict=True))
    assert np.bincount([user for user, _ in scored]).max() == 5
    users, ranks, items, _ = scoring.mixed(found, model.mixture(True)._replace(share=np.array(0.5)))
    below = [rank for user, rank, item in zip(users, ranks, items, strict=True) if (user, item) not in scored]
    assert min(below) == 6


@given(
    st.lists(st.lists(st.tuples(finite(-0.1, 4.0), finite(1e-3, 1.0)), max_size=8), max_size=3),
    st.integers(0, 8),
    finite(0.01, 1.0),
)
def test_what_the_trees_did_not_score_keeps_its_order_below_what_they_did(users, scored, share):
    """users: of each the candidates' (blend, chance); the trees scored so many of the best."""
    of_user = [sorted(one, reverse=True) for one in users]
    rows = [
        (user, blend, chance if place < scored else 0.0)
        for user, candidates in enumerate(of_user)
        for place, (blend, chance) in enumerate(candidates)
    ]
    whose, blend, chances = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
    found = scoring.Candidates(whose.astype(int), np.arange(len(rows)), blend, chances)
    _, ranks, items, scores = scoring.mixed(found, Mixture(np.zeros(1, np.uint8), np.array(share)))
    assert np.isfinite(scores).all() and sorted(items.tolist()) == list(range(len(rows)))
    below = chances[items] == 0
    assert (ranks[below] > scored).all()
    assert (np.diff(np.round(blend[items][below], 6))[np.diff(whose[items][below]) == 0] <= 1e-5).all()


def test_hand_worked_pool():
    """0.04 ** 0.5 * 0.25 ** 0.5 = 0.1, 0.01 ** 0.5 * 0.64 ** 0.5 = 0.08, at least 2.5 times the blend: 0.002 * 2.5."""
    found = scoring.Candidates(
        np.zeros(3, int), np.array([5, 6, 7]), np.array([0.04, 0.01, 0.002]), np.array([0.25, 0.64, 0.0])
    )
    users, ranks, items, scores = scoring.mixed(found, Mixture(np.zeros(1, np.uint8), np.array(0.5)))
    assert items.tolist() == [5, 6, 7] and scores == pytest.approx([0.1, 0.08, 0.005])


def test_few_user_windows_teach_nothing(rhythm):
    world, _ = rhythm
    few = {"boosting_leaf_hits": 2, "lesson_days": 1, "lessons": 2, "tuning_days": 5}
    model = fitted(world, 60, 90.0, repeats=True, lesson_min_users=100_000, **few)
    assert model.mixture(True) is BLEND_ALONE and model.mixture(False) is BLEND_ALONE


def test_a_log_of_few_days_has_no_lessons():
    young = fitted(histories({"a": [(0, 1.0), (1, 2.0)], "b": [(1, 3.0)]}), 2, 4.0)
    assert not len(young.mixture(False).trees) and young.mixture(False).share == 0.0
    assert young.weights(False)[MEMBERS.index("popularity")] > 0
    settings = ranker_settings()
    assert fit.first_lesson(100.0, settings) == 100.0 - settings.tuning_days - settings.lessons * settings.lesson_days


@pytest.mark.parametrize(
    ("age", "tuning", "lesson", "warm_up"), [(56, 14, 7, 14), (28, 7, 3, 7), (9, 2, 1, 2.25), (0, 1, 1, 0)]
)
def test_a_young_log_learns_from_shorter_windows(age, tuning, lesson, warm_up):
    of_age = ranker_settings(tuning_days=14, lessons=4, lesson_days=7, lesson_warm_up_days=14).of_age(age)
    assert (of_age.tuning_days, of_age.lesson_days, of_age.lesson_warm_up_days) == (tuning, lesson, warm_up)


def test_trees_learn_on_a_log_of_a_month_and_not_where_no_lessons_are_wanted():
    world, few = checkerboard(n_items=120, days=30), {"lesson_min_users": 20, "boosting_leaf_hits": 1}
    assert len(fitted(world, 120, 30.0, **few).mixture(False).trees)
    assert fitted(world, 120, 30.0, lessons=0, **few).mixture(False) is BLEND_ALONE


def test_lessons_end_before_the_night_and_follow_each_other(rhythm):
    _, model = rhythm
    settings = ranker_settings(lessons=2, lesson_days=7, tuning_days=14)
    nights = fit.lesson_nights(model, past_of(clockwork()), 100.0, settings)
    assert [night.at_day for night in nights] == [72.0, 79.0, 86.0, 93.0]
    assert all(night.at_day + night.horizon_days <= 100.0 for night in nights)


def test_leaves_hold_hits_not_rows():
    """A feature that marks the only five hits of 5,000 rows: no leaf may single them out, for that is chance."""
    values = np.random.default_rng(1).random((5_000, len(TREE_FEATURES))).astype(np.float32)
    hits = np.arange(5_000) < 5
    values[:200, 3] += 1.0  # 200 rows, all hits among them: enough rows for a leaf, too few hits
    users = np.arange(len(values))
    few = boosted.chances(boosted.fit(values, hits, ranker_settings(boosting_leaf_hits=10)), values, users)
    assert few.max() == pytest.approx(few.min())
    many = boosted.chances(boosted.fit(values, hits, ranker_settings(boosting_leaf_hits=0.1)), values, users)
    assert many[:200].mean() > 5 * many[200:].mean()
