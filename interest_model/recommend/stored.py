"""The night's model as rows of table ranker_models, and back. No Spark.

Beside its arrays stand the names of what their columns mean: members and features come and go with the code, and a
model read by other code would say something else, or nothing.
"""

from datetime import date

import numpy as np
import pyarrow as pa

from interest_model.errors import OtherCodeError
from interest_model.recommend import model_rows
from interest_model.recommend.blend import MEMBERS, Model
from interest_model.recommend.features import TREE_FEATURES

KIND = "blend"
_NAMES = "column_names"


def to_table(model: Model, run_date: date) -> tuple[pa.Table, str]:
    """The rows of one day, see model_rows.to_rows, and the model's version."""
    arrays = model.to_arrays() | {_NAMES: np.array([*MEMBERS, *TREE_FEATURES])}
    rows = model_rows.to_rows(arrays, run_date, KIND)
    return rows, _version(rows)


def from_table(rows: pa.Table) -> tuple[Model, str]:
    """The model and its version. OtherCodeError: code with other members or features wrote it."""
    arrays, version = model_rows.from_rows(rows), _version(rows)
    names = arrays.pop(_NAMES, np.zeros(0, dtype=str)).tolist()
    day = rows.column("run_date")[0].as_py()
    if names == [*MEMBERS, *TREE_FEATURES]:
        try:
            return Model.from_arrays(arrays), version
        except KeyError as error:
            odd = f"array {error} is missing"
    else:
        odd = ", ".join(sorted({*MEMBERS, *TREE_FEATURES} ^ set(names))) or "the same in another order"
    raise OtherCodeError(
        f"table ranker_models, run_date {day}: model {version} was made by other code ({odd})",
        f"run the night of {day} again from the step ranker on, if its lists still matter",
    )


def _version(rows: pa.Table) -> str:
    return rows.column("model_version")[0].as_py()
