"""Each personal member's scores by hand, and that a batch changes none of them."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from interest_model.interest.states_of_users import StateSettings
from interest_model.interest.status import StatusRule
from interest_model.interest.strength import EARTH_RADIUS_KM
from interest_model.recommend import evidence, member_scores
from interest_model.recommend.blend import MEMBERS, ItemTopics, Model
from interest_model.recommend.context import context_at
from interest_model.recommend.interests import interest_states, lifts, rule_numbers, rule_of
from interest_model.recommend.member_scores import content_scores, factor_scores, interest_scores, once, queries
from interest_model.recommend.members import nearby_weights
from tests.recommend.worlds import checkerboard, fitted, histories


def test_queries_halve_with_age_and_add_up():
    found = queries(histories({"a": [(1, 6.0), (0, 8.0), (1, 8.0)]}), 2, 10.0, 2.0).toarray()
    assert found.tolist() == [[0.5, 0.75]]


def test_an_item_taken_often_counts_once_by_its_last_time():
    found = once(histories({"a": [(1, 6.0), (0, 8.0), (1, 8.0), (1, 8.0)], "b": [(0, 10.0)]}), 2, 10.0, 2.0).toarray()
    assert found.tolist() == [[0.5, 0.5], [1.0, 0.0]]


def test_own_items_count_however_far_back_they_lie_and_are_named(board):
    """Of user a's four items the latest two are read by what finds other items; what a comes back to is all of them."""
    short = dataclasses.replace(board, history_length=np.array(2))
    context = context_at(histories({"a": [(0, 5.0), (2, 6.0), (4, 38.0), (6, 39.0)]}), short, 40.0)
    whole = context_at(context.histories, board, 40.0)
    assert context.members["own"].toarray()[0, [0, 2, 4, 6]].min() > 0
    assert (context.members["own"] != whole.members["own"]).nnz == 0
    for name in ("own_recent", "ease", "factors", "transitions"):
        assert (context.members[name] != whole.members[name]).nnz > 0, name
    rows = np.array([0]), np.array([2]), np.array([MEMBERS.index("own")])
    because, days = evidence.speaking_for(context, short, rows)
    assert because.tolist() == [[2, -1, -1]] and days[0, 0] == 6.0
    assert 0 not in evidence.speaking_for(context, short, (*rows[:2], np.array([MEMBERS.index("ease")])))[0]


def test_what_follows_from_a_user_long_away_is_what_followed_then(board):
    """Seven years are 180 half lives of a query: more than single precision holds."""
    known = histories({"a": [(0, 30.0), (2, 36.0), (4, 39.0)], "b": []})
    then, now = (context_at(known, board, moment).members for moment in (40.0, 2_600.0))
    for name in ("transitions", "lift"):
        assert then[name].nnz and (then[name] != now[name]).nnz == 0, name
    assert then["own_recent"].sum() > 1 > 1e-12 > now["own_recent"].sum()


def test_ease_and_factors_hear_a_rare_item_beside_one_taken_daily():
    """Who takes item 0 a hundred times and item 1, of the other half, once is of both halves."""
    model = fitted(checkerboard(), 40, 40.0, neighbours=20, ease_l2=5.0, factor_dimensions=4)
    torn = histories({"a": [(0, 39.0)] * 100 + [(1, 39.0)]})
    members = context_at(torn, model, 40.0).members
    for name in ("ease", "factors"):
        said = members[name].toarray()[0, 2:]
        assert said[1::2].sum() > 0.5 * said[0::2].sum() > 0, name


@pytest.fixture(scope="module")
def board():
    return fitted(checkerboard(), 40, 40.0, neighbours=20, ease_l2=5.0, factor_dimensions=4)


