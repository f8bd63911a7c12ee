"""YAML files to frozen dataclasses; every mistake is a ConfigError that names file and key."""

import dataclasses
import types
import typing
from pathlib import Path

import yaml

from interest_model.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, of which YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [name.value for name, _ in node.value if name.tag != "tag:yaml.org,2002:merge"]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"key '{twice}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> object:
    """What a YAML text says; yaml.YAMLError where it is none, or gives a key twice."""
    return yaml.load(text, _Loader)  # noqa: S506  it is a SafeLoader


def read_yaml(path: str | Path) -> dict:
    """The mapping in a YAML file; ConfigError where it cannot be read or is no mapping."""
    try:
        content = parse_yaml(Path(path).read_text(encoding="utf-8"))
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
    except RefusedValue as error:
        full = f"{key}.{error.name}" if key else error.name
        raise ConfigError(f"{origin(full)}: key '{full}' {error}") from error
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
        for name in value:
            if not isinstance(name, str):  # on, yes, 010 and 1.0 are no texts to YAML
                raise ConfigError(f"{origin(key)}: key '{key}' holds {name!r}, which is no text", "put it in quotes")
        return {name: _convert(arguments[1], one, origin, f"{key}.{name}") for name, one in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{origin(key)}: key '{key}' must be {hint.__name__}, found {value!r}")
    return value


class RefusedValue(ValueError):
    """A value that the setting `name` of a settings class cannot have; the message goes on after the name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def one_of(settings, **known: tuple[str, ...]) -> None:
    """RefusedValue where a setting is none of its known kinds; for a settings class's __post_init__."""
    for name, kinds in known.items():
        if getattr(settings, name) not in kinds:
            raise RefusedValue(name, f"must be one of {', '.join(kinds)}, found {getattr(settings, name)!r}")


def at_least(settings, minimum: float, *names: str) -> None:
    """RefusedValue where a setting, or one of a list's numbers, is smaller; and where a list is empty."""
    _each(settings, names, lambda value: value >= minimum, f"must be at least {minimum:g}")


def above_zero(settings, *names: str) -> None:
    """As at_least, where zero is refused as well."""
    _each(settings, names, lambda value: value > 0, "must be above 0")


def within(settings, low: float, high: float, *names: str) -> None:
    """As at_least, for numbers from low to high."""
    _each(settings, names, lambda value: low <= value <= high, f"must be from {low:g} to {high:g}")


def shares(settings, *names: str) -> None:
    """As at_least, for numbers above 0 and below 1."""
    _each(settings, names, lambda value: 0 < value < 1, "must be above 0 and below 1")


def whole_weeks(settings, *names: str) -> None:
    """As at_least, for numbers of days."""
    _each(settings, names, lambda value: value > 0 and value % 7 == 0, "must be whole weeks (7, 14, ...)")


def ascending(settings, *names: str) -> None:
    """RefusedValue where a list does not ascend."""
    for name in names:
        if list(getattr(settings, name)) != sorted(set(getattr(settings, name))):
            raise RefusedValue(name, f"must ascend, found {list(getattr(settings, name))}")


def _each(settings, names: tuple[str, ...], fits: typing.Callable[[float], bool], wanted: str) -> None:
    for name in names:
        found = getattr(settings, name)
        many = found if isinstance(found, tuple) else (found,)
        if not many or not all(map(fits, many)):
            raise RefusedValue(name, f"{wanted}, found {list(found) if isinstance(found, tuple) else found}")
