import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.evaluation.metrics import intra_list_distance
from interest_model.recommend import diversity
from interest_model.recommend.diversity import RIDGE, dpp, mmr, msd

METHODS = [dpp, mmr, msd]
TWINS = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)  # 0 and 1 are alike


def world(seed: int, users: int, width: int, dimensions: int = 3):
    """Candidates of random number, scores with ties, vectors with duplicates and, one in four, none at all."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(3 * width, dimensions))
    vectors[1::5] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[::4] = 0.0
    items = np.stack([rng.permutation(3 * width)[:width] for _ in range(users)])
    items[np.arange(width) >= rng.integers(0, width + 1, users)[:, None]] = -1
    scores = -np.sort(-np.round(rng.gamma(1.0, size=(users, width)), 1), axis=1) * rng.choice([1e-3, 50.0], (users, 1))
    return items, np.where(items >= 0, scores, 0.0), vectors.astype(np.float32)


worlds = st.builds(world, st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 9))


def one_user(method, strength: float, scores=(10.0, 9.0, 6.0), length: int = 3):
    return method(np.array([[0, 1, 2]]), np.array([scores]), TWINS, np.array([strength]), length)


def test_dpp_by_hand():
    """After 0 is listed, its twin keeps the variance 1 - (0.8 / 1.01) ** 2 = 0.37261, log -0.98723: it falls behind
    where 0.9 - 0.98723 * strength < 0.6, that is from 0.3039 on."""
    assert one_user(dpp, 0.30).order.tolist() == [[0, 1, 2]]
    found = one_user(dpp, 0.31)
    assert found.order.tolist() == [[0, 2, 1]]
    assert found.scores[0] == pytest.approx([10.0, 6.0, 10 * (0.9 - 0.31 * 0.98723)], abs=1e-4)


def test_mmr_by_hand():
    """The twin falls behind where 0.9 - 0.8 / 1.01 * strength < 0.6, that is from 0.37875 on."""
    assert one_user(mmr, 0.37).order.tolist() == [[0, 1, 2]]
    found = one_user(mmr, 0.38)
    assert found.order.tolist() == [[0, 2, 1]]
    assert found.scores[0] == pytest.approx([10.0, 6.0, 10 * (0.9 - 0.38 * 0.8 / 1.01)], abs=1e-4)


def test_msd_by_hand():
    """The twin falls behind where 0.9 - 0.8 / 1.01 * strength / 9 < 0.6, that is from 3.40875 on."""
    assert one_user(msd, 3.40).order.tolist() == [[0, 1, 2]]
    found = one_user(msd, 3.41)
    assert found.order.tolist() == [[0, 2, 1]]
    assert found.scores[0] == pytest.approx([10.0, 6.0, 10 * (0.9 - 3.41 * 0.8 / 1.01 / 9)], abs=1e-4)


def test_msd_forgets_what_lies_ten_ranks_above():
    """Places 0, 10 and 11 are alike, the others are unlike each other: at rank 11 the nine listed last are all unlike
    place 10, which costs nothing there; at rank 12 place 10 is among them, and place 11 costs one likeness."""
    vectors = np.eye(12)
    vectors[10:] = vectors[0]
    found = msd(np.arange(12)[None], np.linspace(1.0, 0.9, 12)[None], vectors, np.array([50.0]), 12)
    assert found.order[0].tolist() == [0, *range(1, 10), 10, 11]
    assert found.scores[0, 10] == pytest.approx(0.9 + 0.1 / 11)
    assert found.scores[0, 11] == pytest.approx(0.9 - 50.0 / 1.01 / 9)


def test_msd_buys_more_distance_of_a_page_than_mmr():
    """By chance vectors: at strengths that cost both the same relevance of the first ten."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(60, 6)) + 0.7
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items, scores = np.stack([rng.permutation(60) for _ in range(40)]), np.tile(np.linspace(1.0, 0.4, 60), (40, 1))
    curves = {}
    for method in (mmr, msd):
        points = []
        for strength in np.linspace(0.0, 6.0, 41):
            order = method(items, scores, vectors, np.full(40, strength), 10).order
            listed = np.take_along_axis(items, order, axis=1)
            points.append((scores[0][order].mean(), intra_list_distance(listed, vectors, 10).mean()))
        curves[method] = np.array(points)[::-1].T
    relevance = np.linspace(0.85, 0.92, 8)
    bought = {method: np.interp(relevance, *curve) for method, curve in curves.items()}
    assert (bought[msd] > bought[mmr] + 0.02).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_scale_of_the_scores_changes_nothing(method):
    small, large = (one_user(method, 0.5, np.array([1.0, 0.9, 0.6]) * scale) for scale in (1e-6, 1e6))
    assert small.order.tolist() == large.order.tolist()
    assert np.allclose(small.scores * 1e12, large.scores)


