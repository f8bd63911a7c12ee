#!/usr/bin/env bash
# Starts one Spark session, so that the Delta jars lie in Ivy's cache and later sessions start without the network.
set -euo pipefail

stamp=.venv/.jars
[ conf/spark/spark-defaults.conf -nt "$stamp" ] || exit 0
SECONDS=0
export SPARK_CONF_DIR="${SPARK_CONF_DIR:-$PWD/conf/spark}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! .venv/bin/python make/first_session.py >"$log" 2>&1; then
    grep -iE 'unresolved|exception|error' "$log" | head -n 10 >&2 || tail -n 40 "$log" >&2
    cat >&2 <<'REMEDY'
error: Spark could not start a session with Delta (its own words are above; "unresolved dependency" means
  that the jars could not be fetched from Maven Central)
  remedy: let this machine reach Maven Central or a mirror (spark.jars.ivySettings), or put delta-spark_2.13-4.0.1.jar,
  delta-storage-4.0.1.jar and antlr4-runtime-4.13.1.jar somewhere and name them in conf/spark/spark-defaults.conf:
  comment out spark.jars.packages and add the line
    spark.jars /path/delta-spark_2.13-4.0.1.jar,/path/delta-storage-4.0.1.jar,/path/antlr4-runtime-4.13.1.jar
REMEDY
    exit 6
fi
touch "$stamp"
echo "Spark and Delta work: first session after $SECONDS seconds"
