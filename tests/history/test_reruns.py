"""Nights of a tiny log whose files go, come again or come late: history after them."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta

import pytest

from interest_model.errors import DataError
from interest_model.history.arrivals import has_ended, touched_since
from interest_model.history.raw import RawFile, files_due
from interest_model.history.reruns import (
    about_files,
    changed_since_read,
    check_files,
    files_read,
    of_nights_until,
    without_file,
)
from interest_model.job import open_night
from interest_model.nightly import run_night
from interest_model.report import StepRecord
from interest_model.source import load_source
from tests.nights import options

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
MAPPING = """
name: tiny
inputs:
  - files: "{date}.csv"
    event_type: view
    columns: {user_id: user, item_id: item, event_ts: time, event_id: id}
    item_columns: {title: item}
"""
HEADER = "user,item,time,id\n"


def line(user: str, day: date, id: int) -> str:
    return f"{user},film of {user},{day}T12:00:00,{id}\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(MAPPING)
    for day in (FIRST, SECOND):
        (folder / f"{day}.csv").write_text(HEADER + line("ann", day, day.day) + line("bob", day, 10 + day.day))
    return folder


def night_of(spark, log, day: date, raw=None):
    given = options(raw or log, log / "tables", day, source=str(log / "tiny.yaml"))
    return open_night(given, day, spark)


def run(spark, log, day: date, *jobs: str):
    night = night_of(spark, log, day)
    run_night(night, None, jobs)
    return night.another(day)


def held(night) -> list[tuple]:
    """(day of the event, day of arrival, its file) of all events."""
    return sorted((row.event_date, row.arrival_date, row.file) for row in night.read("events").collect())


def files(*names: str) -> list[list[RawFile]]:
    return [[RawFile(f"/raw/{name}", name, None, 1, 0) for name in names]]


def test_what_a_missing_file_says_and_which_files_count_as_there():
    found = {"a.csv", "folder/part-1", "table/part-2"}
    check_files("events", found, files("a.csv", "folder/part-1", "table", "b.csv"), FIRST)
    check_files("events", found, files("."), FIRST)  # the raw folder is the table
    check_files("events", found, files("a.csv.gz", "folder/part-1", "table"), FIRST)  # packed since
    with pytest.raises(DataError, match="run_date 2026-01-01 read from a.csv, folder/part-1, which .* holds no more"):
        check_files("events", found, files("table", "other/part-1"), FIRST)
    with pytest.raises(DataError, match="and 4 more"):
        check_files("events", {f"{n}.csv" for n in range(9)}, [], FIRST)


def test_files_of_days_that_earlier_nights_have_read_are_not_looked_for():
    """What the first night said of items, of several days' files, before a night of one of these days was run."""
    readings = load_source("shop").inputs
    names = {readings[0].files.replace("{date}", day) for day in (str(FIRST), str(SECOND))} | {"items.csv"}
    first = readings[0].files.replace("{date}", str(FIRST))
    assert of_nights_until(None, readings, names) == set()
    assert of_nights_until(FIRST, readings, names) == {first}


@pytest.mark.spark
def test_a_day_without_its_file_is_told(spark, fixed_keys, log):
    (reading,) = load_source(log / "tiny.yaml").inputs
    third = date(2026, 1, 3)
    due = {day: [files_due(spark, reading, str(log), FIRST, day)] for day in (SECOND, third)}
    assert without_file([reading], due[SECOND], SECOND) == []
    assert without_file([reading], due[third], third) == [reading]


def test_a_day_has_ended_at_midnight_of_the_logs_zone():
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert has_ended(FIRST, "UTC", noon) and not has_ended(SECOND, "UTC", noon)
    assert not has_ended(FIRST, "America/Los_Angeles", datetime(2026, 1, 2, 7, 59, tzinfo=UTC))
    assert has_ended(FIRST, "America/Los_Angeles", datetime(2026, 1, 2, 8, tzinfo=UTC))


@pytest.mark.spark
def test_a_night_run_again_rebuilds_what_later_nights_have_touched_as_well(spark):
    days = spark.createDataFrame([(FIRST,), (SECOND,), (date(2026, 1, 3),)], "last_arrival_date date")
    assert {row[0] for row in days.where(touched_since(FIRST)).collect()} == {SECOND, date(2026, 1, 3)}
    assert days.where(touched_since(None)).count() == 3


