"""MLflow: each night's settings, code, input versions, counts, timings and metrics, and the figures of each backtest
(models: training/registry.py).

Logging happens after the tables are committed, on a thread of its own: a store that is locked, slow or absent costs a
warning, never the night.
"""

import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from interest_model.config import Tracking
from interest_model.report import Reporter, StepRecord
from interest_model.runs import code_revision, settings_hash

if TYPE_CHECKING:
    from interest_model.job import Night


class Tracker:
    """Logs nights to one MLflow store. `close` waits at most settings.timeout_seconds for what is left to write."""

    def __init__(self, settings: Tracking, folder: Path, reporter: Reporter):
        self.settings = settings
        self.reporter = reporter
        self.uri = settings.uri or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
        self.artifacts = folder.absolute() / "artifacts"
        self._jobs: queue.Queue[dict | None] = queue.Queue()
        self._failure = ""
        self._thread: threading.Thread | None = None

    def log_night(self, night: "Night", total: StepRecord, steps: Sequence[StepRecord]) -> None:
        """Queues one night; says now what went wrong with an earlier one."""
        if self.settings.enabled:
            self._put(_content(night, total, steps))

    def log_backtest(self, night: "Night", facts: dict, metrics: dict[str, float], page: str) -> None:
        """Queues one backtest as a run of its own: facts as parameters, metrics by name, the page as backtest.md."""
        if self.settings.enabled:
            self._put(_backtest_content(night, facts, metrics, page))

    def _put(self, content: dict) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()
        self._warn()
        self._jobs.put(content)

    def close(self) -> None:
        if self._thread is None:
            return
        self._jobs.put(None)
        self._thread.join(self.settings.timeout_seconds)
        if self._thread.is_alive():
            self._failure = f"no answer within {self.settings.timeout_seconds} s"
        self._warn()
        self._thread = None

    def _warn(self) -> None:
        if self._failure:
            self.reporter.say(
                f"warning: MLflow store {without_password(self.uri)}: {self._failure}; the tables are complete"
            )
            self._failure = ""

    def _work(self) -> None:
        while (content := self._jobs.get()) is not None:
            try:
                self._log(content)
            except Exception as error:  # whatever the store does, the night stands
                self._failure = f"{type(error).__name__}: {words_of(error, self.uri)}"

    def _log(self, content: dict) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        import mlflow

        self.artifacts.parent.mkdir(parents=True, exist_ok=True)
        client = mlflow.MlflowClient(tracking_uri=self.uri)
        experiment = client.get_experiment_by_name(self.settings.experiment)
        if experiment is None:
            number = client.create_experiment(self.settings.experiment, artifact_location=self.artifacts.as_uri())
        else:
            number = experiment.experiment_id
        run = client.create_run(number, run_name=content["name"], tags=content["tags"])
        metrics = [
            mlflow.entities.Metric(name, value, content["time"], 0) for name, value in content["metrics"].items()
        ]
        parameters = [mlflow.entities.Param(name, str(value)[:500]) for name, value in content["parameters"].items()]
        for start in range(0, max(len(metrics), len(parameters)), 100):
            client.log_batch(run.info.run_id, metrics[start : start + 100], parameters[start : start + 100])
        for file, text in content["texts"].items():
            client.log_text(run.info.run_id, text, file)
        client.set_terminated(run.info.run_id)


def _content(night: "Night", total: StepRecord, steps: Sequence[StepRecord]) -> dict:
    """What is logged of a night, as plain values: the thread must not touch the session."""
    parameters = {"run_date": night.run_date, "settings_hash": settings_hash(night), "source": night.source.name}
    for section, values in asdict(night.settings).items():
        parameters |= {f"{section}.{key}": value for key, value in values.items()}
    parameters["tracking.uri"] = without_password(night.settings.tracking.uri)
    parameters |= {f"input.{name}": version for name, version in total.inputs.items()}
    metrics: dict[str, float] = {"seconds": total.seconds}
    for step in steps:
        metrics[f"{step.job}/seconds"] = step.seconds
        metrics |= {f"{step.job}/{name}": float(count) for name, count in step.rows().items()}
    metrics |= night.metrics
    tags = {"code_revision": code_revision(), "run_id": night.run_id, "model_version": night.model_version or ""}
    return {
        "name": f"night {night.run_date}",
        "time": int(total.started.timestamp() * 1000),
        "tags": tags,
        "parameters": parameters,
        "metrics": {_allowed(name): value for name, value in metrics.items()},
        "texts": {},
    }


def _backtest_content(night: "Night", facts: dict, metrics: dict[str, float], page: str) -> dict:
    parameters = {"settings_hash": settings_hash(night)} | facts
    parameters |= {f"input.{name}": version for name, version in night.storage.versions_read.items()}
    return {
        "name": f"backtest {facts['protocol']} {night.run_date}",
        "time": int(night.step.started.timestamp() * 1000),
        "tags": {"code_revision": code_revision(), "run_id": night.run_id},
        "parameters": parameters,
        "metrics": {_allowed(name): value for name, value in metrics.items()},
        "texts": {"backtest.md": page},
    }


def _allowed(name: str) -> str:
    return "".join(one if one.isalnum() or one in "_-./ @" else "_" for one in name).replace("@", " at ")


def without_password(uri: str) -> str:
    """The address of a store as it may be shown."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def words_of(error: Exception, uri: str) -> str:
    """The first line of what the store at `uri` raised, as it may be shown."""
    login, at, _ = uri.partition("://")[2].rpartition("@")
    lines = (line.strip() for line in str(error).replace(login + at, "").splitlines())
    return next(filter(None, lines), "no reason given")[:300]
