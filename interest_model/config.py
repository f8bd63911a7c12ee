"""Settings: frozen dataclasses, read from conf/base.yaml, then --config files, then --set key=value.

Every key of base.yaml must be known here and the other way round; an unknown key, a missing one or a wrong type is a
ConfigError that names file and key.
"""

import dataclasses
import hashlib
import json
import types
import typing
from pathlib import Path

import yaml

from interest_model.errors import ConfigError


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

    def __post_init__(self) -> None:
        wrong = [one.name for one in dataclasses.fields(self) if getattr(self, one.name) <= 0]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be above zero")


@dataclasses.dataclass(frozen=True)
class Ranker:
    """The blend. Half lives in days."""

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
    pool_items: int
    content_dimensions: int
    tuning_days: int
    tuning_users: int
    weights_shrinkage: float
    prior_weights: dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Recommendations:
    active_days: int
    list_length: int
    fallback_place_events: int


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
    ranker: Ranker
    recommendations: Recommendations
    evaluation: Evaluation
    tracking: Tracking
    runtime: Runtime

    def fingerprint(self) -> str:
        """sha2-256 over every setting that can change a table (not where and how it is run or tracked)."""
        content = dataclasses.asdict(self)
        content.pop("runtime"), content.pop("tracking")
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


def read_yaml(path: str | Path) -> dict:
    """The mapping in a YAML file; ConfigError where it cannot be read or is no mapping."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def build(cls: type, content: object, origin: typing.Callable[[str], str], key: str = ""):
    """A frozen dataclass from nested mappings; every error names its file (`origin(key)`) and key."""
    if not isinstance(content, dict):
        raise ConfigError(f"{origin(key)}: key '{key}' must hold keys and values, found {content!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for name in content:
        if name not in fields:
            full = f"{key}.{name}" if key else str(name)
            raise ConfigError(f"{origin(full)}: unknown key '{full}'", f"known keys here: {', '.join(sorted(fields))}")
    values = {}
    for name, field in fields.items():
        full = f"{key}.{name}" if key else name
        if name in content:
            values[name] = _convert(hints[name], content[name], origin, full)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{origin(full)}: missing key '{full}'")
    try:
        return cls(**values)
    except ValueError as error:  # raised by a dataclass's own cross-field checks
        raise ConfigError(f"{origin(key)}: {key or 'settings'}: {error}") from error


def _convert(hint, value, origin, key):
    if dataclasses.is_dataclass(hint):
        return build(hint, value, origin, key)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(one for one in arguments if one is not type(None)), value, origin, key)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{origin(key)}: key '{key}' must be a list, found {value!r}")
        return tuple(_convert(arguments[0], one, origin, f"{key}[{i}]") for i, one in enumerate(value))
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{origin(key)}: key '{key}' must hold keys and values, found {value!r}")
        return {str(name): _convert(arguments[1], one, origin, f"{key}.{name}") for name, one in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{origin(key)}: key '{key}' must be {hint.__name__}, found {value!r}")
    return value


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
