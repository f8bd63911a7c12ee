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
from interest_model.yaml_files import build, one_of, read_yaml


@dataclasses.dataclass(frozen=True)
class Limits:
    """What makes a raw line unacceptable."""

    id_length: int
    events_per_user_day: int


@dataclasses.dataclass(frozen=True)
class Sessions:
    gap_minutes: int
    max_hours: int

    def __post_init__(self) -> None:
        if not 0 < self.gap_minutes <= self.max_hours * 60:
            raise ValueError("gap_minutes must be at least 1 and max_hours no shorter than the gap")


@dataclasses.dataclass(frozen=True)
class Windows:
    kinds: tuple[str, ...]
    context_length: int

    def __post_init__(self) -> None:
        if not self.kinds or len(set(self.kinds)) < len(self.kinds) or set(self.kinds) - {"day", "week", "month"}:
            raise ValueError("kinds must name some of day, week, month, each once")
        if self.context_length < 1:
            raise ValueError("context_length must be at least 1")


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


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """Which user-windows are put into words and encoded each night."""

    window_kind: str
    max_items: int


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
        if self.origin not in ("auto", "categories", "embeddings"):
            raise ValueError(f"origin is '{self.origin}', expected auto, categories or embeddings")
        if not 2 <= self.max_tiers <= 4 or not 2 <= len(self.branching) <= 4:
            raise ValueError("max_tiers and the length of branching must be 2 to 4")
        if self.refit_days < 1:
            raise ValueError("refit_days must be at least 1")


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
        wrong = [one.name for one in dataclasses.fields(self) if getattr(self, one.name) <= 0]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be above zero")


@dataclasses.dataclass(frozen=True)
class Nearness:
    """What distance and hour leave of an event's weight in interest states; see interest.strength."""

    half_km: float
    hour: float
    half_hours: float
    floor: float

    def __post_init__(self) -> None:
        if self.half_km < 0 or not self.hour < 24:
            raise ValueError("half_km must be 0 (off) or more, hour -1 (off) or from 0 to below 24")
        if not 0 < self.half_hours <= 12 or not 0 <= self.floor <= 1:
            raise ValueError("half_hours must be above 0 and at most 12, floor from 0 to 1")

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
        if not self.horizons_days or list(self.horizons_days) != sorted(set(self.horizons_days)):
            raise ValueError("horizons_days must ascend")
        if min(self.horizons_days[0], self.refit_days, self.training_users, self.training_cuts, self.steps) < 1:
            raise ValueError("horizons_days, refit_days, training_users, training_cuts and steps must be at least 1")


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
        if not self.horizons_days or any(days < 1 or days % 7 for days in self.horizons_days):
            raise ValueError("horizons_days must be whole weeks: 7, 14, ...")
        if self.change_days < 2 or self.lookback_days < 2 * self.change_days or self.arima_topics < 0:
            raise ValueError("change_days must be 2 or more, lookback_days twice that or more, arima_topics 0 or more")


@dataclasses.dataclass(frozen=True)
class Ranker:
    """The blend and the boosted ranker. Half lives in days."""

    seed: int
    history_length: int
    seen_length: int
    popularity_half_lives_days: tuple[float, ...]
    query_half_life_days: float
    own_half_life_days: float
    transition_reach: int
    transition_shrinkage: float
    neighbours: int
    ease_max_items: int
    ease_l2: float
    factor_dimensions: int
    audience_items: int
    near_half_km: float
    sequence: bool
    pool_items: int
    content_dimensions: int
    tuning_days: int
    tuning_users: int
    weights_shrinkage: float
    lessons: int
    lesson_days: int
    lesson_users: int
    lesson_min_users: int
    lesson_warm_up_days: float
    boosting_forests: int
    boosting_misses: float
    boosting_rounds: int
    boosting_rate: float
    boosting_leaves: int
    boosting_leaf_hits: float
    boosting_l2: float
    boosting_feature_share: float
    boosting_share: float
    boosting_without: tuple[str, ...]
    prior_weights: dict[str, dict[str, float]]

    def __post_init__(self) -> None:
        for name in ("tuning_days", "lesson_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")
        if self.lessons < 0:
            raise ValueError("lessons must be 0 (the blend ranks alone) or more")
        if self.boosting_forests < 1:
            raise ValueError("boosting_forests must be 1 or more; lessons=0 leaves trees away")
        if self.boosting_misses < 1:
            raise ValueError("boosting_misses must be 1 or more: trees learn from what was not taken, too")
        if not 0 < self.boosting_feature_share <= 1:
            raise ValueError("boosting_feature_share must be above 0 and at most 1")
        if not 0 <= self.boosting_share <= 1:
            raise ValueError("boosting_share must be from 0 (the blend alone) to 1 (the trees alone)")

    @property
    def learning_days(self) -> int:
        """How far back the moments lie that the ranker learns from."""
        return self.tuning_days + self.lessons * self.lesson_days

    def of_age(self, log_days: float) -> "Ranker":
        """The settings for a log that is log_days old: where that is less than warm-up, lessons and tuning nights take,
        each of them is shorter in that ratio, a day at least."""
        share = log_days / (self.learning_days + self.lesson_warm_up_days)
        if share >= 1:
            return self
        shorter = {name: max(int(getattr(self, name) * share), 1) for name in ("tuning_days", "lesson_days")}
        return dataclasses.replace(self, lesson_warm_up_days=self.lesson_warm_up_days * max(share, 0.0), **shorter)


@dataclasses.dataclass(frozen=True)
class Recommendations:
    active_days: int
    list_length: int
    fallback_place_events: int
    diversity_method: str
    diversity_strength: float
    diversity_candidates: int

    def __post_init__(self) -> None:
        one_of(self, diversity_method=("dpp", "mmr", "msd"))
        if self.diversity_strength < 0:
            raise ValueError("diversity_strength must not be negative; 0 is none")


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


@dataclasses.dataclass(frozen=True)
class Promotion:
    """When a challenger becomes champion."""

    model: str
    min_lead: float
    level: float
    min_users: int


@dataclasses.dataclass(frozen=True)
class Tracking:
    """MLflow."""

    enabled: bool
    uri: str
    experiment: str
    timeout_seconds: int


@dataclasses.dataclass(frozen=True)
class Runtime:
    master: str
    shuffle_partitions: int
    min_free_disk_gb: float


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
            raise ValueError(f"key 'behaviour.window_kind' is none of windows.kinds: {', '.join(self.windows.kinds)}")

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
    return build(Settings, content, lambda key: origin.get(key, str(base)))


def _parse_override(text: str) -> dict:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text}: expected section.key=value")
    content: object = yaml.safe_load(value)
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
