import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from interest_model.recommend import scoring, sparse_scores
from interest_model.recommend.blend import MEMBERS, Model
from interest_model.recommend.context import context_at
from interest_model.recommend.histories import take
from interest_model.recommend.relisting import NO_DIVERSITY, Diversity
from tests.recommend.worlds import checkerboard, fitted, histories

ALL_OF_IT = Diversity("msd", 9.0, 20)


@pytest.fixture(scope="module")
def board():
    """A planted world, its model at day 40, and the histories."""
    world = checkerboard()
    return world, fitted(world, 40, 40.0, neighbours=20, ease_l2=5.0, factor_dimensions=4, lessons=0)


def only(model: Model, member: str) -> Model:
    weights = np.array([float(name == member) for name in MEMBERS])
    return dataclasses.replace(model, weights_novel=weights, weights_repeat=weights)


@pytest.mark.parametrize("member", ["transitions", "lift", "ease", "factors"])
def test_a_collaborative_member_finds_the_planted_half(board, member):
    world, model = board
    lists = scoring.recommend(world, only(model, member), 40.0, 8, repeats=False)
    assert len(lists.items) == 60 * 8
    assert ((lists.items % 2) == (lists.users % 2)).mean() > 0.99


def test_the_blend_finds_the_planted_half(board):
    world, model = board
    lists = scoring.recommend(world, model, 40.0, 5, repeats=False)
    assert ((lists.items % 2) == (lists.users % 2)).mean() > 0.9


def test_content_finds_items_nobody_consumed_yet():
    """Items 40 and 41 are new: one consumption each by a stranger. Only their texts say whom they suit."""
    world = checkerboard()
    late = histories({"stranger": [(40, 39.5), (41, 39.6)]})
    whole = world._replace(
        user_ids=np.append(world.user_ids, late.user_ids),
        indptr=np.append(world.indptr, world.indptr[-1] + 2),
        items=np.append(world.items, late.items),
        days=np.append(world.days, late.days),
        weights=np.append(world.weights, late.weights),
    )
    vectors = np.zeros((42, 4), np.float32)
    vectors[np.arange(42), np.arange(42) % 2] = 1.0
    model = only(fitted(whole, 42, 40.0, vectors=vectors), "content")
    scores = context_at(take(whole, np.arange(60)), model, 40.0).members["content"].toarray()
    assert (scores[0::2, 40] > 0.99).all() and (scores[0::2, 41] == 0).all()
    assert (scores[1::2, 41] > 0.99).all() and (scores[1::2, 40] == 0).all()


def test_consumed_items_are_left_out_unless_people_repeat(board):
    world, model = board
    consumed = set(zip(world.rows.tolist(), world.items.tolist(), strict=True))
    novel = scoring.recommend(world, model, 40.0, 40, repeats=False)
    assert not consumed & set(zip(novel.users.tolist(), novel.items.tolist(), strict=True))
    again = scoring.recommend(world, only(model, "own"), 40.0, 5, repeats=True)
    assert set(zip(again.users.tolist(), again.items.tolist(), strict=True)) <= consumed


def test_who_has_had_everything_gets_a_list_all_the_same(board):
    _, model = board
    world = histories({"all": [(item, 30.0 + item / 100) for item in range(40)], "one": [(3, 30.0)]})
    found = scoring.recommend(world, model, 40.0, 5, repeats=False)
    assert np.bincount(found.users).tolist() == [5, 5] and np.isfinite(found.scores).all()
    assert 3 not in found.items[found.users == 1]


def test_consumed_items_beyond_the_history_length_are_left_out_too(board):
    world, model = board
    short = dataclasses.replace(model, history_length=np.array(2))
    consumed = set(zip(world.rows.tolist(), world.items.tolist(), strict=True))
    novel = scoring.recommend(world, short, 40.0, 40, repeats=False)
    assert not consumed & set(zip(novel.users.tolist(), novel.items.tolist(), strict=True))


def test_one_user_alone_gets_the_same_list_as_in_a_batch(board):
    world, model = board
    whole = scoring.recommend(world, model, 40.0, 10, repeats=False)
    for user in (0, 31, 59):
        one = scoring.recommend(take(world, np.array([user])), model, 40.0, 10, repeats=False)
        rows = whole.users == user
        assert one.items.tolist() == whole.items[rows].tolist()
        assert one.scores == pytest.approx(whole.scores[rows], rel=1e-5)
        assert one.origins.tolist() == whole.origins[rows].tolist()


