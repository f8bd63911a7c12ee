"""Items join the cache of encoded texts."""

import hashlib
from datetime import date
from types import SimpleNamespace

import pytest

from interest_model import tables

NIGHT = date(2024, 5, 2)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def schema(table):
    return ", ".join(f"{column.name} {column.type}" for column in table.columns)


@pytest.mark.spark
def test_one_row_per_item_with_text_and_known_date(spark):
    from interest_model.encoding.item_embeddings import item_embeddings

    ids = [("i1", "red lamp"), ("i2", "red lamp"), ("i3", None), ("i4", "  "), ("i5", "poison"), ("i6", "not encoded")]
    items = [(item, NIGHT, "title", text, text and sha(text)) for item, text in ids]
    items_schema = "item_id string, known_date date, title string, text string, text_hash string"
    cache = [
        (sha("red lamp"), "v1", None, [0.6, 0.8]),
        (sha("red lamp"), "v2", None, [1.0, 0.0]),
        (sha("poison"), "v1", "IndexError", None),
    ]
    rows = item_embeddings(
        spark.createDataFrame(items, items_schema),
        spark.createDataFrame(cache, schema(tables.TEXT_EMBEDDINGS)),
        "v1",
    )
    assert rows.columns == list(tables.ITEM_EMBEDDINGS.names)
    assert rows.dtypes == [(column.name, column.type) for column in tables.ITEM_EMBEDDINGS.columns]
    found = {row.item_id: (row.known_date, row.encoder, row.text_hash, row.embedding) for row in rows.collect()}
    vector = pytest.approx([0.6, 0.8])
    assert found == {
        "i1": (NIGHT, "v1", sha("red lamp"), vector),
        "i2": (NIGHT, "v1", sha("red lamp"), vector),
        "i5": (NIGHT, "v1", sha("poison"), None),
        "i6": (NIGHT, "v1", sha("not encoded"), None),
    }


@pytest.mark.spark
def test_another_encoder_reads_all_items_again_and_the_same_one_the_new_ones(spark):
    from interest_model.encoding.item_embeddings import items_to_encode

    first = date(2024, 5, 1)
    items = [("old", first, "a"), ("changed", first, "b"), ("changed", NIGHT, "c"), ("later", date(2024, 5, 3), "d")]
    held = {
        "items": spark.createDataFrame(items, "item_id string, known_date date, text string"),
        "item_embeddings": spark.createDataFrame(
            [("old", first, "v1")], "item_id string, known_date date, encoder string"
        ),
    }

    def encoded(after, encoder):
        night = SimpleNamespace(read=held.__getitem__, after=after, run_date=NIGHT)
        return sorted((row.item_id, row.known_date, row.text) for row in items_to_encode(night, encoder).collect())

    assert encoded(first, "v1") == [("changed", NIGHT, "c")]
    assert encoded(first, "v2") == [("changed", NIGHT, "c"), ("old", NIGHT, "a")]
    assert encoded(None, "v2") == [("changed", first, "b"), ("changed", NIGHT, "c"), ("old", first, "a")]
