"""Runs a job file as it is, then says as JSON what its session was like: launch_probe.py JOB_FILE ARGUMENTS..."""

import json
import runpy
import sys

from pyspark.sql import SparkSession

job = sys.argv.pop(1)
try:
    runpy.run_path(job, run_name="__main__")
except SystemExit as end:
    code = end.code
spark = SparkSession.active()
jvm = spark._jvm.java
midnight = spark.sql("select timestamp'2013-08-20 00:30:00' as moment").head()["moment"]
facts = {
    "code": code,
    "driver_memory_mb": jvm.lang.Runtime.getRuntime().maxMemory() // 2**20,
    "session_zone": spark.conf.get("spark.sql.session.timeZone"),
    "jvm_zone": jvm.util.TimeZone.getDefault().getID(),
    "half_past_midnight_in_python": midnight.isoformat(),
    "timestamps": spark.conf.get("spark.sql.parquet.outputTimestampType"),
    "delta": spark.conf.get("spark.jars.packages"),
}
spark.stop()
print(json.dumps(facts))
