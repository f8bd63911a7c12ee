"""One job by `python` and by `spark-submit`: the same driver memory, time zone and table."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interest_model.storage import Storage

REPOSITORY = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.spark, pytest.mark.slow]

MAPPING = """\
name: tiny
zone: UTC
repeats: false
inputs:
  - files: log.csv
    format: csv
    time_formats: [epoch_seconds]
    event_type: view
    columns: {user_id: user, item_id: item, event_ts: at}
weights: {view: 1.0}
consumption: "true"
positive: "true"
"""
# 2013-08-20 00:30:00, 12:00:00 and, arrived in the same file, a line without a user
LOG = "user,item,at\nann,film,1376958600\nbob,book,1377000000\n,film,1377000001\n"


@pytest.fixture(scope="module")
def tiny_log(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(MAPPING)
    (folder / "raw").mkdir()
    (folder / "raw" / "log.csv").write_text(LOG)
    return folder


def launch(starter: str, folder: Path, **environment: str) -> dict:
    """The facts of a session that ran jobs/events.py on a machine whose own clock is New York's."""
    arguments = [
        "--run-date",
        "2013-08-20",
        "--source",
        "tiny.yaml",
        "--raw",
        "raw",
        "--warehouse",
        str(folder / starter),
    ]
    command = [
        starter,
        str(REPOSITORY / "tests" / "launch_probe.py"),
        str(REPOSITORY / "jobs" / "events.py"),
        *arguments,
    ]
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    machine |= {
        "PATH": f"{Path(sys.executable).parent}:{machine['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "TZ": "America/New_York",
        "INTEREST_USER_KEY": "0123456789abcdef",
        "INTEREST_RAW_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    }
    done = subprocess.run(
        command, cwd=folder, env=machine | environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    assert facts["code"] == 0, done.stderr
    return facts


@pytest.fixture(scope="module")
def both(tiny_log) -> tuple[dict, dict]:
    """The facts of a session started by python and of one by spark-submit, run side by side."""
    submitted = {"SPARK_CONF_DIR": str(REPOSITORY / "conf" / "spark")}
    with ThreadPoolExecutor() as pool:
        other = pool.submit(launch, "spark-submit", tiny_log, **submitted)
        return launch("python", tiny_log), other.result()


@pytest.fixture(scope="module")
def by_python(both) -> dict:
    return both[0]


@pytest.fixture(scope="module")
def by_spark_submit(both) -> dict:
    return both[1]


def test_both_have_the_memory_and_zone_of_spark_defaults(by_python, by_spark_submit):
    assert by_python == by_spark_submit
    # the JVM counts a little less than its limit; without spark-defaults.conf it would be 1,024
    assert 3500 < by_python["driver_memory_mb"] <= 4096
    assert by_python["session_zone"] == by_python["jvm_zone"] == "UTC"
    assert by_python["half_past_midnight_in_python"] == "2013-08-20T00:30:00"
    assert by_python["timestamps"] == "TIMESTAMP_MICROS"


def test_both_write_the_same_tables(spark, tiny_log, by_python, by_spark_submit):
    for name, rows in (("events", 2), ("events_rejected", 1)):
        tables = [Storage(spark, str(tiny_log / starter)).read(name) for starter in ("python", "spark-submit")]
        # an encrypted line is another token each time
        first, second = (frame.drop("raw_encrypted").orderBy(*frame.columns[:3]).collect() for frame in tables)
        assert first == second
        assert len(first) == rows


def test_events_fall_on_the_days_of_the_log_not_of_the_machine(spark, tiny_log, by_python):
    events = Storage(spark, str(tiny_log / "python")).read("events")
    assert {str(row["event_date"]) for row in events.collect()} == {"2013-08-20"}
