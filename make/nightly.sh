#!/usr/bin/env bash
# One night: nightly.sh RAW SOURCE RUN_DATE WAREHOUSE. Without RAW it writes a sample log first and uses that.
set -euo pipefail
raw=$1 source=$2 run_date=$3 warehouse=$(realpath -m "$4")

SECONDS=0
if [ -z "$raw" ]; then
    raw=sample_log source=shop run_date=2026-01-28
    [ -d "$raw" ] || .venv/bin/interest-model sample --out "$raw" --preset "$source" --first-day 2026-01-01 --days 28
elif [ -z "$source" ] || [ -z "$run_date" ]; then
    echo "error: RAW= needs SOURCE= (a mapping, see conf/sources) and RUN_DATE= (a day of the log)" >&2
    exit 2
fi
.venv/bin/interest-model run --run-date "$run_date" --source "$source" --raw "$raw" --warehouse "$warehouse"
echo "the night took $SECONDS seconds; the tables are in $warehouse"
