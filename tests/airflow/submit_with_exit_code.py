"""Run by Airflow's own Python: which error comes out where spark-submit ends with a given code? JSON on the last line.

The folder named first holds a spark-submit that ends with the code in the file `code` beside it.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "airflow_dags"))
import nightly  # noqa: E402  the path comes first

folder = Path(sys.argv[1])
os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
outcomes = {}
for code in range(9):
    (folder / "code").write_text(str(code))
    try:
        nightly.SparkStep(task_id=f"probe_{code}", application="probe.py", durable=False).execute({})
        outcomes[code] = "done"
    except Exception as error:
        outcomes[code] = type(error).__name__
print(json.dumps(outcomes))
