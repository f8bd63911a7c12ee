import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from interest_model.recommend import features
from interest_model.recommend.blend import Collaborative
from interest_model.recommend.candidates import named
from interest_model.recommend.context import context_at
from interest_model.recommend.features import FEATURES
from interest_model.recommend.histories import between
from interest_model.recommend.popularity import ItemCounts
from tests.recommend.worlds import checkerboard, fitted, histories

WORLD = {"a": [(0, 1.2), (0, 1.4), (1, 3.0), (0, 9.0)], "b": [(1, 8.0)], "c": []}


@pytest.fixture(scope="module")
def pairs():
    """Features of every user and item of the small world at day 10, by name: (3, 3) arrays."""
    return pairs_of_the_world()


def pairs_of_the_world(**changes):
    known = histories(WORLD)
    model = dataclasses.replace(fitted(known, 3, 10.0), **changes)
    rows, columns = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    found = features.pair_features(context_at(known, model, 10.0), model, rows, columns)
    return dict(zip(FEATURES, found.T.reshape(len(FEATURES), 3, 3), strict=True))


def test_own_days_are_counted_once_however_many_events_fall_on_them(pairs):
    assert pairs["own_days"].tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert pairs["user_days"][:, 0].tolist() == [3, 1, 0]
    assert pairs["own_share"][0].tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def test_ages_and_gaps_by_hand(pairs):
    assert pairs["own_last_days"][0].tolist() == pytest.approx([np.log(2), np.log(8), -1])
    assert pairs["own_first_days"][0].tolist() == pytest.approx([np.log(1 + 8.8), np.log(8), -1])
    assert pairs["own_gaps"][0].tolist() == pytest.approx([1.0 / 7.8, -1, -1])  # last a day ago, 7.8 days between
    halved = 0.5 ** (np.array([8.8, 8.6, 1.0]) / 60)
    assert pairs["own_60_days"][0, 0] == pytest.approx(halved.sum())
    assert pairs["user_last_days"][:2, 0].tolist() == pytest.approx([np.log(2), np.log(3)])
    assert pairs["user_first_days"][:2, 0].tolist() == pytest.approx([np.log(9.8), np.log(3)])


def test_own_days_reach_back_further_than_the_history_that_finds_new_items(pairs):
    short = pairs_of_the_world(history_length=np.array(1))
    for name in ("own_days", "own_share", "own_last_days", "own_gaps", "user_days", "user_first_days"):
        assert short[name].tolist() == pairs[name].tolist(), name
    assert short["taste_age"][0, 0] == pytest.approx(np.log1p(7.8), abs=1e-5)  # of the latest event alone


def test_taste_is_the_mean_age_and_users_of_what_the_user_took(pairs):
    """Item 0 was first taken on day 1.2, by a alone; item 1 on day 3.0, by a and b."""
    faded = 0.5 ** (np.array([8.8, 8.6, 7.0, 1.0]) / 60)
    age = (faded * np.log1p([0.0, 0.2, 0.0, 7.8])).sum() / faded.sum()
    users = (faded * np.log1p([1, 1, 2, 1])).sum() / faded.sum()
    assert pairs["taste_age"][:, 0].tolist() == pytest.approx([age, np.log(6), 0], abs=1e-5)
    assert pairs["taste_users"][:, 0].tolist() == pytest.approx([users, np.log(3), 0], abs=1e-5)
    assert pairs["age_match"][0, :2].tolist() == pytest.approx([np.log(9.8) - age, np.log(8) - age], abs=1e-5)
    assert np.isnan([pairs[name] for name in ("price", "taste_price", "price_match")]).all()
    assert pairs["users_match"][1, :2].tolist() == pytest.approx([np.log(2) - np.log(3), 0], abs=1e-5)


def test_item_facts_read_only_what_was_before():
    days, sizes = np.array([1.0, 9.0, 2.0, 12.0]), np.array([1.0, 3.0, 2.0, 50.0])
    counts = ItemCounts(np.array([0, 0, 1, 1], np.int32), days, sizes)
    none = sp.csr_matrix((2, 2), dtype=np.float32)
    nothing = np.zeros(0, np.int32), np.zeros((0, 0), np.float32)
    learned = Collaborative(none, none, none, np.array([3.0, 2.0]), np.array([1.0, 0.0]), *nothing)
    facts = dict(
        zip(
            FEATURES,
            features.item_facts(counts, np.array([1.0, 2.0]), np.array([0.5, np.nan]), learned, 10.0).T,
            strict=False,
        )
    )
    weight = [1 * 0.5 ** (9 / 7) + 3 * 0.5 ** (1 / 7), 2 * 0.5 ** (8 / 7)]
    expected = np.log(np.array([1.0, weight[1] / weight[0]]) + 1e-6)
    assert facts["popularity_7_days"].tolist() == pytest.approx(expected, abs=1e-6)
    assert facts["silent_days"].tolist() == pytest.approx([np.log(2), np.log(9)])
    assert facts["age_days"].tolist() == pytest.approx([np.log(10), np.log(9)])
    assert facts["repeat_rate"].tolist() == pytest.approx([(1 + 0.4) / 5, 0.4 / 4])
    assert facts["price"][0] == 0.5 and np.isnan(facts["price"][1])
    assert facts["rise_month"][0] == pytest.approx(0.0, abs=1e-5) and facts["rise_month"][1] < 0


def test_repeaters_are_users_who_came_back_on_another_day():
    assert features.repeaters(histories(WORLD | {"c": [(1, 2.1), (1, 2.9)]}), 3).tolist() == [1, 0, 0]


def test_ranks_are_within_a_user_and_ties_share_the_best(pairs):
    rows = np.array([0, 0, 0, 1, 1])
    assert features.ranks_within(rows, np.array([0.2, 0.9, 0.2, 5.0, 7.0])).tolist() == [2, 1, 2, 2, 1]


def test_a_pair_is_the_same_in_any_batch():
    world = checkerboard()
    model = fitted(world, 40, 40.0)
    known = between(world, -np.inf, 40.0)
    context = context_at(known, model, 40.0)
    rows, columns = named(context.members, known, model)
    whole = features.pair_features(context, model, rows, columns)
    some = rows >= 30
    part = features.pair_features(context, model, rows[some], columns[some])
    assert np.array_equal(whole[some], part, equal_nan=True)


def test_nobody_and_nothing():
    nobody = histories({})
    model = fitted(histories(WORLD), 3, 10.0)
    none = np.zeros(0, dtype=np.int64)
    found = features.pair_features(context_at(nobody, model, 10.0), model, none, none)
    assert found.shape == (0, len(FEATURES))


def test_the_blend_is_read_with_its_rank_by_hand():
    pairs = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = features.with_blend(pairs, np.array([0, 0, 0, 1]), np.array([0.5, 2.0, 2.0, 0.0]))
    assert found[:, :2].tolist() == pairs.tolist()
    assert found[:, 2] == pytest.approx(np.log([0.5, 2.0, 2.0, 1e-6]))
    assert found[:, 3] == pytest.approx(np.log([3.0, 1.0, 1.0, 1.0]))
