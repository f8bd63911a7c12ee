"""A model with place bias is asked with the places that it was trained with, wherever it is asked."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from interest_model.interest import model as zoo
from interest_model.interest.vectors_of_users import vectors
from interest_model.recommend.histories import between, from_arrow, latest, take
from interest_model.recommend.sequence_scores import neural_scores
from interest_model.training.batches import Sequences
from interest_model.training.packaged import Packaged
from interest_model.training.ranking import Cases, model_lists
from tests.training.worlds import FEATURES, ITEM_IDS, N_ITEMS, small_model

NOBODY = np.zeros(0, dtype=np.int64)
ROWS = {
    "user_id": ["a", "b", "c"],
    "items": [[1, 2, 3], [4, 5], []],
    "days": [[1.0, 2.0, 3.0], [2.0, 2.5], []],
    "weights": [[1.0] * 3, [1.0] * 2, []],
    "latitude": [[52.5, 48.1, None], [52.5, 52.6], []],
    "longitude": [[13.4, 11.6, None], [13.4, 13.5], []],
}


@pytest.fixture(scope="module")
def model():
    """Tables of ways that are no longer zero, as training leaves them."""
    torch.manual_seed(1)
    made = zoo.build(small_model(place_bias=True), FEATURES, 0).eval()
    with torch.no_grad():
        made.dynamic.way.weight.normal_()
    return made


def table(*without: str) -> pa.Table:
    return pa.table({name: values for name, values in ROWS.items() if name not in without})


def test_places_come_with_the_rows_and_stay_with_their_events():
    whole = from_arrow(table())
    assert whole.places.dtype == np.float32 and np.isnan(whole.places[2]).all()
    assert whole.places[[0, 3]].tolist() == [[52.5, pytest.approx(13.4)]] * 2
    assert from_arrow(table("latitude", "longitude")).places is None
    for part, events in (
        (take(whole, np.array([1])), [3, 4]),
        (latest(whole, 1), [2, 4]),
        (between(whole, 2, 2.7), [1, 3, 4]),
    ):
        assert np.array_equal(part.places, whole.places[events], equal_nan=True)


def test_vectors_and_scores_know_places(model):
    known, nowhere = from_arrow(table()), from_arrow(table("latitude", "longitude"))
    with_places, without = (vectors(model, one, 4.0, (1,)) for one in (known, nowhere))
    assert not np.allclose(with_places[:2], without[:2])
    scores, others = (neural_scores(model, one, 4.0, N_ITEMS).toarray() for one in (known, nowhere))
    assert not np.allclose(scores[:2], others[:2])


def test_a_served_model_lists_what_it_lists_over_histories(model):
    made = Packaged(model, ITEM_IDS, {"repeats": True})
    frame = pd.DataFrame(
        {"items": [ITEM_IDS[one].tolist() for one in ROWS["items"]], "days": ROWS["days"], "at_day": 4.0}
    )
    placed = frame.assign(latitudes=ROWS["latitude"], longitudes=ROWS["longitude"])
    for given, rows in ((placed, table()), (frame, table("latitude", "longitude"))):
        cases = Cases(Sequences(from_arrow(rows)), NOBODY, NOBODY, 4.0, True)
        # of who has no history the model knows nothing: no list, where numbers alone would be an alphabet
        expected = [
            ITEM_IDS[row].tolist() if len(own) else []
            for row, own in zip(model_lists(model, cases, 5), ROWS["items"], strict=True)
        ]
        assert made.recommend(given, 5)["items"].tolist() == expected
    assert made.recommend(placed, 5)["items"].tolist() != made.recommend(frame, 5)["items"].tolist()
