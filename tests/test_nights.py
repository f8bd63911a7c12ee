"""Whole nights: run again, killed, late, two at once. The sample, real Spark, real Delta."""

import importlib
import json
import shutil
from datetime import date

import pytest

from interest_model import commands, reading
from interest_model.errors import CheckError, ClaimError
from interest_model.flow import JOBS, STEPS
from interest_model.job import open_night
from interest_model.nightly import run_night
from interest_model.storage import Storage, compare_frames
from interest_model.tables import ALL, BY_NAME
from tests.nights import options

pytestmark = [pytest.mark.spark, pytest.mark.slow]
FIRST, SECOND, THIRD = date(2026, 1, 8), date(2026, 1, 9), date(2026, 1, 10)


def differing(left: Storage, right: Storage, late: bool = False, start: date | None = None) -> dict[str, str]:
    """Tables in which two warehouses differ, with what `compare` says of them."""
    given = type("Given", (), {"start": start, "late": late})
    found = {
        table.name: reading.compare_table(left, right, table.name, given) for table in ALL if table.kind != "record"
    }
    return {name: text for name, (count, text) in found.items() if count}


def copy_of(warehouse, folder):
    shutil.copytree(warehouse, folder / "warehouse")
    return folder / "warehouse"


def test_every_table_of_the_flow_holds_rows(spark, night_warehouse):
    storage = Storage(spark, str(night_warehouse))
    empty = {table.name for table in ALL if storage.read(table.name).isEmpty()}
    assert empty <= {"events_rejected", "promotions", "user_vectors"}  # nothing was refused, nothing trained


def test_each_step_reads_and_writes_what_the_flow_says(spark, night_warehouse):
    for row in Storage(spark, str(night_warehouse)).read("runs").where("state = 'done'").collect():
        for step in [one for one in STEPS if one.job == row["job"]]:
            assert set(row["inputs"]) - {"runs"} <= set(step.reads), step.job  # every step may ask what ran before
            assert set(row["outputs"]) <= set(step.writes), step.job


def test_each_active_user_has_a_whole_list_and_a_reason_on_each_row(spark, night_warehouse):
    storage = Storage(spark, str(night_warehouse))
    lists = storage.read_day("daily_recommendations", SECOND)
    users = storage.read("events").where("consumption").select("user_id").distinct()
    assert users.join(lists, "user_id", "left_anti").count() == 0
    ranks = lists.groupBy("user_id").agg({"rank": "max", "*": "count", "score": "count"})
    assert ranks.where("`max(rank)` != `count(1)`").count() == 0
    assert lists.where("reason is null or length(reason) < 10").count() == 0
    assert lists.groupBy("user_id", "item_id").count().where("count > 1").count() == 0


@pytest.mark.long
@pytest.mark.parametrize("job", JOBS[1:])
def test_a_night_killed_before_a_step_and_run_again_gives_the_same_tables(
    spark, run_nights, sample_log, first_night_warehouse, night_warehouse, tmp_path, monkeypatch, job
):
    warehouse = copy_of(first_night_warehouse, tmp_path)

    def killed(night):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module(f"jobs.{job}"), "run", killed)
        with pytest.raises(KeyboardInterrupt):
            run_nights(sample_log, warehouse, SECOND)
    run_nights(sample_log, warehouse, SECOND)
    assert differing(Storage(spark, str(night_warehouse)), Storage(spark, str(warehouse))) == {}


