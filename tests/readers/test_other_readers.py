"""delta-rs, DuckDB and pandas read every table and agree with Spark, value by value."""

import json
import subprocess
from pathlib import Path

import pytest

from interest_model.storage import Storage
from interest_model.tables import BY_NAME
from tests.readers.checksums import canonical, column_checksums

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-readers" / "bin" / "python"
ENGINES = ("delta_rs", "duckdb", "pandas")


@pytest.fixture(scope="module")
def read_elsewhere(night_warehouse) -> dict:
    if not PYTHON.exists():
        pytest.skip("no .venv-readers: run make readers")
    command = [PYTHON, REPOSITORY / "tests" / "readers" / "read_tables.py", str(night_warehouse)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.spark
@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"promotions"}))  # which a training writes, not a night
def test_every_reader_finds_the_rows_that_spark_finds(name, spark, night_warehouse, read_elsewhere):
    storage = Storage(spark, str(night_warehouse))
    if not storage.exists(name):
        pytest.fail(f"a night leaves every table, at least empty; {name} is not there")
    frame = storage.read(name)
    rows = frame.collect()
    expected = {"rows": len(rows), "columns": column_checksums(frame.columns, rows)}
    assert set(expected["columns"]) == set(BY_NAME[name].names)
    for engine in ENGINES:
        assert read_elsewhere[name][engine] == expected, engine


def test_a_checksum_tells_values_apart_but_not_their_order():
    rows = [("a", 1.0), ("b", None)]
    same = column_checksums(("x", "y"), rows)
    assert same == column_checksums(("x", "y"), reversed(rows))
    assert same["x"] != column_checksums(("x", "y"), [("a", 1.0), ("c", None)])["x"]
    assert same["y"] != column_checksums(("x", "y"), [("a", 1.0), ("b", 0.0)])["y"]


def test_engines_write_one_value_in_more_than_one_way():
    assert canonical({"b": "2", "a": "1"}) == canonical([("a", "1"), ("b", "2")])
    assert canonical(bytearray(b"\x01")) == canonical(b"\x01")
    assert canonical([1.5, None]) == canonical((1.5, None))
