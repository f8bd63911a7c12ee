import numpy as np
import pytest

from interest_model.recommend import features
from interest_model.recommend.attributes import ItemTraits, attribute_lifts, attributes_of, no_attributes
from interest_model.recommend.blend import Model
from interest_model.recommend.context import context_at
from interest_model.recommend.features import FEATURES
from interest_model.recommend.histories import between
from tests.recommend.worlds import checkerboard, fitted, histories

BRANDS = np.array(["own", "own", "other", "other", "single", None], dtype=object)
SIZES = np.array(["large", None, "large", None, None, None], dtype=object)
PRICES = np.array([np.e - 1, 0.0, np.nan, 3.0, -1.0, 1.0])
USERS = np.array([3.0, 1.0, 2.0, 2.0, 9.0, 9.0])


def test_attributes_are_numbered_by_name_and_value_and_single_items_say_nothing():
    known = attributes_of(ItemTraits(PRICES, {"size": SIZES, "brand": BRANDS}))
    assert known.values.toarray().tolist() == [[0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert known.kinds.tolist() == [0, 0, 1]  # brands other and own, size large
    assert known.prices.tolist() == pytest.approx([1.0, 0.0, np.nan, np.log(4), 0.0, np.log(2)], nan_ok=True)
    assert attributes_of(ItemTraits(PRICES, {})).values.shape == (6, 0)


def test_the_lift_by_hand():
    """Two users: one took item 0 twice, the other nothing. Of everybody's brands 4 of 8 users are own's, with one user
    more for each value 5 of 10; all sizes are large."""
    known = histories({"a": [(0, 1.0), (0, 2.0)], "b": [(4, 1.0)]})
    faded = np.array([0.5, 1.0, 1.0])
    pairs = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 4, 0, 3])
    found = attribute_lifts(
        known, faded, attributes_of(ItemTraits(PRICES, {"brand": BRANDS, "size": SIZES})), USERS, pairs
    )
    own, other = np.log((1.5 + 2.5) / 6.5 / 0.5), np.log(2.5 / 6.5 / 0.5)
    assert found.tolist() == pytest.approx([own, own, other, 0, 0, 0])


def test_without_attributes_or_pairs_there_is_no_lift():
    known, none = histories({"a": [(0, 1.0)]}), np.zeros(0, dtype=np.int64)
    pairs = np.zeros(2, dtype=np.int64), np.array([0, 5])
    assert attribute_lifts(known, np.ones(1), no_attributes(6), USERS, pairs).tolist() == [0, 0]
    some = attributes_of(ItemTraits(PRICES, {"brand": BRANDS}))
    assert attribute_lifts(known, np.ones(1), some, USERS, (none, none)).tolist() == []


@pytest.fixture(scope="module")
def shop() -> tuple:
    """A checkerboard whose even items are cheap and of one brand, and the features of some pairs in it."""
    world, cheap = checkerboard(days=80), np.arange(40) % 2 == 0
    brands = np.where(cheap, "low", "high").astype(object)
    known = attributes_of(ItemTraits(np.where(cheap, 1.0, 7.0), {"brand": brands}))
    few = {"lesson_min_users": 20, "boosting_leaf_hits": 1}
    model = fitted(world, 40, 70.0, attributes=known, boosting_without="[]", **few)
    assert not fitted(world, 40, 70.0, attributes=known, **few).attributes.values.nnz  # off by default
    rows, columns = np.repeat(np.arange(60), 40), np.tile(np.arange(40), 60)
    found = features.pair_features(context_at(between(world, -np.inf, 70.0), model, 70.0), model, rows, columns)
    return model, dict(zip(FEATURES, found.T.reshape(len(FEATURES), 60, 40), strict=True))


def test_a_user_of_cheap_things_has_a_cheap_taste_and_likes_their_brand(shop):
    _, pairs = shop
    assert pairs["taste_price"][::2].ravel() == pytest.approx(np.log(2), abs=1e-6)
    assert pairs["price_match"][0, :2].tolist() == pytest.approx([0.0, np.log(4)], abs=1e-6)
    assert (pairs["attribute_lift"][0, ::2] > 0.3).all() and (pairs["attribute_lift"][0, 1::2] < -0.3).all()
    assert (pairs["attribute_lift"][1, ::2] < -0.3).all()


def test_the_model_keeps_what_it_knows_of_items(shop):
    model, _ = shop
    again = Model.from_arrays(model.to_arrays()).attributes
    for one, other in zip(model.attributes, again, strict=True):
        assert (one != other).nnz == 0 if hasattr(one, "nnz") else np.array_equal(one, other)
