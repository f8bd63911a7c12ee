"""Run by Airflow's own Python: what the DAG file really holds, as JSON on the last line."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.encoders import coerce_to_core_timetable

folder = Path(__file__).resolve().parents[2] / "airflow_dags"
bag = DagBag(dag_folder=str(folder))
if bag.import_errors:
    sys.exit(f"the DAG cannot be imported: {bag.import_errors}")
dag = bag.dags["interest_model_nightly"]
timetable = coerce_to_core_timetable(dag.timetable)
interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2013, 8, 21, 6, tz="UTC"))
tasks = {
    task.task_id: {
        "after": sorted(task.upstream_task_ids),
        "application": str(Path(task.application).relative_to(folder.parent)),
        "arguments": task.application_args,
        "retries": task.retries,
        "retry_delay_seconds": task.retry_delay.total_seconds(),
        "deploy_mode": task._deploy_mode,
    }
    for task in dag.tasks
}
run_date = tasks["claim"]["arguments"][1]
template = dag.get_template_env().from_string(run_date)
rendered = template.render(data_interval_start=interval.start, dag_run=SimpleNamespace(conf=None))
by_hand = template.render(dag_run=SimpleNamespace(conf={"run_date": "2013-08-05"}))
config = dag.get_template_env().from_string(tasks["claim"]["arguments"][-1])
variables = SimpleNamespace(value={}), SimpleNamespace(value={"interest_config": "/conf/cluster.yaml"})
configs = [config.render(var=one) for one in variables]
heavy = sorted(name for name in ("pyspark", "torch", "pandas", "mlflow", "delta") if name in sys.modules)
print(
    json.dumps(
        {
            "tasks": tasks,
            "timetable": type(dag.timetable).__name__,
            "run_date_of_a_run_at_2013_08_21_06_utc": rendered,
            "run_date_by_hand": by_hand,
            "configs": configs,
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "heavy_imports": heavy,
        }
    )
)