def test_dense_members_do_not_depend_on_the_batch_to_the_last_bit():
    rng = np.random.default_rng(5)
    world = histories({f"u{n}": [(int(rng.integers(0, 30)), float(k)) for k in range(6)] for n in range(700)})
    model = fitted(world, 30, 10.0)
    vectors = rng.normal(size=(30, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    model = dataclasses.replace(model, vectors=vectors, pool=np.arange(30, dtype=np.int32))
    share = queries(world, 30, 10.0, 14.0)
    whole = content_scores(share, model).toarray()
    assert np.allclose(whole, np.maximum((share @ vectors) @ vectors.T, 0.0), atol=1e-5)
    factors = factor_scores(share, model.collaborative).toarray()
    for some in ([0], [3, 511], range(513), range(500, 700)):
        assert content_scores(share[list(some)], model).toarray().tobytes() == whole[list(some)].tobytes()
        part = factor_scores(share[list(some)], model.collaborative).toarray()
        assert part.tobytes() == factors[list(some)].tobytes()


def test_what_own_items_add_to_the_factorisation_is_its_score(board):
    two = histories({"a": [(0, 30.0), (4, 35.0)], "b": [(1, 10.0), (3, 39.0)]})
    own = queries(two, 40, 40.0, 180.0)
    scores, weights = factor_scores(own, board.collaborative).toarray(), own.toarray()
    for user, item in ((0, 8), (1, 9)):
        mine = np.flatnonzero(weights[user])
        said = evidence.links(board, "factors", mine, np.full(len(mine), item))
        assert (weights[user, mine] * said).sum() == pytest.approx(scores[user, item], abs=2e-6)
        assert scores[user, item] > 1e-3


def test_only_the_best_of_the_factorisation_are_kept(board, monkeypatch):
    own = queries(checkerboard(), 40, 40.0, 180.0)
    whole = factor_scores(own, board.collaborative).toarray()
    monkeypatch.setattr(member_scores, "_FACTOR_ITEMS", 5)
    few = factor_scores(own, board.collaborative)
    assert np.diff(few.indptr).max() == 5
    assert few.toarray().sum(axis=1) == pytest.approx(np.sort(whole, axis=1)[:, -5:].sum(axis=1))


def test_nearby_items_count_by_users_and_distance():
    """Items 0, 1, 2 lie on one meridian, 0 and 1 km and 3 km north of it; item 3 has no place. A half km of 1: an item
    of 4 users 1 km off counts 4 / 2, one of 8 users 3 km off 8 / 4."""
    north = np.degrees(np.array([0.0, 1.0, 3.0]) / EARTH_RADIUS_KM)
    places = np.array([*zip(north, np.zeros(3), strict=True), (np.nan, np.nan)])
    found = nearby_weights(places, np.array([2.0, 4.0, 8.0, 9.0]), 1.0, 2).toarray()
    assert found == pytest.approx(
        np.array([[0, 2, 2, 0], [1, 0, 8 / 3, 0], [0.5, 4 / 3, 0, 0], [0, 0, 0, 0]]), abs=1e-5
    )
    assert nearby_weights(places, np.ones(4), 1.0, 1).nnz == 3 and nearby_weights(places, np.ones(4), 0.0, 2).nnz == 0


def test_who_is_near_a_place_is_shown_what_is_popular_there():
    """Even items lie in one town, odd ones in another: the checkerboard's users have one each, and the member says so
    and names the own item it is near to."""
    places = np.column_stack([50.0 + np.arange(40) % 2, np.arange(40) * 1e-3])
    model = fitted(checkerboard(), 40, 40.0, neighbours=19, near_half_km=1, places=places)
    context = context_at(checkerboard(), model, 40.0)
    said = context.members["nearby"].toarray()
    assert (said[0::2, 1::2] == 0).all() and (said[0::2, 0::2] > 0).all() and (said[1::2, 0::2] == 0).all()
    assert evidence.links(model, "nearby", np.array([0, 0]), np.array([2, 1])).tolist() == [model.nearby[0, 2], 0.0]
    again = Model.from_arrays(model.to_arrays())
    assert (again.nearby != model.nearby).nnz == 0 and "nearby" not in model.silent


def test_interests_lift_what_is_popular_in_their_topics():
    """Items 0 and 1 are of topic 0, item 2 of both, item 3 of none. Two events count as much as the prior's two: the
    shares of a user who took topic 0 twice are 1/2 own + 1/2 everybody's."""
    membership = sp.csr_matrix(np.array([[1, 0], [1, 0], [0.5, 0.5], [0, 0]], np.float32))
    topics = ItemTopics(membership, np.array(["a", "b"]), rule_numbers(StateSettings(half_life_days=1e9)))
    model = dataclasses.replace(
        fitted(histories({"a": [(item, 1.0) for item in range(4)]}), 4, 10.0),
        topics=topics, topic_shares=np.array([0.5, 0.5]), pool=np.arange(4, dtype=np.int32),
        item_facts=np.tile(np.log([[1.0], [0.5], [0.25], [1.0]]), (1, 7)).astype(np.float32),
    )  # fmt: skip
    states = interest_states(histories({"fan": [(0, 8.0), (1, 9.0)], "nobody": []}), model, 10.0)
    found = interest_scores(states, model, 2).toarray()
    assert lifts(states, model, 2) == pytest.approx(np.array([[1.5, 0.5], [1.0, 1.0]]), abs=1e-6)
    assert found == pytest.approx(np.array([[1.5, 0.75, 0.25, 0.0], [1.0, 0.5, 0.25, 0.0]]), abs=1e-5)


def test_without_topics_or_factors_their_members_say_nothing():
    model = fitted(checkerboard(), 40, 40.0, factor_dimensions=0)
    said = context_at(checkerboard(), model, 40.0).members
    assert said["factors"].nnz == said["interests"].nnz == 0 and said["ease"].nnz > 0
    assert model.silent == {"factors", "nearby", "interests", "sequence"}


def test_the_rules_of_shares_and_status_travel_with_the_model():
    own = StateSettings(half_life_days=3.0, status=StatusRule(silent_days=60.0, level=0.01))
    assert rule_of(rule_numbers(own)) == own != StateSettings()
