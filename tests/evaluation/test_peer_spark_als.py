"""Spark's ALS as a peer, on two groups of people with items of their own."""

import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytestmark = pytest.mark.spark
with pytest.MonkeyPatch.context() as patch:  # spark_als.py imports the files beside it, as a script does
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks" / "peers")
    models, spark_als = importlib.import_module("models"), importlib.import_module("spark_als")

N_USERS, N_ITEMS = 30, 21  # item 20 is nobody's


@pytest.fixture
def log():
    """Even users take 6 of the items 0 to 9, odd ones of 10 to 19, some of them twice."""
    rng = np.random.default_rng(2)
    items = np.concatenate([10 * (user % 2) + rng.permutation(10)[:6] for user in range(N_USERS)])
    users = np.repeat(np.arange(N_USERS), 6)
    users, items = np.concatenate([users, users[:40]]), np.concatenate([items, items[:40]])
    return models.Log(users, items, np.arange(len(users), dtype=float), N_USERS, N_ITEMS, float(len(users)))


def test_people_are_listed_what_their_group_takes(spark, log, tmp_path):
    spark.sparkContext.setCheckpointDir(str(tmp_path))
    lists = spark_als.fit(spark, log, (2, 0.1, 10.0))
    some = np.array([4, 5, 29])
    assert np.array_equal(lists(some, "repeat", 10) // 10, np.repeat(some[:, None] % 2, 10, axis=1))
    novel, seen = lists(some, "novel", 20), log.matrix()[some].toarray() > 0
    assert not np.take_along_axis(seen, novel.clip(0), axis=1)[novel >= 0].any()
    assert (np.sort(novel, axis=1)[:, :6] == -1).all()  # 21 items less 6 seen and one that the model does not know
    assert np.array_equal(novel[:, :4] // 10, np.repeat(some[:, None] % 2, 4, axis=1))


def test_ratings_count_how_often(spark, log):
    rows = spark_als.ratings(spark, log).toArrow()
    counts = log.matrix(np.ones(len(log.users))).toarray()
    assert rows.num_rows == (counts > 0).sum() and sorted(set(rows["rating"].to_pylist())) == [1.0, 2.0]
    for user, item, rating in zip(*(rows[name].to_pylist() for name in ("user", "item", "rating")), strict=True):
        assert counts[user, item] == rating


def test_what_the_model_does_not_know_has_no_vector(spark):
    table = pa.table(
        {"id": pa.array([2, 0], pa.int32()), "features": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32()))}
    )
    found = spark_als.vectors(spark.createDataFrame(table), 3)
    assert found[[0, 2]].tolist() == [[3, 4], [1, 2]] and np.isnan(found[1]).all()
