"""Spark's ALS for implicit feedback as a peer: a grid searched on the inner slice, then refitted.

    python benchmarks/peers/spark_als.py FOLDER       in this project's own environment

FOLDER and the inner slice: see models.py. The strength of a pair is how often the user took the item.
"""

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import search  # the file beside this one
from models import SEED, Log, in_chunks
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession

RANKS, PENALTIES, ALPHAS = (32, 64, 128), (0.01, 0.1), (1.0, 10.0)  # as of implicit_als in models.py
ITERATIONS = 15
CHECKPOINTED = 3  # iterations from one checkpoint to the next: the plan of all 15 overflows the JVM's stack
CORES = 2

Setting = tuple[int, float, float]  # rank, regParam, alpha


def start_session(scratch: Path) -> SparkSession:
    """Spark as it comes. Not conf/spark: that is for short jobs, its JVM compiles too little for ALS."""
    os.environ["SPARK_CONF_DIR"] = str(scratch)
    settings = {
        "spark.driver.memory": "4g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(CORES),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    session = SparkSession.builder.appName("peer").master(f"local[{CORES}]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.sparkContext.setCheckpointDir(str(scratch / "checkpoints"))
    return session


def ratings(session: SparkSession, log: Log) -> DataFrame:
    """One row per user and item of the log, kept in memory: user, item, rating (how often)."""
    counts = log.matrix(np.ones(len(log.users))).tocoo()
    table = pa.table({"user": counts.row, "item": counts.col, "rating": counts.data})
    return session.createDataFrame(table).repartition(CORES, "user").cache()


def fitted(rows: DataFrame, log: Log, setting: Setting) -> search.Lister:
    rank, penalty, alpha = setting
    als = ALS(
        rank=rank, regParam=penalty, alpha=alpha, maxIter=ITERATIONS, implicitPrefs=True, seed=SEED,
        userCol="user", itemCol="item", ratingCol="rating", numUserBlocks=CORES, numItemBlocks=CORES,
        checkpointInterval=CHECKPOINTED,
    )  # fmt: skip
    model = als.fit(rows)
    users, items = vectors(model.userFactors, log.n_users), vectors(model.itemFactors, log.n_items)

    def score(some: np.ndarray) -> np.ndarray:
        found = users[some] @ items.T
        return np.where(np.isnan(found), -np.inf, found)

    return lambda some, variant, length: in_chunks(score, log, some, variant, length)


def vectors(factors: DataFrame, n: int) -> np.ndarray:
    """(n, rank) by id; NaN for ids that the model does not have."""
    table = factors.toArrow().combine_chunks()
    features = table.column("features").combine_chunks()
    found = np.full((n, len(features[0])), np.nan, np.float32)
    found[table.column("id").to_numpy()] = features.flatten().to_numpy().reshape(len(features), -1)
    return found


def candidates(session: SparkSession, log: Log) -> Iterator[tuple[Setting, search.Lister]]:
    rows = ratings(session, log)
    for setting in itertools.product(RANKS, PENALTIES, ALPHAS):
        yield setting, fitted(rows, log, setting)


def fit(session: SparkSession, log: Log, setting: Setting) -> search.Lister:
    return fitted(ratings(session, log), log, setting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        session = start_session(Path(scratch))
        search.run(search.Peer("spark_als", partial(candidates, session), partial(fit, session)), folder)
        session.stop()


if __name__ == "__main__":
    main()
