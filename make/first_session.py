"""Starts a session with the static settings and writes and reads a Delta table; fails where the jars are missing."""

import tempfile

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").appName("first session").getOrCreate()
with tempfile.TemporaryDirectory() as folder:
    spark.range(1).write.format("delta").save(f"{folder}/table")
    assert spark.read.format("delta").load(f"{folder}/table").count() == 1
spark.stop()
