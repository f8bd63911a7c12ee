"""Prior knowledge about topics, as people write it: rules from a YAML or CSV file. No Spark.

A rule is a mapping (YAML: a list below the key `rules`; CSV: a header with the same names) with these keys:

    rule       topic              other            and                      means
    pin        where it belongs   -                one of item, keyword     the item is of that topic alone
    merge      stays              goes into it     -                        two topics of one tier become one
    forbid     -> required        -                one of item, keyword     the item is never of that topic
    forbid     -> required        -                -                        the topic is never shown
    parent_of  the parent         the child        -                        the child moves below that parent

A topic is named by its id, by its label, or by the labels from tier 1 down: "Home > kitchen". All names are those of
the tree before the rules. A keyword applies to every item whose text holds it as whole words, in any case.
"""

import csv
import dataclasses
from pathlib import Path

from interest_model.errors import ConfigError
from interest_model.yaml_files import read_yaml

_KEYS = ("rule", "topic", "other", "item", "keyword")
# kind of rule -> keys it must have, and keys of which it may have one
_FORMS = {
    "pin": (("topic",), ("item", "keyword")),
    "merge": (("topic", "other"), ()),
    "forbid": (("topic",), ("item", "keyword")),
    "parent_of": (("topic", "other"), ()),
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule; keys that it does not use are ""; `origin` is its file and line (CSV) or number from 1 (YAML)."""

    rule: str
    topic: str
    other: str
    item: str
    keyword: str
    origin: str


def read_rules(file: str | Path) -> tuple[Rule, ...]:
    """The rules of a .csv file, else of a YAML file. Raises ConfigError that names file, line or number, and key."""
    if Path(file).suffix.lower() == ".csv":
        return tuple(_rule(content, origin) for content, origin in _csv_rows(file))
    listed = read_yaml(file).get("rules")
    if not isinstance(listed, list):
        raise ConfigError(f"{file}: key 'rules' must be a list of rules, found {listed!r}")
    return tuple(_rule(content, f"{file}, rule {number}") for number, content in enumerate(listed, start=1))


def _csv_rows(file: str | Path) -> list[tuple[dict, str]]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, restkey="more columns than the header")
            return [(row, f"{file}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: cannot be read as CSV: {error}") from error


def _rule(content: object, origin: str) -> Rule:
    if not isinstance(content, dict):
        raise ConfigError(f"{origin}: expected keys and values, found {content!r}")
    stated = {str(key): value.strip() if isinstance(value, str) else value for key, value in content.items()}
    given = {key: value for key, value in stated.items() if value not in (None, "")}
    if unknown := set(given) - set(_KEYS):
        raise ConfigError(f"{origin}: unknown key '{min(unknown)}'", f"known keys: {', '.join(_KEYS)}")
    for key, value in given.items():
        if not isinstance(value, str):  # 0110065001 has lost its zero by now, 12:30 is 750, no is false
            raise ConfigError(f"{origin}: key '{key}' is no text, YAML reads {value!r}", "put it in quotes")
    kind = given.get("rule", "")
    if kind not in _FORMS:
        raise ConfigError(f"{origin}: key 'rule' is '{kind}'", f"take one of: {', '.join(_FORMS)}")
    required, either = _FORMS[kind]
    for key in required:
        if key not in given:
            raise ConfigError(f"{origin}: {kind} needs the key '{key}'")
    for key in sorted(set(given) - {"rule", *required, *either}):
        raise ConfigError(f"{origin}: {kind} does not take the key '{key}'")
    named = sum(key in given for key in either)
    if named > 1 or (kind == "pin" and named == 0):
        raise ConfigError(f"{origin}: {kind} takes one of the keys item and keyword, found {named}")
    return Rule(**{key: given.get(key, "") for key in _KEYS}, origin=origin)
