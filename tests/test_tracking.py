"""MLflow gets every night; a store that is locked, slow or absent costs a warning, never the night."""

import io
import json
import sqlite3
import time
from datetime import date
from types import SimpleNamespace

import pytest

from interest_model.config import load_settings
from interest_model.report import Reporter, StepRecord
from interest_model.tracking import Tracker, _content

pytestmark = pytest.mark.slow


def night(settings):
    storage = SimpleNamespace(versions_read={"events": 7}, versions_written={})
    return SimpleNamespace(
        run_date=date(2026, 1, 5), settings=settings, storage=storage, metrics={"ndcg@10 next 1 days": 0.25},
        run_id="r1", model_version="blend-1", source=SimpleNamespace(name="shop", fingerprint=lambda: "f" * 64),
    )  # fmt: skip


def total():
    return StepRecord(date(2026, 1, 5), "night", seconds=12.5, inputs={"events": 7}, state="done")


def steps():
    return [StepRecord(date(2026, 1, 5), "events", seconds=1.5, counts={"accepted": 10}, state="done")]


def test_settings_counts_timings_versions_and_metrics_are_logged(tmp_path):
    import mlflow

    settings = load_settings()
    tracker = Tracker(settings.tracking, tmp_path, Reporter(io.StringIO()))
    tracker.log_night(night(settings), total(), steps())
    tracker._jobs.put(None)
    tracker._thread.join(120)  # the first use of a store makes its tables
    (run,) = mlflow.MlflowClient(tracker.uri).search_runs(
        [mlflow.MlflowClient(tracker.uri).get_experiment_by_name("interest_model").experiment_id]
    )
    assert run.data.metrics["events/accepted"] == 10 and run.data.metrics["seconds"] == 12.5
    assert run.data.metrics["ndcg at 10 next 1 days"] == 0.25
    assert run.data.params["input.events"] == "7" and run.data.params["sessions.gap_minutes"] == "30"
    assert run.data.tags["model_version"] == "blend-1" and run.data.tags["code_revision"]
    assert run.info.status == "FINISHED"


def test_no_password_is_logged():
    store = "postgresql://mlflow:s3cret@db/mlflow"
    settings = load_settings(overrides=[f"tracking.uri={store}"])
    logged = _content(night(settings), total(), steps())["parameters"]
    assert "s3cret" not in str(logged) and logged["tracking.uri"] == "postgresql://db/mlflow"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("no way to postgresql://me:s3cret@db/runs\nmore of it"), "OSError: no way to postgresql://db/runs;"),
        (TimeoutError(), "TimeoutError: no reason given;"),
    ],
)
def test_what_a_store_says_is_told_without_its_password(tmp_path, monkeypatch, error, told):
    def log(self, content):
        raise error

    monkeypatch.setattr(Tracker, "_log", log)
    stream = io.StringIO()
    settings = load_settings(overrides=["tracking.uri=postgresql://me:s3cret@db/runs"])
    tracker = Tracker(settings.tracking, tmp_path, Reporter(stream))
    tracker.log_night(night(settings), total(), steps())
    tracker.close()
    assert told in stream.getvalue() and "s3cret" not in stream.getvalue()


def test_nothing_is_made_before_there_is_something_to_log(tmp_path):
    Tracker(load_settings().tracking, tmp_path / "_mlflow", Reporter(io.StringIO())).close()
    assert not (tmp_path / "_mlflow").exists()


def test_an_absent_store_costs_a_warning(tmp_path):
    settings = load_settings(overrides=["tracking.uri=sqlite:////proc/no/such/folder/mlflow.db"])
    stream = io.StringIO()
    (tmp_path / "file").touch()
    tracker = Tracker(settings.tracking, tmp_path / "file" / "_mlflow", Reporter(stream))
    tracker.log_night(night(settings), total(), steps())
    tracker.close()
    assert "warning: MLflow store" in json.loads(stream.getvalue().splitlines()[-1])["message"]


def test_a_locked_store_is_given_up_after_the_stated_time(tmp_path):
    file = tmp_path / "mlflow.db"
    lock = sqlite3.connect(file)
    lock.execute("create table t (x)")
    lock.execute("begin exclusive")
    settings = load_settings(overrides=["tracking.timeout_seconds=2", f"tracking.uri=sqlite:///{file}"])
    stream = io.StringIO()
    tracker = Tracker(settings.tracking, tmp_path, Reporter(stream))
    tracker.log_night(night(settings), total(), steps())
    begun = time.monotonic()
    tracker.close()
    waited = time.monotonic() - begun
    lock.close()
    assert "no answer within 2 s" in stream.getvalue() or "locked" in stream.getvalue()
    assert waited >= 2 or "locked" in stream.getvalue()
