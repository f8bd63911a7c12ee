"""MLflow for models: runs of trainings, versions with what scores them, the aliases `challenger` and `champion`.

A version is an MLflow pyfunc made of code (a few lines that name this package) and safetensors: nothing is pickled.
Which version a night uses is said by table promotions; the alias champion follows it for people and other tools.
"""

import functools
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow.pyfunc
import pandas as pd
from matplotlib.figure import Figure as Plot
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema
from safetensors import SafetensorError

from interest_model import __version__
from interest_model.config import Tracking
from interest_model.errors import DataError, SetupError, UsageError
from interest_model.tracking import without_password, words_of
from interest_model.training import packaged
from interest_model.training.fit import Course
from interest_model.training.packaged import Packaged

CHALLENGER, CHAMPION = "challenger", "champion"
_KEY = "training_key"
WAREHOUSE = "warehouse"
_CODE = """from mlflow.models import set_model

from interest_model.training.registry import ServedModel

set_model(ServedModel())
"""
_REQUIREMENTS = ("torch", "safetensors", "numpy", "pandas", "mlflow")
_LENGTH = 10


class ServedModel(mlflow.pyfunc.PythonModel):
    """Scores a frame (items, days, at_day), see Packaged.recommend; parameter length: of the lists."""

    def load_context(self, context) -> None:
        self.packaged = packaged.load(Path(context.artifacts["model"]))

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        return self.packaged.recommend(model_input, int((params or {}).get("length", _LENGTH)))


def _answered(method: Callable) -> Callable:
    """A registry's method whose store's own errors become a SetupError: it is locked, slow or away."""

    @functools.wraps(method)
    def asked(self, *given, **more):
        try:
            return method(self, *given, **more)
        except MlflowException as error:
            text = f"model registry {self.shown} does not answer: {words_of(error, self.uri)}"
            raise SetupError(text, "look whether it runs and tracking.uri names it, then try again") from error

    return asked


class Training(NamedTuple):
    """What is logged of one training. key: the same for the same training; tables: name to Delta version; courses:
    name ("search", "final", ...) to course; tags: of the run and of the version."""

    key: str
    parameters: dict
    tables: dict[str, int]
    courses: dict[str, Course]
    tags: dict[str, str]


