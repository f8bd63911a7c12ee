"""One run holds a day; a second is told who."""

import contextlib
import errno
import io
import threading
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from interest_model import runs
from interest_model.claim import Claim
from interest_model.errors import ClaimError, SetupError
from interest_model.report import Reporter, StepRecord
from interest_model.storage import Storage

DAY = date(2026, 1, 5)


def test_a_second_owner_is_refused_with_the_first_ones_name(tmp_path):
    assert Claim(tmp_path, DAY, "first").take()
    with pytest.raises(ClaimError, match="claimed by first since") as refused:
        Claim(tmp_path, DAY, "second").take()
    assert "--takeover" in str(refused.value)
    assert refused.value.exit_code == 5


def test_the_same_owner_may_come_again_and_other_days_are_free(tmp_path):
    assert Claim(tmp_path, DAY, "first").take()
    assert not Claim(tmp_path, DAY, "first").take()
    assert Claim(tmp_path, date(2026, 1, 6), "second").take()


def test_takeover_replaces_a_stale_claim_and_the_dead_owner_cannot_release_it(tmp_path):
    dead = Claim(tmp_path, DAY, "dead")
    dead.take()
    assert Claim(tmp_path, DAY, "alive").take(takeover=True)
    dead.release()
    assert dead.holder()["owner"] == "alive"


def test_a_claim_file_that_a_crash_left_empty_is_held_and_can_be_taken_over(tmp_path):
    claim = Claim(tmp_path, DAY, "alive")
    tmp_path.joinpath(f"{DAY}.json").touch()
    with pytest.raises(ClaimError, match="claimed by nobody that the file names(?s:.*)--takeover"):
        claim.take()
    assert claim.take(takeover=True) and claim.holder()["owner"] == "alive"


def test_a_file_system_without_hard_links_is_named(tmp_path, monkeypatch):
    def refused(*given):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    with pytest.raises(SetupError, match="no hard links(?s:.*)INTEREST_STATE_DIR"):
        Claim(tmp_path, DAY, "first").take()
    assert list(tmp_path.iterdir()) == []


def test_release_frees_the_day(tmp_path):
    claim = Claim(tmp_path, DAY, "first")
    claim.take()
    claim.release()
    assert Claim(tmp_path, DAY, "second").take()


def test_of_many_that_try_at_once_exactly_one_wins(tmp_path):
    won, start = [], threading.Barrier(16)

    def attempt(name):
        start.wait()
        try:
            won.append(Claim(tmp_path, DAY, name).take() and name)
        except ClaimError:
            pass

    threads = [threading.Thread(target=attempt, args=(f"run {n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and Claim(tmp_path, DAY, "").holder()["owner"] == won[0]


@pytest.mark.parametrize("state, raised", [("done", OSError), ("failed", None)])
def test_a_claim_is_given_back_also_where_what_ran_cannot_be_written(tmp_path, monkeypatch, state, raised):
    claim = Claim(tmp_path, DAY, "a")
    claim.take()

    def full(*given):
        raise OSError("no space left")

    monkeypatch.setattr(runs, "record_steps", full)
    said = io.StringIO()
    spark = SimpleNamespace(catalog=SimpleNamespace(clearCache=lambda: None))
    night = SimpleNamespace(spark=spark, storage=None, claim=claim, reporter=Reporter(said, as_json=False))
    step = StepRecord(DAY, "events", state=state)
    with pytest.raises(raised) if raised else contextlib.nullcontext():
        runs.end_run(night, [step])
    assert claim.holder() == {}
    assert ("warning: table runs" in said.getvalue()) == (raised is None)  # the step's own error is the one to see


def test_folders_beside_the_tables_are_local_and_of_each_warehouse_its_own(tmp_path, monkeypatch):
    assert Storage(None, "file:///data/w").local_folder("claims") == Path("/data/w/_claims")
    assert Storage(None, "file:/data/w/").root == "/data/w" == Storage(None, "/data/w").root
    far = Storage(None, "hdfs://name/data/w")
    monkeypatch.delenv("INTEREST_STATE_DIR", raising=False)
    with pytest.raises(SetupError, match="hdfs://name/data/w is no local folder(?s:.*)set INTEREST_STATE_DIR"):
        far.local_folder("claims")
    monkeypatch.setenv("INTEREST_STATE_DIR", str(tmp_path))
    folders = {Storage(None, f"s3a://b/{name}").local_folder("claims") for name in ("a-b", "a/b", "a_b", "тест", "мир")}
    assert len(folders) == 5 and {one.parents[1] for one in folders} == {tmp_path}
    assert far.local_folder("claims").parent.name.startswith("hdfs-name-data-w-")
    assert [Storage(None, one).root for one in ("dbfs:/lake/w/", "hdfs:/data/w")] == ["dbfs:/lake/w", "hdfs:/data/w"]
