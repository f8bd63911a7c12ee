#!/usr/bin/env bash
# One real day under Airflow (`airflow dags test` runs a whole DAG without a scheduler), the same day by `interest-model run`,
# and a comparison of the tables of both. RAW, SOURCE, RUN_DATE choose the day; by default MovieTweetings where
# INTEREST_DATA_DIR names the real logs, else the sample log.
set -euo pipefail

raw=${RAW:-} source=${SOURCE:-} run_date=${RUN_DATE:-}
if [ -z "$raw" ] && [ -n "${INTEREST_DATA_DIR:-}" ]; then
    raw=$INTEREST_DATA_DIR/movietweetings source=movietweetings run_date=2013-08-20
elif [ -z "$raw" ]; then
    raw=sample_log source=shop run_date=2026-01-28
    [ -d "$raw" ] || .venv/bin/interest-model sample --out "$raw" --preset "$source" --first-day 2026-01-01 --days 28
fi
raw=$(realpath "$raw")
home=$PWD/.airflow
rm -rf "$home"
mkdir -p "$home"

# The same keys for both runs, or the same people would have other pseudonyms.
new_key='from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'
export INTEREST_USER_KEY="${INTEREST_USER_KEY:-$(.venv/bin/python -c "$new_key")}"
export INTEREST_RAW_KEY="${INTEREST_RAW_KEY:-$(.venv/bin/python -c "$new_key")}"

SECONDS=0
(
    export AIRFLOW_HOME=$home AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__CORE__DAGS_FOLDER=$PWD/airflow_dags
    export AIRFLOW_CONN_SPARK_DEFAULT='{"conn_type": "spark", "host": "local[2,4]"}'
    export AIRFLOW_VAR_INTEREST_SOURCE=$source AIRFLOW_VAR_INTEREST_RAW=$raw AIRFLOW_VAR_INTEREST_WAREHOUSE=$home/warehouse
    export PATH=$PWD/.venv/bin:$PATH PYSPARK_PYTHON=$PWD/.venv/bin/python SPARK_CONF_DIR=$PWD/conf/spark
    .venv-airflow/bin/airflow db migrate >"$home/db.log" 2>&1
    # some hours after the day has ended: the DAG's data interval is then that day
    .venv-airflow/bin/airflow dags test interest_model_nightly "$(date -d "$run_date + 1 day" +%F)T06:00:00+00:00" \
        >"$home/run.log" 2>&1 || { tail -n 60 "$home/run.log" >&2; exit 1; }
)
echo "Airflow ran $run_date of $source in $SECONDS seconds (log: .airflow/run.log)"

SECONDS=0
.venv/bin/interest-model run --run-date "$run_date" --source "$source" --raw "$raw" --warehouse "$home/by_run" >"$home/by_run.log"
echo "interest-model run did the same day in $SECONDS seconds"
.venv/bin/interest-model compare "$home/warehouse" "$home/by_run"
