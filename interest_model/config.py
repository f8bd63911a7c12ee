"""Settings: frozen dataclasses, read from conf/base.yaml, then --config files, then --set key=value.

Every key of base.yaml must be known here and the other way round; an unknown key, a missing one or a wrong type is a
ConfigError that names file and key.
"""

import dataclasses
import hashlib
import json
import typing
from pathlib import Path

import yaml

from interest_model.errors import ConfigError
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.ranker_settings import Ranker, Recommendations
from interest_model.yaml_files import (
    RefusedValue,
    above_zero,
    ascending,
    at_least,
    build,
    one_of,
    parse_yaml,
    read_yaml,
    shares,
    whole_weeks,
    within,
)

METRICS_AT = 10  # how long the lists are that are compared with each other


@dataclasses.dataclass(frozen=True)
class Limits:
    """What makes a raw line unacceptable."""

    id_length: int
    events_per_user_day: int
    refused_share: float

    def __post_init__(self) -> None:
        at_least(self, 1, "id_length", "events_per_user_day")
        within(self, 0, 1, "refused_share")


@dataclasses.dataclass(frozen=True)
class Sessions:
    gap_minutes: int
    max_hours: int

    def __post_init__(self) -> None:
        at_least(self, 1, "gap_minutes", "max_hours")
        if self.gap_minutes > self.max_hours * 60:
            raise ValueError("gap_minutes must not be longer than max_hours")


@dataclasses.dataclass(frozen=True)
class Windows:
    kinds: tuple[str, ...]
    context_length: int

    def __post_init__(self) -> None:
        if not self.kinds or len(set(self.kinds)) < len(self.kinds) or set(self.kinds) - {"day", "week", "month"}:
            raise RefusedValue("kinds", "must name some of day, week, month, each once")
        at_least(self, 1, "context_length")


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Which Hugging Face model turns text into vectors, and how."""

    model: str
    pooling: str
    prefix: str
    max_tokens: int
    batch_tokens: int
    window_texts: int
    precision: str
    gpu_per_task: float

    def __post_init__(self) -> None:
        one_of(self, pooling=("mean", "cls", "last"), precision=("float32", "float16", "bfloat16"))
        at_least(self, 1, "max_tokens", "batch_tokens", "window_texts")
        at_least(self, 0, "gpu_per_task")


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """Which user-windows are put into words and encoded each night."""

    window_kind: str
    max_items: int

    def __post_init__(self) -> None:
        at_least(self, 1, "max_items")


@dataclasses.dataclass(frozen=True)
class Topics:
    """The topic hierarchy: where it comes from and how it is learned."""

    origin: str
    max_tiers: int
    branching: tuple[int, ...]
    min_items: int
    fit_items: int
    starts: int
    refit_days: int
    language: str
    rules: str
    seed: int

    def __post_init__(self) -> None:
        at_least(self, 0, "seed")
        one_of(self, origin=("auto", "categories", "embeddings"))
        within(self, 2, 4, "max_tiers")
        if not 2 <= len(self.branching) <= 4:
            raise RefusedValue("branching", "must have a number for each of 2 to 4 tiers")
        at_least(self, 2, "branching")
        at_least(self, 1, "min_items", "fit_items", "starts", "refit_days")


@dataclasses.dataclass(frozen=True)
class Interest:
    """Interest states: half lives, prior, and when a move counts as one."""

    lookback_days: int
    history_length: int
    half_life_days: float
    short_half_life_days: float
    long_half_life_days: float
    prior_events: float
    trend_prior_sd: float
    visit_gap_hours: float
    present_share: float
    level: float
    sudden_level: float
    min_trend_per_day: float
    silent_days: float
    new_days: float
    returning_days: float
    sudden_days: float
    trend_days: float

    def __post_init__(self) -> None:
        above_zero(self, *[one.name for one in dataclasses.fields(self)])
        within(self, 0, 1, "present_share")
        shares(self, "level", "sudden_level")


@dataclasses.dataclass(frozen=True)
class Nearness:
    """What distance and hour leave of an event's weight in interest states; see interest.strength."""

    half_km: float
    hour: float
    half_hours: float
    floor: float

    def __post_init__(self) -> None:
        at_least(self, 0, "half_km")
        if not self.hour < 24:
            raise RefusedValue("hour", "must be -1 (off) or from 0 to below 24")
        above_zero(self, "half_hours")
        within(self, 0, 12, "half_hours")
        within(self, 0, 1, "floor")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of events that it reads."""
        place = ("latitude", "longitude") if self.half_km > 0 else ()
        return place + (("utc_offset_minutes",) if self.hour >= 0 else ())


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Forecasts of interest shares and of returns: horizons, what they are learned from, how."""

    horizons_days: tuple[int, ...]
    refit_days: int
    training_users: int
    training_cuts: int
    cut_step_days: float
    warm_up_days: float
    hidden: int
    steps: int
    learning_rate: float
    weight_decay: float
    shrink_events: float
    min_events: int
    most_rows: int
    return_ridge: float
    seed: int

    def __post_init__(self) -> None:
        at_least(self, 1, "horizons_days", "refit_days", "training_users", "training_cuts", "hidden", "steps")
        at_least(self, 1, "min_events", "most_rows")
        ascending(self, "horizons_days")
        above_zero(self, "cut_step_days", "learning_rate")
        at_least(self, 0, "seed", "warm_up_days", "weight_decay", "shrink_events", "return_ridge")


