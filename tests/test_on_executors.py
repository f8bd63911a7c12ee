"""Arrow plumbing: columns by name, vectors in one buffer, devices from the task."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from interest_model.errors import ContractError, SetupError

SCHEMA = pa.schema([("name", pa.string()), ("size", pa.float32())])


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def test_columns_are_matched_by_name_and_cast():
    from interest_model.on_executors import fit_batch

    fitted = fit_batch(batch(size=[1, 2], name=["a", "b"]), SCHEMA)
    assert fitted.schema == SCHEMA
    assert fitted.to_pydict() == {"name": ["a", "b"], "size": [1.0, 2.0]}


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"name": ["a"]}, "declared are"),
        ({"name": ["a"], "size": [1.0], "more": [1]}, "declared are"),
        ({"name": ["a"], "size": ["not a number"]}, "column size"),
    ],
)
def test_columns_that_do_not_fit_are_named(columns, message):
    from interest_model.on_executors import fit_batch

    with pytest.raises(ContractError, match=message):
        fit_batch(batch(**columns), SCHEMA)


def test_vectors_become_lists_and_null_where_not_valid():
    from interest_model.on_executors import list_column

    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    column = list_column(matrix, np.array([True, False, True]))
    assert column.to_pylist() == [[0.0, 1.0], None, [4.0, 5.0]]
    assert column.type == pa.list_(pa.float32())
    assert list_column(matrix, np.zeros(3, bool)).to_pylist() == [None] * 3
    assert list_column(matrix[:0], np.zeros(0, bool)).to_pylist() == []


def test_rows_are_gathered_and_nothing_is_lost():
    from interest_model.on_executors import gather_rows

    batches = [batch(i=list(range(start, start + size))) for start, size in ((0, 2), (2, 0), (2, 3), (5, 1))]
    tables = list(gather_rows(batches, 4))
    assert [table.column("i").to_pylist() for table in tables] == [[0, 1, 2, 3, 4], [5]]
    assert list(gather_rows([batches[1]], 4)) == []


def test_a_gpu_is_refused_outside_a_task_and_a_cpu_is_not():
    from interest_model.on_executors import task_device

    assert task_device(0.0) == "cpu"
    with pytest.raises(SetupError, match="outside a Spark task"):
        task_device(0.5)


@pytest.mark.spark
def test_map_batches_in_spark_takes_columns_by_name(spark):
    from interest_model.on_executors import map_batches

    def swap(batches):
        for one in batches:
            yield pa.RecordBatch.from_arrays([one.column("b"), one.column("a")], names=["b", "a"])

    frame = spark.createDataFrame([(1, 2), (3, 4)], "a long, b long")
    assert sorted(map(tuple, map_batches(frame, swap, "a long, b long").collect())) == [(1, 2), (3, 4)]


@pytest.mark.spark
def test_local_mode_refuses_gpus_instead_of_waiting(spark):
    from interest_model.on_executors import gpu_profile

    with pytest.raises(SetupError, match="local mode"):
        gpu_profile(spark, 0.5)


CLUSTER = """
import os, sys
from pyspark.sql import SparkSession
from interest_model.errors import SetupError
from interest_model.on_executors import map_batches, task_device
import pyarrow as pa

settings = {
    "spark.worker.resource.gpu.amount": "1",
    "spark.worker.resource.gpu.discoveryScript": sys.argv[1],
    "spark.executor.resource.gpu.amount": "1",
    "spark.task.resource.gpu.amount": "0.001",
    "spark.ui.enabled": "false",
}
builder = SparkSession.builder.master("local-cluster[2,2,1024]")
for key, value in settings.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()

def device(batches):
    rows = sum(one.num_rows for one in batches)
    if rows:
        loaded = "torch" in sys.modules
        yield pa.RecordBatch.from_pydict({"device": [task_device(0.5)], "rows": [rows], "torch": [loaded]})

try:
    frame = spark.range(40).repartition(4)
    found = map_batches(frame, device, "device string, rows long, torch boolean", 0.5).collect()
    devices, rows = sorted({row.device for row in found}), sum(row.rows for row in found)
    print("FOUND", devices, rows, any(row.torch for row in found))
    try:
        map_batches(frame, device, "device string, rows long, torch boolean", 2.0)
    except SetupError as error:
        print("REFUSED", error)
finally:
    spark.stop()
"""


@pytest.mark.spark
@pytest.mark.slow
def test_the_address_a_cluster_hands_out_reaches_the_task_without_cuda(tmp_path):
    """A fake discovery script claims GPU 7; each task must be told cuda:7, and nothing may import torch for it."""
    script = tmp_path / "discover.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["7"]}\'\n')
    script.chmod(0o755)
    program = tmp_path / "cluster.py"
    program.write_text(CLUSTER)
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "PYSPARK_PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(program), str(script)], env=environment, capture_output=True, text=True, timeout=540
    )
    assert "FOUND ['cuda:7'] 40 False" in done.stdout, done.stdout + done.stderr
    assert "REFUSED each encoding task asks for 2.0 GPUs, executors have 1" in done.stdout
