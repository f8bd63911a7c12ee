"""The console command's reading verbs and backfill, on finished nights."""

import argparse
import csv
import importlib
import json
import shutil
from datetime import date
from functools import partial
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from cryptography.fernet import Fernet

from interest_model import commands, reading
from interest_model.cli import main
from interest_model.errors import CheckError, DataError, MissingTableError, SetupError, UsageError
from interest_model.history.events import rejected_rows
from interest_model.job import open_night
from interest_model.privacy import RAW_KEY, USER_KEY, load_keys
from interest_model.runs import done_with_same_inputs, record_start
from interest_model.storage import Storage
from tests.nights import options

pytestmark = [pytest.mark.spark, pytest.mark.slow]
NIGHT = date(2026, 1, 9)


@pytest.fixture(autouse=True)
def shared_session(spark):
    """The commands start a session of their own, which is the running one."""


def given(warehouse, **more):
    return argparse.Namespace(warehouse=str(warehouse), **more)


def test_tables_lists_each_table_with_version_and_rows(night_warehouse, capsys):
    commands.tables(given(night_warehouse, json=True))
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["events"]["rows"] > 100 and rows["daily_recommendations"]["version"] >= 1
    assert rows["events"]["path"] == str(night_warehouse / "events")


def test_sql_sees_every_table_by_name(night_warehouse, capsys):
    query = "select count(distinct user_id) n from daily_recommendations where rank = 1"
    commands.sql(given(night_warehouse, query=query, rows=5))
    assert int(capsys.readouterr().out.split()[-1]) > 10


def test_sql_shows_times_before_1677_and_names_that_come_twice(night_warehouse, capsys):
    commands.sql(given(night_warehouse, query="select timestamp'1605-01-16 00:00:00' t, 1 n, 2 n", rows=5))
    assert capsys.readouterr().out.split() == ["t", "n", "n", "1605-01-16", "00:00:00", "1", "2"]


def test_a_query_that_cannot_run_is_a_wrong_argument(night_warehouse):
    failing = "select cast(item_id as int) from events"
    for query in ("selekt 1", "select no_such_column from events", "select 1 from no_such_table", failing):
        with pytest.raises(UsageError, match=r"query: (?s:.*)docs/tables.md"):
            commands.sql(given(night_warehouse, query=query, rows=5))


def test_show_finds_a_user_by_pseudonym_and_by_the_logs_own_id(spark, night_warehouse, sample_log, capsys):
    from interest_model.privacy import pseudonym

    plain = some_plain_id(spark, sample_log)
    commands.show(given(night_warehouse, user=plain, run_date=None, rows=5))
    by_plain = capsys.readouterr().out
    commands.show(given(night_warehouse, user=pseudonym(b"k" * 32, plain), run_date=NIGHT, rows=5))
    assert capsys.readouterr().out == by_plain
    assert "recommendations" in by_plain and "rank" in by_plain and plain not in by_plain
    like_a_pseudonym = "0123456789abcdef0123456789abcdef"  # as some logs have ids: not taken for one of the tables
    commands.show(given(night_warehouse, user=like_a_pseudonym, run_date=NIGHT, rows=5))
    assert f"user {pseudonym(b'k' * 32, like_a_pseudonym)}" in capsys.readouterr().out


def some_plain_id(spark, sample_log):
    from interest_model.source import load_source

    (reading, *_) = load_source("shop").inputs
    (file, *_) = sorted(sample_log.glob("*2026-01-08*"))
    frame = spark.read.csv(str(file), header=True, sep=reading.sep)
    return (
        frame.selectExpr(f"{reading.columns['user_id']} user").where("user is not null").orderBy("user").head()["user"]
    )


