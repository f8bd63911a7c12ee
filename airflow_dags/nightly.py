"""The nightly run under Airflow: one spark-submit per step of interest_model.flow, in its order.

Airflow variables say what is run (environment: AIRFLOW_VAR_<NAME>): interest_source, interest_raw, interest_warehouse,
and, where conf/base.yaml alone does not say how, interest_config: a file with other settings.
The worker's environment says with what: the Spark environment's bin first on PATH, PYSPARK_PYTHON, SPARK_CONF_DIR, the
keys, and a connection `spark_default` without deploy mode. See docs/operations.md.
"""

import os
import re
import sys
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, chain
from airflow.sdk.exceptions import AirflowException, AirflowFailException

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
from interest_model.errors import EXIT_CODES_PERMANENT  # noqa: E402  the path comes first
from interest_model.flow import JOBS  # noqa: E402

ZONE = os.environ.get("INTEREST_ZONE", "UTC")  # the log's: a day ends at its midnight
# The day is where the data interval begins. `ds` alone is the day after (Airflow 3), or a UTC day in another zone. A
# run started by hand has no interval and says its day: airflow dags trigger NAME --conf '{"run_date": "2026-01-05"}'.
_SCHEDULED = f"(data_interval_start.in_timezone('{ZONE}') | ds)"
RUN_DATE = f"{{{{ dag_run.conf['run_date'] if 'run_date' in (dag_run.conf or {{}}) else {_SCHEDULED} }}}}"
ARGUMENTS = [
    *("--run-date", RUN_DATE),
    *("--source", "{{ var.value.interest_source }}"),
    *("--raw", "{{ var.value.interest_raw }}"),
    *("--warehouse", "{{ var.value.interest_warehouse }}"),
    *("--owner", "{{ run_id }}"),
    *("--config", f"{{{{ var.value.get('interest_config', '{REPOSITORY / 'conf' / 'base.yaml'}') }}}}"),
]
# What steps ask of a cluster; local mode has one process and takes spark-defaults.conf's driver memory.
RESOURCES = {
    "item_embeddings": {"executor_memory": "4g"},  # one encoder per Python worker
    "behaviour_embeddings": {"executor_memory": "4g"},
    "ranker": {"executor_memory": "4g"},
}


class SparkStep(SparkSubmitOperator):
    """Submits one job. Permanent exit codes (data, arguments, settings) fail at once; others are tried again."""

    def execute(self, context):
        try:
            super().execute(context)
        except AirflowException as error:
            code = re.search(r"Error code is: (\d+)", str(error))
            if code and int(code.group(1)) in EXIT_CODES_PERMANENT:
                message = f"{self.task_id}: exit code {code.group(1)}, trying again changes nothing"
                raise AirflowFailException(message) from error
            raise


def step(job: str) -> SparkStep:
    return SparkStep(
        task_id=job,
        application=str(REPOSITORY / "jobs" / f"{job}.py"),
        application_args=ARGUMENTS,
        name=f"interest-model {job}",
        **RESOURCES.get(job, {}),
    )


with DAG(
    "interest_model_nightly",
    # half an hour after the day ends; the interval, not the moment of the run, names the day
    schedule=CronDataIntervalTimetable("30 0 * * *", timezone=ZONE),
    start_date=pendulum.datetime(1990, 1, 1, tz=ZONE),  # before any log: a run before it has no tasks and succeeds
    catchup=False,
    max_active_runs=1,  # a night reads what the one before has written
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": 2.0,  # each wait is so many times the one before, and up to as long again
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=6),
    },
    tags=["interest_model"],
    doc_md=__doc__,
):
    # A failed night keeps its claim: clear the failed step here and it goes on under the same owner.
    chain(*(step(job) for job in ("claim", *JOBS, "finish")))
