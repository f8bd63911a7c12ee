import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.interest.topic_tree import (
    assign,
    check_tree,
    counted,
    fit_standard,
    from_categories,
    from_columns,
    is_tree,
    memberships,
    nearest,
    standardise,
    to_columns,
    tree_version,
)

SHOP = [["Home", "kitchen"], ["Home", "garden"], ["Clothing", "sport"], ["Home"], None, ["Clothing", "sport"]]
names = st.sampled_from(["a", "b", "c"])
one_path = st.lists(names, max_size=5)
paths = st.lists(st.none() | one_path | st.lists(one_path, max_size=3), max_size=8)


def position(tree, *labels):
    """Position of the topic at the end of a path of labels."""
    node = -1
    for label in labels:
        node = next(k for k in np.flatnonzero(tree.parents == node) if tree.labels[k] == label)
    return node


def test_categories_become_topics_tier_by_tier():
    tree = from_categories(SHOP)
    assert tree.labels.tolist() == ["Clothing", "Home", "sport", "garden", "kitchen", "other Home"]
    assert tree.parents.tolist() == [-1, -1, 0, 1, 1, 1]
    assert tree.tiers.tolist() == [1, 1, 2, 2, 2, 2]
    assert tree.n_items.tolist() == [2, 3, 2, 1, 1, 1]


def test_paths_of_mixed_depth_all_reach_the_deepest_tier_and_four_tiers_are_the_most():
    tree = from_categories([["a", "b", "c", "d", "e"], ["a", "b"], ["f"]])
    assert tree.depth == 4
    assert tree.labels[tree.in_tier(4)].tolist() == ["d", "other b", "other f"]
    assert from_categories([["a", "b", "c"], ["a"]], max_tiers=2).labels.tolist() == ["a", "b", "other a"]


def test_one_name_below_two_parents_makes_two_topics():
    tree = from_categories([["Shoes", "women"], ["Coats", "women"]])
    assert tree.labels.tolist() == ["Coats", "Shoes", "women", "women"]
    assert len(set(tree.topic_ids)) == 4


def test_new_items_and_categories_change_no_id():
    before, after = from_categories(SHOP), from_categories([*SHOP, ["Books", "poems"], ["Home", "attic"]])
    ids = dict(zip(zip(before.labels, before.tiers, strict=True), before.topic_ids, strict=True))
    found = dict(zip(zip(after.labels, after.tiers, strict=True), after.topic_ids, strict=True))
    assert ids.items() <= found.items()
    assert before.topic_ids[1] == "c-3a78695388b3"  # sha2-256 of "Home": ids outlive versions of the code


def test_several_leaves_share_an_item_equally():
    films = [[["Film", "Comedy"], ["Film", "Drama"], ["Series", "Drama"]], ["Film", "Drama"]]
    tree = from_categories(films)
    wide, narrow = memberships(tree, films)
    assert tree.labels[tree.in_tier(2)].tolist() == ["Comedy", "Drama", "Drama"]
    np.testing.assert_allclose(narrow.toarray(), [[1 / 3, 1 / 3, 1 / 3], [0, 1, 0]])
    np.testing.assert_allclose(wide.toarray(), [[2 / 3, 1 / 3], [1, 0]])


def test_items_without_category_go_to_the_leaf_with_the_nearest_mean():
    vectors = np.array([[9, 0], [0, 9], [-9, 0], [9, 9], [8, 0.1], [-8, 0]], dtype=np.float32)
    tree = from_categories(SHOP)
    wide, narrow = memberships(tree, SHOP, vectors)
    assert narrow[4].indices.tolist() == [position(tree, "Home", "kitchen") - 2]
    assert counted(tree, [wide, narrow]).n_items.tolist() == [2, 4, 2, 1, 2, 1]
    vectors[4] = np.nan
    assert memberships(tree, SHOP, vectors)[1][4].nnz == 0
    assert memberships(tree, SHOP)[1][4].nnz == 0


def test_a_category_that_the_tree_lacks_counts_as_none():
    tree = from_categories(SHOP)
    assert [tier.nnz for tier in memberships(tree, [["Books", "poems"]])] == [0, 0]


@settings(max_examples=60, deadline=None)
@given(paths)
def test_shares_add_up_over_children_and_over_topics(items):
    tree = from_categories(items)
    check_tree(tree)
    tiers = memberships(tree, items)
    assert len(tiers) == tree.depth
    for tier in range(1, tree.depth):
        children, above = tree.in_tier(tier + 1), tree.in_tier(tier)
        for column, parent in enumerate(above):
            own = tiers[tier].toarray()[:, tree.parents[children] == parent].sum(axis=1)
            np.testing.assert_allclose(tiers[tier - 1].toarray()[:, column], own, rtol=1e-6)
        np.testing.assert_allclose(tiers[tier].sum(axis=1), tiers[0].sum(axis=1), rtol=1e-6)
    has_name = [bool(one) and any(isinstance(part, str) or bool(part) for part in one) for one in items]
    sums = tiers[-1].toarray().sum(axis=1) if tiers else np.zeros(len(items))
    np.testing.assert_allclose(sums, np.asarray(has_name, dtype=float), rtol=1e-6)


