"""A model in its table, and models that other code wrote."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from interest_model.errors import OtherCodeError
from interest_model.recommend import model_rows, stored
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.features import TREE_FEATURES
from tests.recommend.worlds import checkerboard, fitted

DAY = date(2026, 1, 5)


@pytest.fixture(scope="module")
def model():
    return fitted(checkerboard(20, 12, 30), 12, 40.0, lessons=0)


def written(arrays) -> pa.Table:
    return model_rows.to_rows(arrays, DAY, stored.KIND)


def test_a_model_comes_back_from_its_rows(model):
    rows, version = stored.to_table(model, DAY)
    again, its_version = stored.from_table(rows)
    assert version == its_version and version.startswith("blend-")
    for name, array in model.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([*MEMBERS, *TREE_FEATURES, "a_feature_since_gone"], "a_feature_since_gone"),
        ([*MEMBERS[1:], *TREE_FEATURES], MEMBERS[0]),
        ([*MEMBERS[::-1], *TREE_FEATURES], "the same in another order"),
        (None, MEMBERS[0]),
    ],
)
def test_a_model_whose_columns_meant_something_else_is_refused_by_day_and_name(model, names, told):
    arrays = model.to_arrays() | ({} if names is None else {"column_names": np.array(names)})
    with pytest.raises(OtherCodeError, match=rf"run_date 2026-01-05: model blend-\w+ was made by other code .*{told}"):
        stored.from_table(written(arrays))


def test_a_model_without_one_of_todays_arrays_is_refused(model):
    rows, _ = stored.to_table(model, DAY)
    without = rows.filter(pc.not_equal(rows.column("name"), "scales"))
    with pytest.raises(OtherCodeError, match="array 'scales' is missing"):
        stored.from_table(without)
