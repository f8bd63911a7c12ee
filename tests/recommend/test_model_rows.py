"""A model survives its table: arrays, types, shapes, pieces, order."""

from datetime import date

import numpy as np
import pytest

from interest_model.recommend import model_rows

ARRAYS = {
    "ids": np.array(["a", "ümlaut", "ccc"]),
    "values": np.arange(12, dtype=np.float32).reshape(3, 4),
    "none": np.zeros((0, 3), dtype=np.int64),
    "scalar": np.array(7, dtype=np.int64),
}


def test_arrays_come_back_as_they_were(monkeypatch):
    monkeypatch.setattr(model_rows, "CHUNK_BYTES", 10)
    rows = model_rows.to_rows(ARRAYS, date(2026, 1, 5), "blend")
    assert rows.num_rows > len(ARRAYS)
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    found = model_rows.from_rows(shuffled)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape


def test_a_missing_piece_is_noticed(monkeypatch):
    monkeypatch.setattr(model_rows, "CHUNK_BYTES", 10)
    rows = model_rows.to_rows({"values": ARRAYS["values"]}, date(2026, 1, 5), "blend")
    with pytest.raises(ValueError, match="array values: 38 bytes"):
        model_rows.from_rows(rows.slice(1))


def test_the_version_follows_the_content_only():
    same = {name: array.copy() for name, array in reversed(ARRAYS.items())}
    assert model_rows.version_of(same, "blend") == model_rows.version_of(ARRAYS, "blend")
    changed = ARRAYS | {"values": ARRAYS["values"] + 1}
    assert model_rows.version_of(changed, "blend") != model_rows.version_of(ARRAYS, "blend")
