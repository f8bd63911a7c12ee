import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from interest_model.interest.clusters import Growth, carried_over, learn, match_scores, refit, split
from interest_model.interest.topic_tree import (
    assign,
    check_tree,
    from_categories,
    from_columns,
    memberships,
    to_columns,
    tree_version,
)

WIDE, NARROW = 4, 3
GROWTH = Growth(branching=(WIDE, NARROW), min_items=10)


def planted(n, seed=1, noise=0.2, dimensions=24):
    """n vectors of WIDE x NARROW well separated clusters (the same for every seed), and the cluster of each."""
    fixed = np.random.default_rng(99)
    wide = fixed.normal(0, 3, (WIDE, 1, dimensions))
    centres = (wide + fixed.normal(0, 1, (WIDE, NARROW, dimensions))).reshape(-1, dimensions)
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % len(centres))
    return (centres[truth] + rng.normal(0, noise, (n, dimensions))).astype(np.float32), truth


def ids_of(tree, vectors):
    """Topic ids of each vector, (n, tiers)."""
    leaf = assign(tree, vectors)
    return np.stack([tree.topic_ids[tree.parents[leaf]], tree.topic_ids[leaf]], axis=1)


def test_planted_clusters_are_found_at_both_tiers():
    vectors, truth = planted(1200)
    tree = learn(vectors, GROWTH, "1")
    check_tree(tree)
    found = ids_of(tree, vectors)
    assert adjusted_rand_score(truth // NARROW, found[:, 0]) >= 0.95
    assert adjusted_rand_score(truth, found[:, 1]) >= 0.95
    assert tree.topic_ids.tolist() == [f"t-1-{k}" for k in range(1, 17)]


def test_new_items_go_to_the_leaf_of_their_kind():
    vectors, truth = planted(1200)
    tree = learn(vectors, GROWTH, "1")
    new, new_truth = planted(240, seed=5)
    found = np.concatenate([ids_of(tree, vectors), ids_of(tree, new)])
    assert adjusted_rand_score(np.concatenate([truth, new_truth]), found[:, 1]) >= 0.95


def test_placing_what_was_learned_gives_the_counts_of_learning():
    vectors = np.random.default_rng(2).normal(size=(700, 12)).astype(np.float32)
    growth = Growth(branching=(5, 4, 2), min_items=25, fit_items=300, starts=2)
    tree = learn(vectors, growth, "1")
    tiers = memberships(tree, vectors=vectors)
    counts = np.concatenate([np.asarray(tier.sum(axis=0)).ravel() for tier in tiers])
    assert counts.tolist() == tree.n_items.tolist()
    assert tree.n_items.min() >= 25
    assert tree.depth == 3


def test_the_same_seed_gives_the_same_tree():
    vectors, _ = planted(600)
    assert tree_version(learn(vectors, GROWTH, "1")) == tree_version(learn(vectors, GROWTH, "1"))


def test_the_number_of_threads_changes_no_tree():
    vectors, _ = planted(4_000, noise=2.0, dimensions=64)
    alone = tree_version(learn(vectors, GROWTH, "1"))
    with threadpool_limits(4):
        assert [tree_version(learn(vectors, GROWTH, "1")) for _ in range(3)] == [alone] * 3


def test_small_clusters_dissolve():
    rng = np.random.default_rng(3)
    far = np.array([[0, 0]] * 40 + [[9, 0]] * 40 + [[0, 9]] * 3) + rng.normal(0, 0.1, (83, 2))
    centres, labels = split(far, 3, Growth(min_items=10), np.random.default_rng(1))
    assert sorted(np.bincount(labels)) == [40, 43]
    assert len(split(far, 3, Growth(min_items=3), np.random.default_rng(1))[0]) == 3


def test_a_centre_that_loses_its_points_is_revived():
    """What learning relies on in the library: no cluster stays empty while there are points enough."""
    points = np.array([[0.0], [1.0], [2.0], [50.0]])
    start = np.array([[0.0], [1000.0], [1.0]])
    assert set(KMeans(3, init=start, n_init=1).fit(points).labels_) == {0, 1, 2}


def test_a_refit_with_a_twentieth_more_items_keeps_its_ids():
    vectors, _ = planted(1200)
    before = learn(vectors, GROWTH, "1")
    more = np.concatenate([vectors, planted(60, seed=8)[0]])
    after = refit(before, more, Growth(branching=(WIDE, NARROW), min_items=10, seed=23), "2")
    assert np.mean(np.isin(before.topic_ids, after.topic_ids)) >= 0.95
    assert np.mean(ids_of(before, vectors) == ids_of(after, vectors)) >= 0.95


@pytest.mark.parametrize("seed", [1, 2])
def test_without_any_clusters_a_refit_keeps_its_ids_because_it_starts_from_the_old_split(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1500, 16)).astype(np.float32)
    before = learn(vectors, Growth(min_items=20, starts=2), "1")
    more = np.concatenate([vectors, rng.normal(size=(75, 16)).astype(np.float32)])
    kept, fresh = (
        np.mean(ids_of(before, vectors) == ids_of(refit(before, more, growth, "2"), vectors))
        for growth in (Growth(starts=2, seed=seed), Growth(starts=2, seed=seed + 10, keep_within=-1.0))
    )
    assert kept >= 0.9
    assert fresh <= 0.6