def test_export_writes_the_day_and_joins_plain_ids_back(spark, night_warehouse, sample_log, tmp_path, capsys):
    plain = some_plain_id(spark, sample_log)
    (tmp_path / "users.txt").write_text(f"\ufeff{plain}\nnobody\n{plain}\n")  # as some editors write it, one twice
    common = {"run_date": NIGHT, "users": None}
    commands.export(given(night_warehouse, out=str(tmp_path / "lists"), format="parquet", **common))
    rows = pq.read_table(tmp_path / "lists")
    assert rows.num_rows == Storage(spark, str(night_warehouse)).read_day("daily_recommendations", NIGHT).count()
    named = common | {"users": str(tmp_path / "users.txt")}
    commands.export(given(night_warehouse, out=str(tmp_path / "lists.csv"), format="csv", **named))
    with (tmp_path / "lists.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert {row["plain_user_id"] for row in listed} == {plain}
    assert "1 of 2 users have no list of their own" in capsys.readouterr().out
    assert [int(row["rank"]) for row in listed] == list(range(1, len(listed) + 1))
    with pytest.raises(UsageError, match="exists already"):
        commands.export(given(night_warehouse, out=str(tmp_path / "lists"), format="parquet", **common))
    with pytest.raises(MissingTableError, match="2026-02-01"):
        commands.export(
            given(night_warehouse, out=str(tmp_path / "x"), format="csv", run_date=date(2026, 2, 1), users=None)
        )


@pytest.fixture
def refused(spark, tmp_path, monkeypatch):
    """A warehouse where two lines were refused, whose keys are in its own key file."""
    monkeypatch.delenv(USER_KEY, raising=False)
    monkeypatch.delenv(RAW_KEY, raising=False)
    keys, _ = load_keys({}, tmp_path / "_keys" / "keys.json")
    lines = [
        ("day.csv", 7, "broken_encoding", NIGHT, b"ann,\xff\n"),
        ("day.csv", 3, "value_range", None, b"bob,book,-1\n"),
    ]
    frame = spark.createDataFrame(lines, "file string, line long, rule string, arrival_date date, raw binary")
    Storage(spark, str(tmp_path)).replace_days("events_rejected", rejected_rows(frame, NIGHT, keys.raw), [NIGHT])
    return tmp_path


def test_rejected_shows_the_refused_lines_and_only_to_the_key(refused, capsys, monkeypatch):
    commands.rejected(given(refused, run_date=NIGHT, rows=2))
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["rule", "reason", "file", "line", "raw"] and len(lines) == 2
    assert lines[0].startswith("value_range") and lines[0].endswith(f"day.csv  3     bob,book,-1{chr(92)}n")
    assert lines[1].startswith("broken_encoding") and lines[1].endswith(f"7     ann,{chr(92)}xff{chr(92)}n")
    commands.rejected(given(refused, run_date=NIGHT, rows=1))
    assert capsys.readouterr().out.splitlines()[2:] == ["(first 1 lines)"]
    commands.rejected(given(refused, run_date=date(2026, 3, 1), rows=5))
    assert "no line was refused" in capsys.readouterr().out
    monkeypatch.setenv(USER_KEY, "k" * 32)
    monkeypatch.setenv(RAW_KEY, Fernet.generate_key().decode())
    with pytest.raises(DataError, match="cannot be decrypted"):
        commands.rejected(given(refused, run_date=NIGHT, rows=5))
    monkeypatch.delenv(USER_KEY)
    monkeypatch.delenv(RAW_KEY)
    (refused / "_keys" / "keys.json").unlink()
    with pytest.raises(SetupError, match=f"{RAW_KEY} are not set"):
        commands.rejected(given(refused, run_date=NIGHT, rows=5))


def test_compare_finds_no_difference_with_itself_and_names_one_that_is_there(night_warehouse, tmp_path, capsys):
    other = tmp_path / "warehouse"
    shutil.copytree(night_warehouse, other)
    some = "events,user_returns,fallback_recommendations"  # that all are compared costs a minute: tests/test_nights.py
    same = argparse.Namespace(left=str(night_warehouse), right=str(other), tables=some, start=None, late=False)
    commands.compare(same)
    storage = Storage(shared(), str(other))
    lists = storage.read("fallback_recommendations").where(f"run_date = DATE'{NIGHT}' and rank > 1")
    storage.replace_days("fallback_recommendations", lists, [NIGHT])
    same.tables = "evnts"
    with pytest.raises(UsageError, match="no such table: evnts"):
        commands.compare(same)
    same.tables = "fallback_recommendations"
    with pytest.raises(CheckError, match="1 rows differ"):
        commands.compare(same)
    assert "'side': 'left only'" in capsys.readouterr().out


def test_metrics_pools_the_nights(night_warehouse, capsys):
    asked = {"protocol": "replay", "segment": "all", "k": 10}
    commands.metrics(given(night_warehouse, run_date=date(2026, 1, 8), to=NIGHT, **asked))
    printed = capsys.readouterr().out
    assert "ranker" in printed and "popular_7_days" in printed and "ranker_leads_by" in printed
    with pytest.raises(MissingTableError, match=r"nothing judged(?s:.*)run those nights"):
        commands.metrics(given(night_warehouse, run_date=date(2026, 3, 1), to=None, **asked))
    for wrong in ({"k": 20}, {"segment": "heavy"}):
        with pytest.raises(MissingTableError, match=r"there are: all at 10, all at 50, heavy_users at 10"):
            commands.metrics(given(night_warehouse, run_date=date(2026, 1, 8), to=NIGHT, **asked | wrong))


def test_backfill_skips_what_is_done_and_does_it_again_for_other_settings(
    night_warehouse, sample_log, tmp_path, monkeypatch, capsys
):
    """Again means the last step alone here: whole nights are run elsewhere, and take minutes."""
    warehouse = tmp_path / "warehouse"
    shutil.copytree(night_warehouse, warehouse)
    commands.backfill(options(sample_log, warehouse, date(2026, 1, 8), NIGHT))
    assert capsys.readouterr().out.count("done already") == 2
    killed = open_night(options(sample_log, warehouse, NIGHT), NIGHT, shared())
    assert done_with_same_inputs(killed)
    record_start(killed.storage, killed)
    assert not done_with_same_inputs(killed.another(NIGHT))
    monkeypatch.setattr(commands, "run_night", partial(commands.run_night, jobs=["daily_recommendations"]))
    commands.backfill(options(sample_log, warehouse, NIGHT, set=["recommendations.list_length=7"]))
    assert "done already" not in capsys.readouterr().out
    lists = Storage(shared(), str(warehouse)).read_day("daily_recommendations", NIGHT)
    assert lists.agg({"rank": "max"}).head()[0] == 7


def test_backfill_goes_on_after_a_night_that_failed_and_ends_with_its_error(
    night_warehouse, sample_log, tmp_path, monkeypatch, capsys
):
    """Both nights fail at their first step, one of an unforeseen error: the first is raised, each night is named."""
    warehouse = tmp_path / "warehouse"
    shutil.copytree(night_warehouse, warehouse)

    def failing(night):
        error = CheckError if night.run_date.day == 10 else RuntimeError
        raise error(f"no events on {night.run_date}")

    monkeypatch.setattr(importlib.import_module("jobs.events"), "run", failing)
    with pytest.raises(CheckError, match="2026-01-10"):
        commands.backfill(options(sample_log, warehouse, NIGHT, date(2026, 1, 11)))
    said = capsys.readouterr().out
    assert "2026-01-09: done already" in said and "2 of 3 nights failed: 2026-01-10, 2026-01-11" in said


def shared():
    from interest_model.session import start_session

    return start_session("tests")


def test_a_wrong_folder_is_named_and_has_its_exit_code(tmp_path, capsys):
    assert main(["tables", "--warehouse", str(tmp_path / "nothing")]) == 4
    assert "no tables there" in capsys.readouterr().err
    arguments = ["--run-date", "2026-01-08", "--source", "shop", "--warehouse", str(tmp_path)]
    assert main(["run", *arguments, "--raw", str(tmp_path / "absent")]) == 2
    assert main(["run", *arguments, "--raw", str(tmp_path), "--to", "2026-01-01"]) == 2
    assert (
        main(["run", *arguments[:2], "--source", "nosuch", "--raw", str(tmp_path), "--warehouse", str(tmp_path)]) == 3
    )


def test_csv_for_another_machine_is_refused(tmp_path):
    with pytest.raises(UsageError, match="s3a://bucket/lists.csv: CSV is written to this machine"):
        commands.export(given(tmp_path, run_date=NIGHT, out="s3a://bucket/lists.csv", format="csv", users=None))


def test_an_export_that_is_cut_off_leaves_no_half_file_behind(tmp_path):
    def rows(prefetchPartitions):
        yield ("u1", 1)
        raise RuntimeError("the disk is full")

    frame = SimpleNamespace(columns=["user_id", "rank"], toLocalIterator=rows)
    with pytest.raises(RuntimeError):
        reading._write_csv(frame, tmp_path / "new" / "lists.csv")
    assert not list((tmp_path / "new").iterdir())