def test_categories_serve_where_names_have_one_parent():
    assert is_tree(SHOP)
    assert not is_tree([["Home"], ["Clothing"], ["Home"]])  # one level
    assert not is_tree([["Home", "kitchen"], ["Home", "garden"]])  # one name in tier 1
    assert not is_tree([["Comedy", "Drama"], ["Action", "Drama"], ["Comedy", "Romance"], ["Drama", "Romance"]])
    assert not is_tree([["Home", "kitchen"], ["Clothing", "sport"], None, None, [], None])  # too few have any
    assert not is_tree([])


def test_the_share_of_items_below_the_usual_parent_decides():
    tidy = [["Home", "kitchen"]] * 19 + [["Clothing", "kitchen"]]
    assert is_tree(tidy)  # 19 of 20 = 0.95
    assert not is_tree(tidy[1:])


def test_no_items_make_no_topics():
    for items in ([], [None, [], [None]]):
        tree = from_categories(items)
        assert (tree.depth, len(tree.topic_ids), memberships(tree, items)) == (0, 0, [])
        assert from_columns(to_columns(tree)).depth == 0


def test_items_must_be_stated_and_agree_in_number():
    tree = from_categories(SHOP)
    with pytest.raises(ValueError, match="of the same items"):
        memberships(tree)
    with pytest.raises(ValueError, match="of the same items"):
        memberships(tree, SHOP, np.zeros((2, 2)))


def test_standardised_vectors_by_hand():
    vectors = np.array([[1, 10, 5], [3, 10, 1]], dtype=np.float32)
    mean, scale = fit_standard(vectors)
    assert (mean.tolist(), scale.tolist()) == ([2, 10, 3], [1, 1, 2])  # a constant dimension is divided by 1
    half = np.sqrt(0.5)
    np.testing.assert_allclose(standardise(vectors, mean, scale), [[-half, 0, half], [half, 0, -half]], rtol=1e-6)


def test_nearest_by_hand_with_ties_by_index():
    points, centres = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[3.0, 0.0], [-3.0, 0.0], [3.0, 4.0]])
    index, distance = nearest(points, centres)
    assert (index.tolist(), distance.tolist()) == ([0, 2], [9, 0])


def learned():
    """Two wide topics east and west, each with a northern and a southern leaf."""
    ids = ["east", "west", "east north", "east south", "west north", "west south"]
    centres = np.array([[1, 0], [-1, 0], [1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=np.float32)
    return from_categories([["x", "a"], ["x", "b"], ["y", "a"], ["y", "b"]])._replace(
        topic_ids=np.array(ids, dtype=object),
        centres=centres,
        mean=np.zeros(2, np.float32),
        scale=np.ones(2, np.float32),
    )


def test_new_vectors_are_placed_top_down():
    tree = learned()
    vectors = np.array([[2, 9], [-1, -1], [np.nan, 1], [3, -0.1]], dtype=np.float32)
    assert assign(tree, vectors).tolist() == [2, 5, -1, 3]
    wide, narrow = memberships(tree, vectors=vectors)
    assert narrow.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert wide.toarray().tolist() == [[1, 0], [0, 1], [0, 0], [1, 0]]
    with pytest.raises(ValueError, match="3 dimensions, the tree 2"):
        assign(tree, np.zeros((1, 3)))


@pytest.mark.parametrize("tree", [learned(), from_categories(SHOP)._replace(keywords=[("w", "v")] * 6)])
def test_a_table_gives_the_tree_back_whatever_the_order_of_its_rows(tree):
    table = pa.table(to_columns(tree))
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    back = from_columns({name: shuffled.column(name).to_pylist() for name in table.column_names})
    for name, column in tree._asdict().items():
        assert np.array_equal(back._asdict()[name], column), name
    assert tree_version(back) == tree_version(tree)


def test_the_version_is_of_what_places_and_names():
    tree = learned()
    assert tree_version(tree) == tree_version(tree._replace(n_items=tree.n_items + 1))
    for change in ({"labels": tree.labels[::-1]}, {"centres": tree.centres + 1}, {"scale": tree.scale * 2}):
        assert tree_version(tree) != tree_version(tree._replace(**change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"topic_ids": np.array(list("aabcde"), dtype=object)}, "twice"),
        ({"parents": np.array([-1, -1, 0, 0, 1, 2])}, "tier above"),
        ({"parents": np.array([-1, -1, 0, 0, 0, 0])}, "no children"),
        ({"parents": np.array([-1, -1, 0, 0, 1, -1])}, "only topics of tier 1"),
    ],
)
def test_what_is_no_tree_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_tree(learned()._replace(**change))
