"""What it costs to get vectors out of Python into Spark, without any model: three kinds of function, the same vectors.

    python benchmarks/arrow_edge.py [--rows N] [--rounds N]

Two cores; each function makes vectors of 384 floats per Arrow batch in one go and the frame goes to the noop sink.
The encode stage uses mapInArrow with one flat buffer, the fastest of the three.
"""

import argparse
import statistics
import time

import numpy as np
import pandas as pd
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import ArrayType, FloatType

from interest_model.session import start_session

WIDTH = 384


def by_pandas_udf(frame: DataFrame) -> DataFrame:
    @pandas_udf("array<float>")
    def vectors(ids: pd.Series) -> pd.Series:
        return pd.Series(np.ones((len(ids), WIDTH), np.float32).tolist())

    return frame.select("id", vectors("id"))


def by_predict_batch_udf(frame: DataFrame) -> DataFrame:
    def load():
        return lambda ids: np.ones((len(ids), WIDTH), np.float32)

    udf = predict_batch_udf(load, return_type=ArrayType(FloatType()), batch_size=4096)
    return frame.select("id", udf("id"))


def by_map_in_arrow(frame: DataFrame) -> DataFrame:
    import pyarrow as pa

    from interest_model.on_executors import list_column, map_batches

    def vectors(batches):
        for batch in batches:
            n = batch.num_rows
            column = list_column(np.ones((n, WIDTH), np.float32), np.ones(n, bool))
            yield pa.RecordBatch.from_arrays([batch.column("id"), column], names=["id", "vector"])

    return map_batches(frame, vectors, "id long, vector array<float>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    frame = start_session("benchmark", master="local[2]").range(options.rows).repartition(2).persist()
    frame.count()
    seconds: dict = {function: [] for function in (by_pandas_udf, by_predict_batch_udf, by_map_in_arrow)}
    for _ in range(options.rounds + 1):  # the first round warms up
        for function, taken in seconds.items():
            begun = time.perf_counter()
            function(frame).write.format("noop").mode("overwrite").save()
            taken.append(time.perf_counter() - begun)
    for function, taken in seconds.items():
        median = statistics.median(taken[1:])
        print(f"{function.__name__:24} {median:6.2f} s {options.rows / median:10,.0f} rows/s")


if __name__ == "__main__":
    main()
