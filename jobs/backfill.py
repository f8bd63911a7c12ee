"""The nights of a range that are not done yet, in one session; goes on after a failure."""

import argparse

from interest_model.commands import backfill
from interest_model.job import guarded
from interest_model.job_arguments import add_night_arguments, day

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_night_arguments(parser)
    parser.add_argument("--to", type=day, default=None, help="last day of the range (default: --run-date)")
    options = parser.parse_args()
    raise SystemExit(guarded(lambda: backfill(options)))
