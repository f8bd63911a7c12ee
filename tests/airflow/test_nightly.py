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
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-airflow: run make airflow-env"),
]


def airflow_python(script: str, home: Path, *arguments: object, **environment: str) -> str:
    """Last line that a script prints under Airflow's Python; the test fails with its errors."""
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_SPARK_DEFAULT": "spark://local",
        **environment,
    }
    done = subprocess.run(
        [PYTHON, REPOSITORY / "tests" / "airflow" / script, *map(str, arguments)],
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


def test_steps_stand_in_the_order_of_the_flow_between_claim_and_finish(dag):
    order = ["claim", *JOBS, "finish"]
    after = {name: task["after"] for name, task in dag["tasks"].items()}
    assert after == {"claim": [], **{job: [before] for before, job in zip(order, order[1:], strict=False)}}


def test_each_task_submits_its_own_job_with_the_same_arguments(dag):
    for name, task in dag["tasks"].items():
        assert task["application"] == f"jobs/{name}.py"
        assert task["arguments"][::2] == ["--run-date", "--source", "--raw", "--warehouse", "--owner", "--config"]
        assert task["deploy_mode"] is None  # a deploy mode would make local masters fail


def test_owner_is_the_airflow_run_so_that_all_steps_share_one_claim(dag):
    assert {task["arguments"][9] for task in dag["tasks"].values()} == {"{{ run_id }}"}


def test_run_date_is_the_day_that_has_ended(dag):
    assert dag["timetable"] == "CronDataIntervalTimetable"
    assert dag["run_date_of_a_run_at_2013_08_21_06_utc"] == "2013-08-20"


def test_run_date_is_a_day_of_the_logs_zone(tmp_path):
    # 06:00 UTC is 08:00 of the 21st in Paris: the 20th has ended, though it began on the 19th in UTC
    dag = json.loads(airflow_python("inspect_dag.py", tmp_path, INTEREST_ZONE="Europe/Paris"))
    assert dag["run_date_of_a_run_at_2013_08_21_06_utc"] == "2013-08-20"


def test_settings_are_those_of_the_variable_or_the_base(dag):
    assert dag["configs"] == [str(REPOSITORY / "conf" / "base.yaml"), "/conf/cluster.yaml"]


def test_a_run_started_by_hand_says_its_day(dag):
    assert dag["run_date_by_hand"] == "2013-08-05"


def test_nights_do_not_overlap(dag):
    assert dag["max_active_runs"] == 1
    assert dag["catchup"] is False


def test_tasks_are_tried_again_after_a_pause(dag):
    assert all(task["retries"] > 0 and task["retry_delay_seconds"] >= 60 for task in dag["tasks"].values())


def test_nothing_heavy_is_imported(dag):
    assert dag["heavy_imports"] == []


def test_permanent_exit_codes_are_not_tried_again(tmp_path):
    fake = tmp_path / "spark-submit"
    fake.write_text('#!/bin/sh\nexit "$(cat "$(dirname "$0")/code")"\n')
    fake.chmod(0o755)
    outcomes = json.loads(airflow_python("submit_with_exit_code.py", tmp_path, tmp_path))
    assert outcomes.pop("0") == "done"
    for code, error in outcomes.items():
        assert error == ("AirflowFailException" if int(code) in EXIT_CODES_PERMANENT else "AirflowException"), code