@pytest.mark.parametrize("method", METHODS)
@given(worlds, st.integers(1, 12))
@settings(max_examples=30)
def test_no_strength_keeps_order_and_scores(method, made, length):
    items, scores, vectors = made
    found = method(items, scores, vectors, np.zeros(len(items)), length)
    width = min(length, items.shape[1])
    expected = np.full((len(items), length), -1)
    expected[:, :width] = np.where(items >= 0, np.arange(items.shape[1]), -1)[:, :width]
    assert found.order.tolist() == expected.tolist()
    assert (found.scores[:, :width][items[:, :width] >= 0] == scores[:, :width][items[:, :width] >= 0]).all()


@pytest.mark.parametrize("method", METHODS)
@given(worlds, st.integers(1, 12), st.sampled_from([0.01, 0.3, 5.0, 1e4]))
@settings(max_examples=40)
def test_lists_are_full_without_repeats_and_scores_fall(method, made, length, strength):
    items, scores, vectors = made
    found = method(items, scores, vectors, np.full(len(items), strength), length)
    for row, order in enumerate(found.order):
        n = min(length, int((items[row] >= 0).sum()))
        assert len(set(order[:n])) == n and (order[n:] == -1).all()
        assert (items[row, order[:n]] >= 0).all()
        assert np.isfinite(found.scores[row, :n]).all() and np.isnan(found.scores[row, n:]).all()
        assert (np.diff(found.scores[row, :n]) <= 0).all()
        assert (found.scores[row, :n] <= scores[row, order[:n]]).all()


