"""The mapping of a raw log: conf/sources/<log>.yaml as frozen dataclasses. No Spark.

A mapping says where a log's files lie, how they are read, and which Spark SQL expression over the raw columns (all
strings in text files) gives each column of an event. A new log is a new mapping, never new code.
"""

import dataclasses
import hashlib
import json
import re
import zoneinfo
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from interest_model.config import conf_dir
from interest_model.errors import ConfigError
from interest_model.history.rules import DUPLICATE, REASONS
from interest_model.yaml_files import build, read_yaml

FORMATS = ("csv", "json", "parquet", "delta")
EVENT_COLUMNS = (
    "user_id", "item_id", "event_ts", "event_type", "value", "latitude", "longitude", "place_id",
    "utc_offset_minutes", "session_key", "text", "event_id", "arrival_ts",
)  # fmt: skip
ITEM_COLUMNS = ("item_id", "title", "text", "categories", "price", "published_ts", "latitude", "longitude")
# patterns with one of these letters outside quotes read the zone from the text itself
_ZONE_LETTERS = set("VzOXxZ")
_DATE_PARTS = {"%Y": r"\d{4}", "%m": r"\d{2}", "%d": r"\d{2}"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the files of one kind are read.

    files: glob below the raw folder; `{date}` stands for the day of a file that holds what arrived on that day.
    date_format: how `{date}` is written, from %Y, %m and %d.
    names: column names where there is no header line, and the keys to take from JSON lines.
    encoding: any name Java knows; lines that do not decode are refused.
    quote, escape: "" switches quoting off; the default escape is a doubled quote.
    multiline: quoted fields may hold line breaks; `line` then counts records, and files are not split.
    time_formats: tried in order: Spark patterns, `iso`, `epoch_seconds`, `epoch_millis`.
    time_zone: zone of times that do not state one; None: the log's zone.
    """

    files: str
    format: str = "csv"
    sep: str = ","
    header: bool = True
    names: tuple[str, ...] = ()
    encoding: str = "UTF-8"
    quote: str = '"'
    escape: str = '"'
    multiline: bool = False
    date_format: str = "%Y-%m-%d"
    time_formats: tuple[str, ...] = ("iso",)
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"key 'format' is {self.format!r}, expected one of {', '.join(FORMATS)}")
        if self.format == "csv" and self.header == bool(self.names):
            raise ValueError("a CSV file has either a header line or 'names' (then header: false)")
        if self.format == "json" and not self.names:
            raise ValueError("JSON lines need 'names': the keys to take from each line")
        if not self.sep:
            raise ValueError("key 'sep' is empty")
        for name in ("quote", "escape"):
            if len(getattr(self, name)) > 1:
                raise ValueError(f"key '{name}' is {getattr(self, name)!r}, expected one character or none")
        if not self.time_formats:
            raise ValueError("key 'time_formats' is empty")
        if sorted(re.findall("%.?", self.date_format)) != sorted(_DATE_PARTS):
            raise ValueError(f"key 'date_format' is {self.date_format!r}, expected %Y, %m and %d, once each")
        if self.time_zone is not None:
            _check_zone("time_zone", self.time_zone)

    @property
    def dated(self) -> bool:
        """True where a file's name says on which day its lines arrived."""
        return "{date}" in self.files

    def glob(self, days: tuple[date, ...] | None) -> str:
        """The files' glob for `days`, or for any day (None)."""
        if days is None:
            digits = self.date_format.replace("%Y", "[0-9]" * 4).replace("%m", "[0-9]" * 2).replace("%d", "[0-9]" * 2)
            return self.files.replace("{date}", digits)
        return self.files.replace("{date}", "{" + ",".join(day.strftime(self.date_format) for day in days) + "}")

    def file_day(self, name: str) -> date | None:
        """The day in a file's name (path below the raw folder); None where the name holds no valid day."""
        pattern = re.escape(self.date_format)
        for part, digits in _DATE_PARTS.items():
            pattern = pattern.replace(re.escape(part), digits)
        before, _, _ = self.files.partition("{date}")
        found = re.match(_as_regex(before) + f"({pattern})", name)
        try:
            return datetime.strptime(found.group(1), self.date_format).date() if found else None
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class Input(Reading):
    """Files of events. `columns`: column of an event -> expression over the raw columns.

    event_type: a constant, where `columns` has no expression for it.
    filters: rule name -> condition over the raw columns; a line for which it is not true is refused by that rule.
    item_columns: column of an item -> expression, where the log's own lines describe the items.
    """

    columns: dict[str, str]
    event_type: str | None = None
    filters: dict[str, str] = field(default_factory=dict)
    item_columns: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("columns", self.columns, EVENT_COLUMNS, required=("user_id", "item_id", "event_ts"))
        _check_names("item_columns", self.item_columns, ITEM_COLUMNS[1:])
        if ("event_type" in self.columns) == (self.event_type is not None):
            raise ValueError(
                "give the event type once: 'event_type' (a constant) or columns.event_type (an expression)"
            )
        if "arrival_ts" in self.columns and self.dated:
            raise ValueError("arrival is given twice: by columns.arrival_ts and by {date} in 'files'")
        if ("latitude" in self.columns) != ("longitude" in self.columns):
            raise ValueError("latitude and longitude go together")
        for rule in self.filters:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", rule):
                raise ValueError(f"filter {rule!r}: a rule's name is lower-case letters, digits and _")
            if rule in REASONS or rule == DUPLICATE or rule.startswith("item"):
                raise ValueError(f"filter {rule!r}: that name is taken, by a rule that holds for every log")


@dataclass(frozen=True, kw_only=True)
class ItemFile(Reading):
    """Files that describe items, one item a line. `attributes`: name -> expression, kept with the item."""

    columns: dict[str, str]
    attributes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("columns", self.columns, ITEM_COLUMNS, required=("item_id",))
        for name in self.attributes:
            if not re.fullmatch(r"[A-Za-z0-9_]+", name):
                raise ValueError(f"attribute {name!r}: a name is letters, digits and _")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A raw log's mapping.

    zone: the log's own time zone: days are its days, and times without a zone are its local times.
    repeats: people consume the same item again and again (shop, music, places).
    weights: event type -> strength, >= 0; `*` stands for every other type; without it other types are refused.
    value_range: least and greatest value that is accepted; () accepts every number.
    consumption, positive: conditions over event_type, value, text, place_id and the other columns of an event.
    file: where the mapping was read from (set by the loader).
    """

    name: str
    inputs: tuple[Input, ...]
    file: str
    zone: str = "UTC"
    repeats: bool = False
    weights: dict[str, float] = field(default_factory=lambda: {"*": 1.0})
    value_range: tuple[float, ...] = ()
    consumption: str = "true"
    positive: str = "true"
    item_files: tuple[ItemFile, ...] = ()

    def __post_init__(self) -> None:
        _check_zone("zone", self.zone)
        if not self.inputs:
            raise ValueError("key 'inputs' is empty")
        if any(weight < 0 or weight != weight for weight in self.weights.values()):
            raise ValueError("key 'weights': a weight is below 0")
        if self.value_range and (len(self.value_range) != 2 or self.value_range[0] > self.value_range[1]):
            raise ValueError(f"key 'value_range' is {list(self.value_range)}, expected [least, greatest]")

    def fingerprint(self) -> str:
        """sha2-256 over all the mapping says (not over where it lies)."""
        content = dataclasses.asdict(self)
        content.pop("file")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def zone_of(self, reading: Reading) -> str:
        """The zone of times in `reading`'s files that do not state one."""
        return reading.time_zone or self.zone


def load_source(file: str | Path) -> Source:
    """The mapping in a YAML file, or the one of that name under conf/sources. ConfigError names file and key."""
    path = Path(file)
    if path.suffix == "" and not path.is_file():
        path = conf_dir() / "sources" / f"{file}.yaml"
        if not path.exists():
            known = ", ".join(sorted(one.stem for one in path.parent.glob("*.yaml")))
            raise ConfigError(f"no mapping named '{file}'", f"give a file, or one of: {known}")
    content = read_yaml(path)
    if "file" in content:
        raise ConfigError(f"{path}: unknown key 'file'")
    return build(Source, content | {"file": str(path)}, lambda key: str(path))


def states_zone(time_format: str) -> bool:
    """True where a Spark time pattern reads the zone from the text."""
    bare = re.sub(r"'[^']*'", "", time_format)
    return bool(_ZONE_LETTERS & set(bare))


def _check_zone(key: str, zone: str) -> None:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"key '{key}': there is no time zone {zone!r}") from error


def _check_names(key: str, given: dict, known: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"unknown key '{key}.{name}'; known: {', '.join(known)}")
    for name in required:
        if name not in given:
            raise ValueError(f"missing key '{key}.{name}'")


def _as_regex(glob: str) -> str:
    """A regular expression for the part of a glob that stands before {date}: *, ?, {a,b}, [abc] and [!abc]."""
    parts = {"*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
    found, inside = "", 0
    for one in re.findall(r"\[[!^]?[^]]+\]|.", glob):
        inside += (one == "{") - (one == "}")
        if len(one) > 1:
            found += "[^" + one[2:] if one[1] in "!^" else one
        else:
            found += "|" if one == "," and inside else parts.get(one, re.escape(one))
    return found