@pytest.fixture(scope="module")
def two_nights(spark, fixed_keys, log):
    """The first night failed after its step events; the second was done."""
    run(spark, log, FIRST, "events")
    return run(spark, log, SECOND, "events", "items", "sessions", "windows")


@pytest.mark.spark
@pytest.mark.slow
def test_the_next_night_takes_in_what_a_night_left_that_failed_after_its_events(two_nights):
    sessions, windows = (two_nights.read(name) for name in ("sessions", "windows"))
    assert {row[0] for row in sessions.select("session_date").collect()} == {FIRST, SECOND}
    days = windows.where("window_kind = 'day'").select("window_start")
    assert {row[0] for row in days.collect()} == {FIRST, SECOND}
    assert two_nights.read("items").count() == 2


@pytest.mark.spark
@pytest.mark.slow
def test_a_night_is_done_whatever_becomes_of_files_that_it_did_not_read(spark, two_nights, log, tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    shutil.copytree(log, raw, ignore=lambda folder, names: {"tables"} & set(names))

    def noted(folder=raw) -> str:
        return night_of(spark, log, SECOND, raw=folder).note_raw_files()

    before, night = noted(), night_of(spark, log, SECOND, raw=raw)
    assert night.note_raw_files() == before
    # the night of the day has read the events of the first one; of items the step of the second was the first
    night.covered["items"] = FIRST
    (raw / f"{FIRST}.csv").unlink()
    assert noted() == before
    (raw / f"{SECOND}.csv").write_text(HEADER + line("cid", SECOND, 3))
    assert noted() != before
    assert night.note_raw_files() == before  # as the files were when it first looked, before it read them
    monkeypatch.chdir(tmp_path)
    assert noted("raw") == noted(f"file://{raw}") == noted()


@pytest.mark.spark
@pytest.mark.slow
def test_a_file_that_grew_after_its_night_had_read_it_is_told(spark, two_nights, log, tmp_path):
    raw = shutil.copytree(log, tmp_path / "raw", ignore=shutil.ignore_patterns("tables"))
    third = date(2026, 1, 3)
    night = open_night(options(raw, log / "tables", third, source=str(log / "tiny.yaml")), third, spark)
    night.steps.append(StepRecord(third, "events"))
    before, after = ((datetime.now(UTC) + timedelta(days=days)).timestamp() for days in (-1, 1))
    for name in (f"{FIRST}.csv", f"{SECOND}.csv"):
        os.utime(raw / name, (before, before))
    assert changed_since_read(night, night.source.inputs) == []
    for name in (f"{FIRST}.csv", f"{SECOND}.csv"):
        os.utime(raw / name, (after, after))
    assert changed_since_read(night, night.source.inputs) == [f"{SECOND}.csv"]  # of the latest day taken in
    told = about_files(night, files_read(night, night.source.inputs))
    assert [one.split(":")[0] for one in told] == [
        f"no file '{{date}}.csv' of {third}", f"'{SECOND}.csv' was changed after the night of {SECOND} had read it",
    ]  # fmt: skip


@pytest.mark.spark
@pytest.mark.slow
def test_a_night_whose_file_is_gone_keeps_its_events_and_items(spark, two_nights, log):
    def kept() -> tuple[list, list]:
        night = night_of(spark, log, SECOND)
        return held(night), sorted(night.read("items").collect())

    file, before = log / f"{SECOND}.csv", kept()
    assert {row.file for row in before[1]} == {file.name}
    content = file.read_text()
    file.unlink()
    for step in ("events", "items"):
        with pytest.raises(DataError, match=f"table {step} .* {SECOND}.csv, which the raw folder holds no more"):
            run(spark, log, SECOND, step)
    assert kept() == before
    file.touch()  # what takes its events out
    due = files_due(spark, two_nights.source.inputs[0], str(log), FIRST, SECOND)
    check_files("events", {file.name}, [due], SECOND)
    file.write_text(content)


@pytest.mark.spark
@pytest.mark.slow
def test_a_file_that_comes_again_takes_over_the_lines_that_a_later_night_took(spark, two_nights, log):
    """Both lines of the second night under the ids that they have there, their times corrected to the day before."""
    with (log / f"{FIRST}.csv").open("a") as file:
        file.write(line("ann", FIRST, 2) + line("bob", FIRST, 12))
    rows = held(run(spark, log, FIRST, "events"))
    assert [row[:2] for row in rows] == [(FIRST, FIRST)] * 4
