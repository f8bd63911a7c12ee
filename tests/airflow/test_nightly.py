"""The DAG as Airflow sees it. Airflow lives in an environment of its own, so its Python is asked in a subprocess."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from interest_model.errors import EXIT_CODES_PERMANENT
from interest_model.flow import JOBS

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-airflow" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-airflow: make airflow-env"),
]


def airflow_python(script: str, home: Path, **environment: str) -> str:
    """Standard output of a script under Airflow's Python; the test fails with its errors."""
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_SPARK_DEFAULT": "spark://local",
        **environment,
    }
    done = subprocess.run(
        [PYTHON, REPOSITORY / "tests" / "airflow" / script],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def dag(tmp_path_factory) -> dict:
    return json.loads(airflow_python("inspect_dag.py", tmp_path_factory.mktemp("airflow")))


def test_steps_stand_in_the_order_of_the_flow(dag):
    tasks = dag["tasks"]
    assert set(tasks) == {"claim", *JOBS, "finish"}
    for before, job in zip(("claim", *JOBS), JOBS, strict=False):
        assert tasks[job]["after"] == [before]
    assert JOBS[-1] in tasks["finish"]["after"]


def test_each_task_submits_its_own_job_with_the_same_arguments(dag):
    for name, task in dag["tasks"].items():
        assert task["application"] == f"jobs/{name}.py"
        assert task["arguments"][::2] == ["--run-date", "--source", "--raw", "--warehouse", "--owner"]
        assert task["deploy_mode"] is None  # a deploy mode would make local masters fail


def test_owner_is_the_airflow_run_so_that_all_steps_share_one_claim(dag):
    assert {task["arguments"][-1] for task in dag["tasks"].values()} == {"{{ run_id }}"}


def test_run_date_is_the_day_that_has_ended(dag):
    assert dag["timetable"] == "CronDataIntervalTimetable"
    assert dag["run_date_of_a_run_at_2013_08_21_06_utc"] == "2013-08-20"


def test_run_date_is_a_day_of_the_logs_zone(tmp_path):
    # 06:00 UTC is 23:00 of the 20th in Phoenix: the last day that has ended there is the 19th
    dag = json.loads(airflow_python("inspect_dag.py", tmp_path, INTEREST_ZONE="America/Phoenix"))
    assert dag["run_date_of_a_run_at_2013_08_21_06_utc"] == "2013-08-19"


def test_run_date_east_of_greenwich(tmp_path):
    # 06:00 UTC is 08:00 of the 21st in Paris: the 20th has ended, though it began on the 19th in UTC
    dag = json.loads(airflow_python("inspect_dag.py", tmp_path, INTEREST_ZONE="Europe/Paris"))
    assert dag["run_date_of_a_run_at_2013_08_21_06_utc"] == "2013-08-20"


def test_nights_do_not_overlap_and_the_claim_is_given_back_after_a_failure(dag):
    assert dag["max_active_runs"] == 1
    assert dag["catchup"] is False
    assert [name for name, task in dag["tasks"].items() if task["teardown"]] == ["finish"]


def test_tasks_are_tried_again_after_a_pause(dag):
    assert all(task["retries"] > 0 and task["retry_delay_seconds"] >= 60 for task in dag["tasks"].values())


def test_nothing_heavy_is_imported(dag):
    assert dag["heavy_imports"] == []


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7])
def test_permanent_exit_codes_are_not_tried_again(code, tmp_path):
    fake = tmp_path / "bin" / "spark-submit"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    error = airflow_python("submit_with_exit_code.py", tmp_path, PATH=f"{fake.parent}:{os.environ['PATH']}")
    if code == 0:
        assert error == "no error"
    else:
        assert error == ("AirflowFailException" if code in EXIT_CODES_PERMANENT else "AirflowException")