def test_ranks_start_at_one_and_scores_never_rise(board):
    world, model = board
    lists = scoring.recommend(world, model, 40.0, 10, repeats=False)
    for user in range(60):
        rows = lists.users == user
        assert lists.ranks[rows].tolist() == list(range(1, rows.sum() + 1))
        assert (np.diff(lists.scores[rows]) <= 0).all()


def test_evidence_is_an_own_item_and_the_day_it_was_consumed(board):
    world, model = board
    lists = scoring.recommend(world, only(model, "transitions"), 40.0, 5, repeats=False)
    assert (lists.because[:, 0] >= 0).all()
    for user, item, day in zip(lists.users, lists.because[:, 0], lists.because_days[:, 0], strict=True):
        own = slice(world.indptr[user], world.indptr[user + 1])
        assert (item, day) in set(zip(world.items[own].tolist(), world.days[own].tolist(), strict=True))


def test_popular_rows_have_no_evidence(board):
    world, model = board
    lists = scoring.recommend(world, only(model, "popularity"), 40.0, 5, repeats=False)
    assert (lists.origins == MEMBERS.index("popularity")).all()
    assert (lists.because == -1).all() and np.isnan(lists.because_days).all()


def test_where_nothing_was_ever_consumed_lists_are_empty():
    nobody = histories({"a": [], "b": []})
    model = fitted(nobody, 0, 5.0)
    assert len(scoring.recommend(nobody, model, 5.0, 10, repeats=False).items) == 0


def test_no_users_give_empty_lists(board):
    world, model = board
    assert len(scoring.recommend(take(world, np.array([], dtype=int)), model, 40.0, 5, repeats=False).items) == 0


def test_a_user_without_history_gets_the_popular_items(board):
    _, model = board
    lists = scoring.recommend(histories({"nobody": []}), only(model, "popularity"), 40.0, 5, repeats=False)
    assert lists.items.tolist() == scoring.fallback(model, 5)[0].tolist()


def test_fallback_scores_are_shares_of_all_items(board):
    items, shares = scoring.fallback(board[1], 5)
    assert len(items) == 5 and shares.sum() < 1 and (np.diff(shares) <= 0).all()
    assert scoring.fallback(board[1], 1_000)[1].sum() == pytest.approx(1.0)


def test_the_model_survives_its_arrays(board):
    world, model = board
    again = Model.from_arrays({name: array.copy() for name, array in model.to_arrays().items()})
    one, other = (scoring.recommend(world, m, 40.0, 10, repeats=True) for m in (model, again))
    assert one.items.tolist() == other.items.tolist() and one.scores.tolist() == other.scores.tolist()
    assert all(array.dtype != object for array in model.to_arrays().values())


cells = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]), min_size=6, max_size=6), min_size=1, max_size=4)


@given(cells, st.integers(1, 7))
def test_top_is_a_stable_sort_of_each_row(rows, length):
    rows_found, ranks, columns, scores = sparse_scores.top(sp.csr_matrix(np.array(rows)), length)
    for number, row in enumerate(rows):
        expected = sorted((c for c in range(6) if row[c]), key=lambda c: (-row[c], c))[:length]
        here = rows_found == number
        assert columns[here].tolist() == expected
        assert ranks[here].tolist() == list(range(1, len(expected) + 1))
        assert scores[here].tolist() == [row[c] for c in expected]


def test_without_topics_the_texts_of_a_history_say_how_much_diversity_it_gets():
    """Two kinds of texts: who took one keeps the order, who took both gets a list in which they take turns."""
    vectors = np.zeros((40, 4), np.float32)
    vectors[np.arange(40), np.arange(40) % 2] = 1.0
    world = checkerboard()
    model = fitted(world, 40, 40.0, vectors=vectors)
    both = histories({"narrow": [(0, 30.0), (2, 31.0), (4, 32.0)], "broad": [(0, 30.0), (1, 31.0), (2, 32.0)]})
    plain, wide = (scoring.recommend(both, model, 40.0, 10, False, one) for one in (NO_DIVERSITY, ALL_OF_IT))
    of_user = [[found.items[found.users == user] for found in (plain, wide)] for user in (0, 1)]
    assert np.array_equal(*of_user[0])
    before, after = of_user[1]
    assert not np.array_equal(before, after)
    assert np.abs(np.diff(after % 2)).sum() > np.abs(np.diff(before % 2)).sum()
