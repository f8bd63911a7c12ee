from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml

from interest_model.config import conf_dir
from interest_model.errors import ConfigError
from interest_model.source import load_source, states_zone

MAPPING = {
    "name": "tiny",
    "inputs": [
        {
            "files": "{date}.csv",
            "event_type": "view",
            "columns": {"user_id": "u", "item_id": "i", "event_ts": "t"},
        }
    ],
}
ITEM_FILE = {"files": "items.csv", "columns": {"item_id": "i"}}


def write(folder: Path, content: dict) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def with_input(**changes) -> dict:
    content = {"name": "tiny", "inputs": [dict(MAPPING["inputs"][0])]}
    for key, value in changes.items():
        content["inputs"][0][key] = value
    return content


@pytest.mark.parametrize("path", sorted((conf_dir() / "sources").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_mapping_loads_and_is_named_after_its_file(path):
    assert load_source(path.stem).name == path.stem


def test_defaults_of_a_minimal_mapping(tmp_path):
    source = load_source(write(tmp_path, MAPPING))
    assert (source.zone, source.repeats, source.weights, source.value_range) == ("UTC", False, {"*": 1.0}, ())
    assert source.inputs[0].dated and source.inputs[0].time_formats == ("iso",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (MAPPING | {"zonne": "UTC"}, "unknown key 'zonne'"),
        (MAPPING | {"zone": "Europe/Atlantis"}, "there is no time zone 'Europe/Atlantis'"),
        (MAPPING | {"file": "x"}, "unknown key 'file'"),
        (MAPPING | {"value_range": [5, 1]}, "value_range"),
        (MAPPING | {"weights": {"view": -1}}, "below 0"),
        (MAPPING | {"inputs": []}, "inputs"),
        (with_input(format="excel"), "excel"),
        (with_input(format="json"), "names"),
        (with_input(header=False), "names"),
        (with_input(columns={"user_id": "u", "item_id": "i"}), "columns.event_ts"),
        (with_input(columns={"user_id": "u", "item_id": "i", "event_ts": "t", "colour": "c"}), "columns.colour"),
        (with_input(columns={"user_id": 3, "item_id": "i", "event_ts": "t"}), "inputs[0].columns.user_id"),
        (with_input(columns={"user_id": "u", "item_id": "i", "event_ts": "t", "arrival_ts": "a"}), "arrival"),
        (with_input(columns={"user_id": "u", "item_id": "i", "event_ts": "t", "event_type": "e"}), "event type"),
        (with_input(columns={"user_id": "u", "item_id": "i", "event_ts": "t", "latitude": "l"}), "longitude"),
        (with_input(filters={"Not Good": "true"}), "Not Good"),
        (with_input(filters={"duplicate": "true"}), "that name is taken"),
        (with_input(filters={"bad_time": "true"}), "that name is taken"),
        (with_input(filters={"item_odd": "true"}), "that name is taken"),
        (with_input(date_format="%H"), "date_format"),
        (with_input(time_formats=[]), "time_formats"),
        (with_input(quote="''"), "'quote'"),
        (MAPPING | {"weights": {True: 1.0, "view": 1.0}}, "key 'weights' holds True, which is no text"),
        (MAPPING | {"weights": {8: 1.0}}, "put it in quotes"),
        (with_input(date_format="%d"), "date_format"),
        (with_input(date_format="%Y-%m-%d-%d"), "date_format"),
        (MAPPING | {"item_files": [ITEM_FILE | {"attributes": {"pack size": "p"}}]}, "pack size"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path, content, words):
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        load_source(path)
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_a_folder_of_the_name_of_a_shipped_mapping_is_not_taken_for_it(tmp_path, monkeypatch):
    (tmp_path / "news").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_source("news").name == "news"


def test_an_unknown_name_lists_the_known_mappings():
    with pytest.raises(ConfigError, match="movietweetings"):
        load_source("no_such_log")


def test_days_of_file_names(tmp_path):
    reading = load_source(write(tmp_path, with_input(files="in/*/{date}/x.csv", date_format="%Y/%m/%d"))).inputs[0]
    assert reading.file_day("in/north/2026/02/03/x.csv") == date(2026, 2, 3)
    assert reading.file_day("in/north/2026/02/31/x.csv") is None
    assert reading.file_day("in/north/south/2026/02/03/x.csv") is None
    assert reading.glob((date(2026, 2, 3), date(2026, 2, 4))) == "in/*/{2026/02/03,2026/02/04}/x.csv"
    assert reading.glob(None) == "in/*/[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]/x.csv"
    several = load_source(write(tmp_path, with_input(files="{web,app}/[a-c][!x]_{date}.csv"))).inputs[0]
    assert [several.file_day(f"{one}_2026-02-03.csv") for one in ("web/ab", "app/cd")] == [date(2026, 2, 3)] * 2
    assert several.file_day("tv/ab_2026-02-03.csv") is several.file_day("web/ax_2026-02-03.csv") is None


def test_fingerprint_follows_the_content_not_the_place(tmp_path):
    source = load_source(write(tmp_path, MAPPING))
    assert replace(source, file="elsewhere").fingerprint() == source.fingerprint()
    assert replace(source, repeats=True).fingerprint() != source.fingerprint()


def test_which_time_formats_state_their_zone():
    assert states_zone("yyyy-MM-dd'T'HH:mm:ssXXX") and states_zone("d MMM yyyy HH:mm z")
    assert not states_zone("yyyy-MM-dd'Z'HH:mm:ss")
