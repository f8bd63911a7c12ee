import numpy as np
import pytest
import torch

from interest_model.interest import model as zoo
from interest_model.recommend.attributes import ItemTraits, KnownItems
from interest_model.training import packaged
from interest_model.training.item_coding import coding, features
from interest_model.training.packaged import Packaged
from tests.training.worlds import small_model

IDS = np.array(["a", "b", "c", "d"], dtype=object)
BRANDS = np.array(["own", "own", "rare", None], dtype=object)
PRICES = np.array([np.e - 1, 0.0, np.nan, np.nan])


def known(ids=IDS, prices=PRICES, brands=BRANDS) -> KnownItems:
    return KnownItems(
        ids, np.zeros(len(ids)), np.zeros((len(ids), 3), np.float32), ItemTraits(prices, {"type": brands})
    )


def test_prices_are_standardised_and_values_of_one_item_have_no_code():
    items = known()
    coded = coding(items.traits)
    assert coded == {"price": [pytest.approx(0.5), pytest.approx(0.5)], "values": {"type": ["own"]}}
    read = features(items, coded)
    assert read.vectors["price"][:, 0].tolist() == pytest.approx([1.0, -1.0, 0.0, 0.0])
    assert read.categories["attribute_type"].tolist() == [0, 0, -1, -1]


def test_one_price_for_all_and_none_at_all():
    one = coding(ItemTraits(np.full(4, 2.0), {}))
    assert one["price"] == [pytest.approx(np.log(3)), 1.0]
    none = ItemTraits(np.full(4, np.nan), {"type": np.full(4, None)})
    assert coding(none) == {"price": None, "values": {}}
    read = features(known()._replace(traits=none), coding(none))
    assert set(read.vectors) == {"text"} and read.categories == {}


def test_a_new_item_scores_by_its_price_and_attributes_whatever_the_catalogue(tmp_path):
    """Item e is new and has a's price and brand, f has neither: after the model has travelled, e is nearer to a."""
    items = known()
    coded = coding(items.traits)
    model = zoo.build(small_model(), features(items, coded), 0).eval()
    with torch.no_grad():
        model.tower.categories["attribute_type"].weight[0] = 3.0  # tables of attributes begin at zero
    packaged.save(Packaged(model, IDS, {"encoder": "e1", "coding": coded}), tmp_path)
    more = known(np.array(["e", "a", "f"], dtype=object), np.array([np.e - 1, np.e - 1, np.nan]), BRANDS[[0, 0, 3]])
    moved = packaged.load(tmp_path).with_catalogue(more, "e1")
    assert moved.tower.id_rows.tolist() == [-1, 0, -1]
    vectors = moved.tower(torch.arange(3))
    near, far = ((vectors[one] - vectors[1]).norm().item() for one in (0, 2))
    assert near < 0.5 * far
    poorer = more._replace(traits=ItemTraits(np.full(3, np.nan), {}))  # a night whose items have lost their attributes
    assert packaged.load(tmp_path).with_catalogue(poorer, "e1").tower.categories_attribute_type.tolist() == [-1, -1, -1]