@pytest.fixture(scope="module")
def failed_night(run_nights, sample_log, night_warehouse, tmp_path_factory):
    """Tables after the night of THIRD, a day without a file, has failed at its last step."""
    warehouse = copy_of(night_warehouse, tmp_path_factory.mktemp("failed"))

    def failing(night):
        raise CheckError("the checks failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("jobs.daily_recommendations"), "run", failing)
        with pytest.raises(CheckError):
            run_nights(sample_log, warehouse, THIRD)
    return warehouse


def test_a_failed_night_leaves_yesterdays_lists_and_says_so_in_runs(spark, failed_night):
    storage = Storage(spark, str(failed_night))
    assert reading.newest_run_date(storage) == SECOND
    failed = storage.read("runs").where(f"run_date = DATE'{THIRD}' and state = 'failed'").collect()
    assert {row["job"] for row in failed} == {"daily_recommendations", "night"}
    assert all("the checks failed" in row["message"] for row in failed)


def test_a_day_without_a_file_is_a_night_without_events(spark, sample_log, failed_night, tmp_path):
    warehouse = copy_of(failed_night, tmp_path)
    run_night(open_night(options(sample_log, warehouse, THIRD), THIRD, spark), None, ["daily_recommendations"])
    storage = Storage(spark, str(warehouse))
    (events,) = storage.read("runs").where(f"run_date = DATE'{THIRD}' and job = 'events'").collect()
    assert events["rows"]["read"] == events["rows"]["accepted"] == 0
    assert not storage.read_day("daily_recommendations", THIRD).isEmpty()


@pytest.mark.long
def test_events_three_days_late_correct_history_and_change_issued_tables_only_from_their_arrival_on(
    spark, run_nights, sample_log, tmp_path
):
    late_log = tmp_path / "late"
    shutil.copytree(sample_log, late_log)
    moved = move_lines(late_log, date(2026, 1, 5), date(2026, 1, 8))
    assert moved > 10
    for log in (sample_log, late_log):
        run_nights(log, tmp_path / f"{log.name}_tables", date(2026, 1, 4), SECOND)
    left, right = (Storage(spark, str(tmp_path / f"{log.name}_tables")) for log in (sample_log, late_log))
    # lines are refused on the night they come; a cache keeps what it once held; lists judged were issued before
    elsewhere = {"events_rejected", "text_embeddings", "evaluation"}
    further = {"behaviour_embeddings", "interest_states"}  # rows of the users whose late events changed something
    assert set(differing(left, right, late=True, start=date(2026, 1, 8))) <= elsewhere | further
    for name in further:
        since = [side.read(name).where("run_date >= DATE'2026-01-08'") for side in (left, right)]
        sides = {row["side"] for row in compare_frames(BY_NAME[name], *since).collect()}
        assert sides <= {"right only"}, name
    assert "daily_recommendations" in differing(left, right, late=True)


def move_lines(folder, day, later):
    """Moves every third line of a day's file to the end of a later day's; returns how many."""
    (source,) = folder.glob(f"*{day}*")
    (target,) = folder.glob(f"*{later}*")
    header, *lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join([header, *(line for n, line in enumerate(lines) if n % 3)]))
    target.write_text(target.read_text() + "".join(lines[::3]))
    return len(lines[::3])


@pytest.mark.parametrize(
    "jobs",
    [
        ("events", "interest_states", "ranker", "daily_recommendations"),  # a third of the time
        pytest.param(JOBS, marks=pytest.mark.long),
    ],
    ids=["some steps", "all"],
)
def test_an_old_night_that_another_run_holds_is_refused_and_when_taken_over_gives_what_it_gave_then(
    spark, run_nights, sample_log, night_warehouse, tmp_path, jobs
):
    warehouse = copy_of(night_warehouse, tmp_path)
    claim = warehouse / "_claims" / f"{FIRST}.json"
    claim.write_text(json.dumps({"owner": "other:1", "start": "2026-01-10T00:00:00+00:00"}))
    before = Storage(spark, str(warehouse))
    versions = {name: before.version(name) for name in before.existing()}
    with pytest.raises(ClaimError, match="claimed by other:1"):
        run_nights(sample_log, warehouse, FIRST)
    after = Storage(spark, str(warehouse))
    assert {name: after.version(name) for name in after.existing()} == versions
    run_night(open_night(options(sample_log, warehouse, FIRST, takeover=True), FIRST, spark), None, jobs)
    assert not claim.exists()
    rerun = Storage(spark, str(warehouse))
    assert rerun.version("daily_recommendations") > versions["daily_recommendations"]
    assert differing(Storage(spark, str(night_warehouse)), rerun) == {}


def test_a_dry_run_writes_nothing(spark, sample_log, tmp_path, fixed_keys, capsys):
    given = options(sample_log, tmp_path / "warehouse", SECOND, dry_run=True)
    assert list(commands.each_night(given, spark)) == []
    assert "daily_recommendations" in capsys.readouterr().out
    assert not (tmp_path / "warehouse").exists()