def test_another_seed_and_order_keep_the_ids_of_separated_clusters():
    vectors, _ = planted(1200)
    before = learn(vectors, GROWTH, "1")
    order = np.random.default_rng(4).permutation(len(vectors))
    # below 0: nothing is taken over from the old split, so that the matching alone decides
    growth = Growth(branching=(WIDE, NARROW), min_items=10, seed=1234, keep_within=-1.0)
    after = refit(before, vectors[order], growth, "2")
    assert set(after.topic_ids) == set(before.topic_ids)
    assert (ids_of(before, vectors)[order] == ids_of(after, vectors[order])).all()


@pytest.mark.parametrize("dimensions", [24, 30])
def test_topics_go_where_their_items_lie_among_the_vectors_of_another_encoder(dimensions):
    vectors, _ = planted(1200)
    before = learn(vectors, GROWTH, "1")
    turned = vectors @ np.random.default_rng(6).normal(size=(24, dimensions)).astype(np.float32)
    leaves = assign(before, vectors)
    after = carried_over(before, turned, np.where(np.arange(1200) < 1000, leaves, -1))  # some were never encoded before
    assert after.topic_ids.tolist() == before.topic_ids.tolist() and after.centres.shape[1] == dimensions
    assert (assign(after, turned) == leaves).all()
    lost = carried_over(before, turned, np.where(leaves == leaves[0], -1, leaves))  # a topic whose items are all gone
    assert not (assign(lost, turned) == leaves[0]).any()
    check_tree(lost)


def test_without_any_clusters_most_items_stay_in_their_topic_with_another_encoder():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(1500, 16)).astype(np.float32)
    before = learn(vectors, Growth(min_items=20, starts=2), "1")
    turn, _ = np.linalg.qr(rng.normal(size=(20, 20)))  # the same lengths and angles in other directions
    turned = np.pad(vectors, [(0, 0), (0, 4)]) @ turn.astype(np.float32)
    leaves = assign(before, vectors)
    after = carried_over(before, turned, leaves)
    assert np.mean(assign(after, turned) == leaves) >= 0.7


def test_a_topic_that_appears_gets_an_id_of_its_night_and_the_others_stay():
    vectors, truth = planted(1200)
    early = vectors[truth // NARROW < WIDE - 1]
    before = learn(early, Growth(branching=(WIDE - 1, NARROW), min_items=10), "1")
    before = before._replace(labels=np.array([f"label {k}" for k in range(12)], dtype=object))
    after = refit(before, vectors, GROWTH, "2")
    assert set(before.topic_ids) <= set(after.topic_ids)
    assert sorted(set(after.topic_ids) - set(before.topic_ids)) == [f"t-2-{k}" for k in range(1, 5)]
    kept = {topic: label for topic, label in zip(after.topic_ids, after.labels, strict=True) if label}
    assert kept == dict(zip(before.topic_ids, before.labels, strict=True))


def test_a_version_gives_out_ids_once():
    vectors, _ = planted(240)
    before = learn(vectors, GROWTH, "1")
    with pytest.raises(ValueError, match="version '1' has given out ids"):
        refit(before, vectors, GROWTH, "1")


def test_categories_are_no_start_for_a_learned_tree():
    vectors, _ = planted(240)
    after = refit(from_categories([["a", "b"]]), vectors, GROWTH, "2")
    assert tree_version(after) == tree_version(learn(vectors, GROWTH, "2"))


def test_match_scores_by_hand():
    both = np.array([[6.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    cosine = np.array([[0.8, -0.5, 0.2], [0.1, 0.9, 0.75]])
    score, least = match_scores(both, np.array([8, 0]), np.array([10, 4, 0]), cosine)
    # 6 of 8 + 10 - 6 = 12 items; no items known to both nights at all: the cosine alone
    np.testing.assert_allclose(score, [[0.75 * 0.5 + 0.25 * 0.8, 0, 0.05], [0.025, 0.225, 0.75]])
    assert least.tolist() == [[0.4, 0.4, 0.4], [0.4, 0.4, 0.7]]


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_or_no_items(n):
    vectors = np.arange(n * 3, dtype=np.float32).reshape(n, 3) ** 2
    tree = learn(vectors, GROWTH, "1")
    check_tree(tree)
    assert tree.n_items.tolist() == [n, n][: 2 * min(n, 1)]
    assert [tier.shape for tier in memberships(tree, vectors=vectors)] == [(n, 1), (n, 1)][: 2 * min(n, 1)]
    assert tree_version(from_columns(to_columns(tree))) == tree_version(tree) or n == 0
    assert len(refit(tree, vectors, GROWTH, "2").topic_ids) == len(tree.topic_ids)


def test_identical_vectors_make_one_topic_a_tier():
    tree = learn(np.ones((100, 5), dtype=np.float32), GROWTH, "1")
    assert tree.n_items.tolist() == [100, 100]
    after = refit(tree, np.ones((110, 5), dtype=np.float32), GROWTH, "2")
    assert after.topic_ids.tolist() == tree.topic_ids.tolist()


def test_rows_without_vector_take_no_part():
    vectors, _ = planted(240)
    holes = np.insert(vectors, [0, 100], np.nan, axis=0)
    assert tree_version(learn(holes, GROWTH, "1")) == tree_version(learn(vectors, GROWTH, "1"))
    assert assign(learn(holes, GROWTH, "1"), holes)[[0, 101]].tolist() == [-1, -1]


@pytest.mark.parametrize("wrong", [{"branching": (8,)}, {"branching": (8, 0)}, {"min_items": 0}, {"fit_items": 5}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        Growth(**wrong)
