"""Prices and attributes from the table items, by the position of an item in the ranker's catalogue."""

import numpy as np
import pytest

from interest_model.recommend.consumption import item_traits

pytestmark = pytest.mark.spark
DDL = "item_id string, price double, attributes map<string,string>"
CATALOGUE = np.array(["a", "b", "c"])


def test_traits_lie_at_their_items_positions(spark):
    rows = [("c", 2.5, {"brand": "own", "size": None}), ("elsewhere", 9.0, {"brand": "other"}), ("a", None, None)]
    found = item_traits(spark.createDataFrame([*rows, ("b", None, {"size": "L", "brand": "own"})], DDL), CATALOGUE)
    assert found.prices.tolist() == pytest.approx([np.nan, np.nan, 2.5], nan_ok=True)
    assert {name: values.tolist() for name, values in found.named.items()} == {
        "brand": [None, "own", "own"],
        "size": [None, "L", None],
    }


def test_items_may_have_no_traits(spark):
    found = item_traits(spark.createDataFrame([("a", None, None)], DDL), CATALOGUE)
    assert np.isnan(found.prices).all() and found.named == {}
