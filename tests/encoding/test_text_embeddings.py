"""Encoding in Spark: same vectors as without it, each text once, one bad text costs one row."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest

from interest_model import tables

TEXTS = ["red lamp", "a green chair and a blue table", "jazz", "the opera of the space dog and war cat", "film love"]
CACHE_SCHEMA = ", ".join(f"{column.name} {column.type}" for column in tables.TEXT_EMBEDDINGS.columns)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def texts_frame(spark, texts):
    rows = [(None if text is None else sha(text), text) for text in texts]
    return spark.createDataFrame(rows, "text_hash string, text string")


@pytest.mark.spark
def test_only_texts_that_are_new_for_this_encoder_are_left_once_each(spark):
    from interest_model.encoding.text_embeddings import new_texts

    cache = spark.createDataFrame([(sha("old"), "v1", None, [1.0]), (sha("new"), "v2", None, [1.0])], CACHE_SCHEMA)
    texts = texts_frame(spark, ["old", "new", "new", None, " ", "", "newer"])
    found = new_texts(texts, cache, "v1").collect()
    assert sorted(tuple(row) for row in found) == sorted([(sha("new"), "new"), (sha("newer"), "newer")])


@pytest.mark.spark
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt", "minilm"])
def test_spark_gives_the_vectors_of_the_encoder_alone(spark, request, model):
    from interest_model.encoding.text_embeddings import encode_frame
    from interest_model.encoding.text_encoder import TextEncoder

    settings = request.getfixturevalue(model)
    alone = TextEncoder(settings)
    many = [f"{text} {i % 7} {'dog ' * (i % 5)}" for i in range(30) for text in TEXTS]
    expected = dict(zip(map(sha, many), alone.encode(many).vectors, strict=True))
    frame = encode_frame(texts_frame(spark, many), settings)
    assert frame.columns == list(tables.TEXT_EMBEDDINGS.names)
    assert frame.dtypes == [(column.name, column.type) for column in tables.TEXT_EMBEDDINGS.columns]
    rows = frame.collect()
    assert len(rows) == len(many)
    for row in rows:
        assert row.encoder == alone.version and row.error is None
        np.testing.assert_allclose(row.embedding, expected[row.text_hash], atol=1e-5)


@pytest.mark.spark
def test_a_poisoned_text_costs_its_own_row(spark, tiny_gpt):
    from interest_model.encoding.text_embeddings import encode_frame

    poison = "a lamp of plutonium"
    texts = texts_frame(spark, [*TEXTS, poison, None]).coalesce(1)
    rows = {row.text_hash: row for row in encode_frame(texts, tiny_gpt).collect()}
    assert len(rows) == len(TEXTS) + 2
    assert [rows[sha(text)].error for text in TEXTS] == [None] * len(TEXTS)
    assert all(len(rows[sha(text)].embedding) == 32 for text in TEXTS)
    assert rows[sha(poison)].embedding is None and rows[sha(poison)].error == "IndexError: index out of range in self"
    assert rows[None].embedding is None and rows[None].error is None


@pytest.mark.spark
def test_weights_that_differ_between_machines_stop_the_stage(spark, tiny_bert, tmp_path):
    """The version is made on the driver; weights changed before the tasks load them must not pass for it."""
    from pyspark.errors import PythonException

    from interest_model.encoding.text_embeddings import encode_frame

    copy = tmp_path / "model"
    shutil.copytree(tiny_bert.model, copy)
    frame = encode_frame(texts_frame(spark, TEXTS), dataclasses.replace(tiny_bert, model=str(copy)))
    with open(copy / "model.safetensors", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x00\x00\x80\x3f")
    with pytest.raises(PythonException, match="install the same weights"):
        frame.collect()