def log_determinants(items, scores, vectors, strength, listed):
    """Log determinants of the kernel L of the listed ones and one more, for each candidate; -inf for listed ones."""
    own = vectors[items].astype(np.float64)
    similarity = np.rint(own @ own.T * 2.0**20) * 2.0**-20 / (1 + RIDGE)
    np.fill_diagonal(similarity, 1.0)
    quality = np.exp(scores / scores[0] / (2 * strength))
    kernel = quality[:, None] * similarity * quality
    logs = [np.linalg.slogdet(kernel[np.ix_([*listed, one], [*listed, one])])[1] for one in range(len(items))]
    return np.where(np.isin(np.arange(len(items)), listed), -np.inf, logs)


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.4, 2.0]), st.integers(2, 5))
@settings(max_examples=40)
def test_dpp_equals_the_greedy_from_determinants(seed, strength, dimensions):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(9, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[4] = 0.0
    items, scores = rng.permutation(9)[:8], -np.sort(-rng.uniform(0.1, 1.0, 8))
    found = dpp(items[None], scores[None], vectors, np.array([strength]), 7).order[0].tolist()
    for rank, one in enumerate(found):  # more picks than dimensions leave determinants near zero: no exact order
        logs = log_determinants(items, scores, vectors, strength, found[:rank])
        assert logs[one] == pytest.approx(logs.max(), abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_items_without_vectors_are_neither_punished_nor_punish(method):
    """With no vectors at all any strength keeps the order; one item without a vector passes a duplicate."""
    plain = method(np.array([[0, 1, 2]]), np.array([[3.0, 2.0, 1.0]]), np.zeros((3, 4)), np.array([9.0]), 3)
    assert plain.order.tolist() == [[0, 1, 2]] and plain.scores.tolist() == [[3.0, 2.0, 1.0]]
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    mixed = method(np.array([[0, 1, 2]]), np.array([[3.0, 2.0, 1.0]]), vectors, np.array([9.0]), 3)
    assert mixed.order.tolist() == [[0, 2, 1]] and mixed.scores[0, 1] == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_more_picks_than_dimensions_never_stop_early(method):
    rng = np.random.default_rng(1)
    angles = rng.uniform(0, np.pi, 40)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = method(np.arange(40)[None], np.linspace(2, 1, 40)[None], vectors, np.array([3.0]), 30)
    assert len(set(found.order[0])) == 30 and np.isfinite(found.scores).all()


@pytest.mark.parametrize("method", METHODS)
def test_exact_ties_go_to_the_better_place(method):
    found = method(np.arange(4)[None], np.ones((1, 4)), np.eye(4), np.array([1.0]), 4)
    assert found.order.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("method", METHODS)
def test_values_closer_than_a_billionth_are_ties(method):
    """Item 1 has a cosine of 2 ** -19 with item 0 and item 2 has none: too little to overtake a place."""
    vectors = np.array([[1.0, 0.0, 0.0], [2.0**-19, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = method(np.array([[0, 1, 2]]), np.array([[2.0, 1.0, 1.0]]), vectors, np.array([1e-4]), 3)
    assert found.order.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("method", METHODS)
def test_a_list_does_not_depend_on_who_else_is_in_the_batch(method):
    items, scores, vectors = world(4, 150, 60, 64)
    strength = np.random.default_rng(2).uniform(0, 1, 150)
    whole = method(items, scores, vectors, strength, 50)
    for some in ([3], [149, 5], range(60, 130)):
        part = method(items[some], scores[some], vectors, strength[list(some)], 50)
        assert part.order.tobytes() == whole.order[some].tobytes()
        assert part.scores.tobytes() == whole.scores[some].tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_no_users_and_no_candidates_give_empty_lists(method):
    assert method(np.zeros((0, 5), int), np.zeros((0, 5)), TWINS, np.zeros(0), 3).order.shape == (0, 3)
    assert method(np.zeros((2, 0), int), np.zeros((2, 0)), TWINS, np.ones(2), 3).order.tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize("method", METHODS)
def test_scores_of_zero_or_less_are_no_relevance(method):
    found = method(np.array([[0, 1, 2]]), np.array([[0.0, 0.0, -1.0]]), TWINS, np.array([0.5]), 3)
    assert found.order.tolist() == [[0, 2, 1]] and (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_bad_input_is_refused(method):
    items, scores = np.array([[0, 1]]), np.array([[2.0, 1.0]])
    for bad in (-0.1, np.nan):
        with pytest.raises(ValueError, match="zero or above"):
            method(items, scores, TWINS, np.array([bad]), 2)
    with pytest.raises(ValueError, match="best first"):
        method(items, scores[:, ::-1], TWINS, np.ones(1), 2)
    with pytest.raises(ValueError, match="shapes"):
        method(items, scores, TWINS, np.ones(2), 2)


def test_breadth_by_hand():
    """One topic: 0. Two equal ones, any scale: 1/2. Shares 3 to 1: 1 - 9/16 - 1/16. No share: unknown."""
    rows = np.array([0, 1, 1, 2, 2, 3])
    found = diversity.breadth(np.array([7.0, 0.2, 0.2, 3.0, 1.0, 0.0]), rows, 5)
    assert found[:3] == pytest.approx([0.0, 0.5, 0.375]) and np.isnan(found[3:]).all()


def test_history_breadth_by_hand():
    """Twice the same item: 0. Two unlike ones: 1. Twins with cosine 0.8: 0.2. Twins and one unlike: (0.2 + 1 + 1) / 3.
    Weights 2, 1, 1: pairs weigh 2, 2, 1, so (2 * 0.2 + 2 + 1) / 5. One event, or events without text: unknown."""
    vectors = np.vstack([TWINS, np.zeros(3, np.float32)])
    items = np.array([0, 0, 0, 2, 0, 1, 0, 1, 2, 0, 1, 2, 0, 3, 3])
    rows = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6])
    weights = np.ones(15)
    weights[9] = 2.0
    found = diversity.history_breadth(vectors, items, weights, rows, 8)
    assert found[:5] == pytest.approx([0.0, 1.0, 0.2, 2.2 / 3, 3.4 / 5], abs=1e-6)
    assert np.isnan(found[5:]).all()


def test_history_breadth_does_not_grow_with_activity():
    """Users draw from the same items: light and heavy ones are equally broad in the mean."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(50, 8)) + 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.repeat(np.arange(4_000), np.where(np.arange(4_000) < 2_000, 2, 30))
    found = diversity.history_breadth(vectors, rng.integers(0, 50, len(rows)), np.ones(len(rows)), rows, 4_000)
    assert found[:2_000].mean() == pytest.approx(found[2_000:].mean(), abs=0.02)


def test_strength_follows_breadth_about_the_base():
    found = diversity.strength_of(np.array([0.2, 0.4, 0.6, np.nan, 4.0, 0.0]), 0.1, 0.4)
    assert found == pytest.approx([0.05, 0.1, 0.15, 0.1, 0.2, 0.0])
    for typical in (0.0, np.nan):
        assert diversity.strength_of(np.array([0.2, np.nan]), 0.1, typical).tolist() == [0.1, 0.1]


@pytest.mark.parametrize("method", METHODS)
def test_a_broad_user_gets_more_distance_than_a_narrow_one(method):
    """Planted: both have the same 40 candidates of five kinds, the best ten of one kind; only their pasts differ."""
    rng = np.random.default_rng(8)
    kinds = np.repeat(np.arange(5), [12, 7, 7, 7, 7])
    vectors = np.eye(5)[kinds] + 0.1 * rng.normal(size=(40, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    past = np.concatenate([np.repeat(np.arange(10), 3), np.arange(0, 40, 2)])
    rows = np.repeat([0, 1], [30, 20])  # user 0 stays with one kind, user 1 takes all of them
    breadth = diversity.history_breadth(vectors, past, np.ones(len(past)), rows, 2)
    strength = diversity.strength_of(breadth, 0.15, float(breadth.mean()))
    items, scores = np.tile(np.arange(40), (2, 1)), np.tile(np.linspace(1.0, 0.3, 40), (2, 1))
    order = method(items, scores, vectors, strength, 20).order
    narrow, broad = intra_list_distance(order, vectors, 10)
    assert breadth[0] < 0.2 < 0.6 < breadth[1]
    assert broad > narrow + 0.2
