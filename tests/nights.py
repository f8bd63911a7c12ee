"""Nights of the sample, for tests."""

import argparse
from datetime import date
from pathlib import Path

from interest_model.job_arguments import add_night_arguments, day


def options(raw: Path, warehouse: Path, first: date, last: date | None = None, **more) -> argparse.Namespace:
    """Arguments of a run over the days first to last; `more` sets further ones (source, set, takeover, ...)."""
    parser = argparse.ArgumentParser()
    add_night_arguments(parser)
    parser.add_argument("--to", type=day, default=None)
    given = parser.parse_args(
        ["--run-date", str(first), "--to", str(last or first), "--source", "shop", "--raw", str(raw)]
        + ["--warehouse", str(warehouse), "--set", "tracking.enabled=false"]
        # the sample is nine days old: forecasts are learned all the same, in a few steps; trees cost time
        + ["--set", "forecast.warm_up_days=1", "--set", "forecast.training_cuts=1", "--set", "forecast.steps=20"]
        + ["--set", "ranker.lessons=0"]
    )
    settings = given.set + list(more.pop("set", []))
    return argparse.Namespace(**(vars(given) | more | {"set": settings}))