class Registry:
    """One MLflow store. folder: where a store of its own lies beside the tables; settings.uri names another.

    SetupError where it cannot be opened (half made by a run that was killed, or of another MLflow's version), and by
    every method where it does not answer.
    """

    def __init__(self, settings: Tracking, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.uri = settings.uri or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
        self.shown = without_password(self.uri)
        self.experiment = f"{settings.experiment} training"
        self.artifacts = folder.absolute() / "artifacts"
        try:
            self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        except MlflowException as error:
            remedy = f"mlflow db upgrade {self.shown} (back it up first), or name another store in tracking.uri"
            text = f"model registry {self.shown} cannot be opened: {words_of(error, self.uri)}"
            raise SetupError(text, remedy) from error

    @_answered
    def register(self, name: str, model: Packaged, training: Training) -> str:
        """The version made of this training: logged and registered, or found where it was registered before."""
        known = self.find(name, training.key)
        if known is not None:
            return known
        run_id = self._log(training)
        with tempfile.TemporaryDirectory() as folder:
            _save(model, Path(folder) / "model")
            self.client.log_artifacts(run_id, str(Path(folder) / "model"), "model")
        source = f"{self.client.get_run(run_id).info.artifact_uri}/model"
        made = self.client.create_model_version(name, source, run_id, tags={_KEY: training.key} | training.tags)
        self.client.set_terminated(run_id)
        return str(made.version)

    @_answered
    def find(self, name: str, key: str) -> str | None:
        """The version that was made of the training with this key; None: there is none."""
        known = [str(one.version) for one in self._versions(name) if one.tags.get(_KEY) == key]
        return known[0] if known else None

    @_answered
    def point(self, name: str, alias: str, version: str | None) -> None:
        """The alias names this version from now on; None: nothing."""
        if version is not None:
            self.client.set_registered_model_alias(name, alias, version)
        elif alias in self.client.get_registered_model(name).aliases:
            self.client.delete_registered_model_alias(name, alias)

    @_answered
    def note(self, name: str, version: str, facts: dict) -> None:
        """Tags on a version: the decision on it and the figures. "@" becomes " at ": MLflow allows none in names."""
        for key, value in facts.items():
            text = f"{value:.4f}" if isinstance(value, float) else str(value)[:5000]
            self.client.set_model_version_tag(name, version, key.replace("@", " at "), text)

    @_answered
    def load(self, name: str, version: str, digest: str | None = None, remedy: str = "") -> Packaged:
        """The version's model. DataError where the registry does not have it, its files are missing or broken, or their
        Packaged.digest is not the one given: of another store, or changed. remedy: the error's; "": in_force_remedy's.
        """
        remedy = remedy or in_force_remedy(name)
        try:
            source = self.client.get_model_version(name, version).source
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            raise DataError(f"model {name}: version {version} is not in {self.shown}", remedy) from error
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = mlflow.artifacts.download_artifacts(
                    f"{source}/artifacts/model", dst_path=folder, tracking_uri=self.uri, registry_uri=self.uri
                )
                model = packaged.load(Path(found))
        except (MlflowException, SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            text = f"model {name} version {version}: its files at {source} cannot be read ({words_of(error, self.uri)})"
            raise DataError(text, remedy) from error
        if digest is not None and model.digest != digest:
            text = f"model {name} version {version}: its files at {source} are not those that were judged"
            raise DataError(text, remedy)
        return model

    @_answered
    def rows(self, name: str = "") -> list[dict]:
        """One row per version, newest first: name, version, aliases, and the tags of the decision on it."""
        names = [one.name for one in self._models(name)]
        if not names:
            raise UsageError(f"{name or 'no model'}: no version is registered", "run jobs/train.py first")
        found = []
        for one in names:
            aliases = self.client.get_registered_model(one).aliases
            for version in sorted(self._versions(one), key=lambda each: -int(each.version)):
                number = str(version.version)
                held = ", ".join(sorted(alias for alias, named in aliases.items() if str(named) == number))
                row = {"model": one, "version": number, "aliases": held}
                found.append(row | {key: value for key, value in version.tags.items() if key != _KEY})
        return found

    @_answered
    def owners(self, name: str) -> set[str]:
        """The warehouses whose trainings made the versions, as Training.tags name them."""
        return {one.tags[WAREHOUSE] for one in self._versions(name) if WAREHOUSE in one.tags}

    def _models(self, name: str = "") -> Iterator:
        """The registered model of this name, if there is one; all of them without a name."""
        page, asked = None, _named(name) if name else None
        while page != "":
            found = self.client.search_registered_models(asked, page_token=page)
            yield from found
            page = found.token or ""

    def _versions(self, name: str) -> list:
        if not list(self._models(name)):
            self.client.create_registered_model(name)
        return list(self.client.search_model_versions(_named(name)))

    def _log(self, training: Training) -> str:
        experiment = self.client.get_experiment_by_name(self.experiment)
        if experiment is None:
            number = self.client.create_experiment(self.experiment, artifact_location=self.artifacts.as_uri())
        else:
            number = experiment.experiment_id
        run_id = self.client.create_run(number, run_name=f"training {training.key}", tags=training.tags).info.run_id
        parameters = [Param(name, str(value)[:500]) for name, value in training.parameters.items()]
        curves = [one for name, course in training.courses.items() for one in _curves(name, course)]
        for start in range(0, max(len(parameters), len(curves)), 100):
            self.client.log_batch(run_id, curves[start : start + 100], parameters[start : start + 100])
        self.client.log_inputs(run_id, [_dataset(*one) for one in training.tables.items()])
        self.client.log_figure(run_id, _plot(training.courses), "losses.png")
        return run_id


def _named(name: str) -> str:
    """MLflow's filter for a name, which may hold quotation marks of one kind."""
    quote = '"' if "'" in name else "'"
    return f"name={quote}{name}{quote}"


def in_force_remedy(name: str) -> str:
    """What to do where the version in force cannot be loaded."""
    return (
        f"put the registry's files back, or take the version out: interest-model rollback --model {name} --warehouse W"
    )


def challenger_remedy(name: str, version: str) -> str:
    """What to do where a version cannot be loaded that a training has found to be its own."""
    return (
        f"put the registry's files back, or delete version {version} of {name} there (in MLflow's pages, or by "
        "MlflowClient.delete_model_version) and train again"
    )


def signature() -> ModelSignature:
    """A row in: a history and the moment of the list. A row out: items and scores, best first."""
    texts, numbers = Array(DataType.string), Array(DataType.double)
    needed = [ColSpec(texts, "items"), ColSpec(numbers, "days"), ColSpec(DataType.double, "at_day")]
    rows = Schema(needed + [ColSpec(numbers, name, required=False) for name in ("latitudes", "longitudes")])
    lists = Schema([ColSpec(texts, "items"), ColSpec(numbers, "scores")])
    return ModelSignature(rows, lists, ParamSchema([ParamSpec("length", DataType.long, _LENGTH)]))


def _save(model: Packaged, folder: Path) -> None:
    """An MLflow model folder: code, safetensors, signature, requirements."""
    with tempfile.TemporaryDirectory() as aside:
        code, files = Path(aside) / "model_code.py", Path(aside) / "model"
        code.write_text(_CODE)
        packaged.save(model, files)
        needed = [f"interest-model=={__version__}", *(f"{name}=={installed(name)}" for name in _REQUIREMENTS)]
        mlflow.pyfunc.save_model(
            folder, python_model=str(code), artifacts={"model": str(files)}, signature=signature(),
            input_example=_example(model), pip_requirements=needed,
        )  # fmt: skip


def _example(model: Packaged) -> pd.DataFrame:
    """One history of one event, for the pages of the registry."""
    day = float(model.facts["trained_until"])
    return pd.DataFrame({"items": [model.item_ids[:1].tolist()], "days": [[day - 1.0]], "at_day": [day]})


def _curves(name: str, course: Course) -> list[Metric]:
    now = int(time.time() * 1000)
    losses = [Metric(f"{name} loss", value, now, epoch) for epoch, value in enumerate(course.losses)]
    return losses + [Metric(f"{name} ndcg at 10", value, now, epoch) for epoch, value in enumerate(course.scores)]


def _dataset(table: str, version: int) -> DatasetInput:
    source = json.dumps({"delta_table_name": table, "delta_table_version": version})
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    dataset = Dataset(table, digest, "delta_dataset_source", source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _plot(courses: dict[str, Course]) -> Plot:
    figure = Plot(figsize=(6, 4), layout="constrained")
    left = figure.subplots()
    left.set(xlabel="epoch", ylabel="loss")
    for name, course in courses.items():
        left.plot(range(1, len(course.losses) + 1), course.losses, label=f"{name}: loss")
        if course.scores:
            right = left.twinx()
            right.set_ylabel("NDCG@10, inner validation")
            right.plot(range(1, len(course.scores) + 1), course.scores, linestyle="--", color="black")
    left.legend()
    return figure
