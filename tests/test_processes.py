"""Nights as processes of their own: two of one day at once, one killed without warning."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from interest_model.storage import Storage
from tests.test_nights import differing

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
SECOND = date(2026, 1, 9)
REPOSITORY = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 600  # for a night on a busy machine; only a night that hangs reaches it


def start_night(raw: Path, warehouse: Path, log: Path, *more: str) -> subprocess.Popen:
    """`interest-model run` of the second night as a process group of its own; its output goes to `log`."""
    command = [sys.executable, "-m", "interest_model.cli", "run", "--run-date", str(SECOND), "--source", "shop"]
    command += ["--raw", str(raw), "--warehouse", str(warehouse), "--set", "tracking.enabled=false"]
    command += ["--set", "forecast.warm_up_days=1", "--set", "forecast.training_cuts=1"]
    command += ["--set", "forecast.steps=20", *more]  # as tests.nights
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with log.open("w") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=REPOSITORY, start_new_session=True
        )


def steps_done(log: Path) -> list[str]:
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return [record["job"] for record in map(json.loads, lines) if record.get("state") == "done"]


def kill_once_done(process: subprocess.Popen, log: Path, job: str) -> None:
    """SIGKILL for the process and its JVM some time into the step after `job`."""
    until = time.monotonic() + WAIT_SECONDS
    while job not in steps_done(log):
        assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_of_two_runs_of_one_day_at_once_one_wins_and_the_other_is_told(
    spark, sample_log, first_night_warehouse, night_warehouse, tmp_path
):
    warehouse = tmp_path / "warehouse"
    shutil.copytree(first_night_warehouse, warehouse)
    logs = [tmp_path / "one.log", tmp_path / "other.log"]
    running = [start_night(sample_log, warehouse, log) for log in logs]
    codes = [process.wait(WAIT_SECONDS) for process in running]
    assert sorted(codes) == [0, 5], [log.read_text()[-2000:] for log in logs]
    refused = logs[codes.index(5)].read_text()
    assert "ClaimError: run_date 2026-01-09 is claimed by" in refused and "remedy" in refused
    assert differing(Storage(spark, str(night_warehouse)), Storage(spark, str(warehouse))) == {}


@pytest.mark.parametrize("job", ["events", "windows", "ranker"])
def test_a_night_killed_without_warning_and_run_again_gives_the_same_tables(
    spark, sample_log, first_night_warehouse, night_warehouse, tmp_path, job
):
    warehouse = tmp_path / "warehouse"
    shutil.copytree(first_night_warehouse, warehouse)
    kill_once_done(start_night(sample_log, warehouse, tmp_path / "killed.log"), tmp_path / "killed.log", job)
    assert start_night(sample_log, warehouse, tmp_path / "refused.log").wait(WAIT_SECONDS) == 5
    again = start_night(sample_log, warehouse, tmp_path / "again.log", "--takeover")
    assert again.wait(WAIT_SECONDS) == 0, (tmp_path / "again.log").read_text()[-3000:]
    assert differing(Storage(spark, str(night_warehouse)), Storage(spark, str(warehouse))) == {}
