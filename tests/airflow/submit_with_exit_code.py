"""Run by Airflow's own Python with a spark-submit on PATH that ends with a given code: which error comes out?"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "airflow_dags"))
import nightly  # noqa: E402  the path comes first

step = nightly.SparkStep(task_id="probe", application="probe.py", durable=False)
try:
    step.execute({})
except Exception as error:
    print(type(error).__name__)
else:
    print("no error")