@dataclasses.dataclass(frozen=True)
class Trends:
    """Topics over all users: when a change is called a move, and forecasts of shares."""

    lookback_days: int
    change_days: int
    level: float
    horizons_days: tuple[int, ...]
    arima_topics: int
    arima_min_events: float
    arima_min_weeks: int

    def __post_init__(self) -> None:
        whole_weeks(self, "change_days", "horizons_days")
        ascending(self, "horizons_days")
        if self.lookback_days < 2 * self.change_days:
            raise RefusedValue("lookback_days", f"must be twice change_days ({self.change_days}) or more")
        shares(self, "level")
        at_least(self, 0, "arima_topics", "arima_min_events", "arima_min_weeks")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    horizons_days: tuple[int, ...]
    cutoffs: tuple[int, ...]
    temporal_quantile: float
    bootstrap_replicates: int
    seed: int
    heavy_user_events: int
    new_user_events: int
    new_item_days: int

    def __post_init__(self) -> None:
        at_least(self, 1, "horizons_days", "cutoffs", "bootstrap_replicates")
        ascending(self, "horizons_days", "cutoffs")
        if METRICS_AT not in self.cutoffs:
            raise RefusedValue("cutoffs", f"must hold {METRICS_AT}, at which models are compared")
        shares(self, "temporal_quantile")
        at_least(self, 0, "seed", "heavy_user_events", "new_user_events", "new_item_days")


@dataclasses.dataclass(frozen=True)
class Promotion:
    """When a challenger becomes champion."""

    model: str
    min_lead: float
    level: float
    min_users: int

    def __post_init__(self) -> None:
        if not self.model.strip() or set(self.model) & set("/:'"):
            raise RefusedValue("model", f"must be a name without / : or ', found {self.model!r}")
        shares(self, "level")
        at_least(self, 1, "min_users")


@dataclasses.dataclass(frozen=True)
class Tracking:
    """MLflow."""

    enabled: bool
    uri: str
    experiment: str
    timeout_seconds: int

    def __post_init__(self) -> None:
        at_least(self, 1, "timeout_seconds")


@dataclasses.dataclass(frozen=True)
class Runtime:
    master: str
    shuffle_partitions: int
    min_free_disk_gb: float

    def __post_init__(self) -> None:
        at_least(self, 1, "shuffle_partitions")
        at_least(self, 0, "min_free_disk_gb")


@dataclasses.dataclass(frozen=True)
class Settings:
    limits: Limits
    sessions: Sessions
    windows: Windows
    encoder: Encoder
    behaviour: Behaviour
    topics: Topics
    interest: Interest
    nearness: Nearness
    forecast: Forecast
    trends: Trends
    ranker: Ranker
    recommendations: Recommendations
    evaluation: Evaluation
    model: ModelSettings
    training: FitSettings
    promotion: Promotion
    tracking: Tracking
    runtime: Runtime

    def __post_init__(self) -> None:
        if self.behaviour.window_kind not in self.windows.kinds:
            known = ", ".join(self.windows.kinds)
            raise RefusedValue("behaviour.window_kind", f"must be one of windows.kinds: {known}")
        most = self.training.history_length
        if self.model.max_length > most:
            found = f"must be at most training.history_length ({most}), found {self.model.max_length}"
            raise RefusedValue("model.max_length", found)

    def fingerprint(self) -> str:
        """sha2-256 over every setting that can change a night's tables, of the topics' rules what their file holds: not
        where and how it is run or tracked, nor how the models are trained that it finds ready."""
        content = dataclasses.asdict(self)
        if self.topics.rules and Path(self.topics.rules).is_file():
            content["topics"]["rules"] = hashlib.sha256(Path(self.topics.rules).read_bytes()).hexdigest()
        for section in ("runtime", "tracking", "model", "training"):
            content.pop(section)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def conf_dir() -> Path:
    """The folder `conf`: beside the package in a checkout, inside it when installed from a wheel."""
    beside = Path(__file__).resolve().parent.parent / "conf"
    return beside if beside.is_dir() else Path(__file__).resolve().parent / "conf"


def load_settings(files: typing.Sequence[str | Path] = (), overrides: typing.Sequence[str] = ()) -> Settings:
    """Settings from base.yaml, then `files` in order, then `overrides` ("section.key=value", value as YAML)."""
    base = conf_dir() / "base.yaml"
    content, origin = read_yaml(base), dict.fromkeys(_leaves(read_yaml(base)), str(base))
    for file in files:
        layer = read_yaml(file)
        _merge(content, layer)
        origin.update(dict.fromkeys(_leaves(layer), str(file)))
    for text in overrides:
        layer = _parse_override(text)
        _merge(content, layer)
        origin.update(dict.fromkeys(_leaves(layer), f"--set {text}"))
    return build(Settings, content, lambda key: origin.get(key.partition("[")[0], str(base)))


def _parse_override(text: str) -> dict:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text}: expected section.key=value")
    try:
        content: object = parse_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value cannot be read as YAML: {error}") from error
    for part in reversed(path.split(".")):
        content = {part: content}
    return typing.cast(dict, content)


def _merge(content: dict, layer: dict) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _merge(content[key], value)
        else:
            content[key] = value


def _leaves(content: dict, prefix: str = "") -> list[str]:
    found = []
    for key, value in content.items():
        found.append(prefix + str(key))
        if isinstance(value, dict):
            found += _leaves(value, f"{prefix}{key}.")
    return found
