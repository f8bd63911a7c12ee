"""Table promotions as the jobs read and write it, and the console command's verbs on models."""

import argparse
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from interest_model.claim import days_held
from interest_model.config import Tracking, load_settings
from interest_model.errors import InterestModelError, MissingTableError
from interest_model.evaluation.report import text_table
from interest_model.session import start_session
from interest_model.storage import Storage, schema_of
from interest_model.tables import PROMOTIONS
from interest_model.training.promotion import rolled_back

if TYPE_CHECKING:
    from interest_model.training.registry import Registry

_AGAIN = "once it has ended, run it again; under Airflow clear it from user_vectors on"


def decisions(storage: Storage) -> list[dict]:
    """All rows of promotions: a few for each training."""
    return [row.asDict() for row in storage.read("promotions").collect()]


def record(storage: Storage, row: dict) -> None:
    """Adds one decision (see training.promotion), made now."""
    whole = row | {"decided_ts": datetime.now(UTC).replace(tzinfo=None)}
    values = tuple(whole[name] for name in PROMOTIONS.names)
    storage.append("promotions", storage.spark.createDataFrame([values], schema_of(PROMOTIONS)))


def newest_issued(storage: Storage) -> date | None:
    """The newest night that has issued lists; None: there is none."""
    return storage.read("daily_recommendations").agg(F.max("run_date")).head()[0]


def open_registry(storage: Storage, settings: Tracking, make: bool = False) -> "Registry | None":
    """Where models are kept: the store that the settings name, or one of its own beside the tables. None: that is not
    there yet and not to be made."""
    folder = storage.local_folder("mlflow")
    if not make and not settings.uri and not folder.is_dir():
        return None
    # MLflow takes seconds to import: only what uses models pays for it
    from interest_model.training.registry import Registry

    return Registry(settings, folder)


def models(options: argparse.Namespace) -> None:
    """Every version with its aliases, the decision on it and the figures behind that."""
    storage = Storage(None, options.warehouse)  # folders only: no session is needed
    print(text_table(_registry(options, storage).rows(options.model)))


def rollback(options: argparse.Namespace) -> None:
    """Puts the champion's predecessor back, from the first night that has not been issued; one that runs is named.

    Table promotions decides. A registry that has lost the version is told nothing: that may be why it is taken out.
    """
    storage = Storage(start_session("interest-model"), options.warehouse)
    if not storage.exists("promotions"):
        raise MissingTableError(f"{options.warehouse}: no decision on any model there", "run jobs/train.py first")
    issued, held = newest_issued(storage), decisions(storage)
    start = date.min if issued is None else issued + timedelta(days=1)
    row = rolled_back(held, options.model, start)
    load_settings(options.config, options.set)  # a mistake in them is said before anything is decided
    record(storage, row)
    print(f"model {options.model}: {row['reason']}, from the night of {row['from_run_date']} on")
    try:
        for day in sorted(days_held(storage.local_folder("claims"))):
            if day >= row["from_run_date"]:
                print(f"warning: the night of {day} is running and may have read version {row['version']}: {_AGAIN}")
        registry = _registry(options, storage)
        registry.note(options.model, row["version"], {"decision": row["state"], "reason": row["reason"]})
        registry.point(options.model, "champion", row["champion"])
    except InterestModelError as error:
        print(f"warning: the registry does not show it, nights follow table promotions: {error}")


def _registry(options: argparse.Namespace, storage: Storage) -> "Registry":
    registry = open_registry(storage, load_settings(options.config, options.set).tracking)
    if registry is None:
        raise MissingTableError(f"{options.warehouse}: no model registry there", "run jobs/train.py first")
    return registry
