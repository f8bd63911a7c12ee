"""Decisions of a training that others overtake: another champion meanwhile, nights that run. No Spark."""

import dataclasses
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from interest_model import models
from interest_model.claim import Claim
from interest_model.config import load_settings
from interest_model.errors import DataError, UsageError
from interest_model.report import Reporter
from interest_model.storage import Storage
from interest_model.training import challenger
from interest_model.training.fit import Course
from interest_model.training.promotion import Verdict
from interest_model.training.sequence_model import Trained


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.setattr(Storage, "table_id", lambda self, name: f"{name} of {self.root}")
    settings = SimpleNamespace(promotion=SimpleNamespace(model="m"))
    storage = Storage(None, str(tmp_path))
    return SimpleNamespace(
        run_date=date(2026, 1, 5), settings=settings, storage=storage, spark=None, reporter=Reporter()
    )


def test_a_challenger_is_judged_against_the_champion_that_is_in_force_when_it_is_decided(night, monkeypatch):
    in_force, rivals, rows = iter(["2", "1", "1", "1"]), [], []  # version 2 is rolled back during the contest

    def judged(night, split, work, version, champion):
        rivals.append(champion)
        return Verdict("refused", f"against {champion}", {}), "digest"

    monkeypatch.setattr(challenger, "champion_of", lambda night: next(in_force))
    monkeypatch.setattr(challenger, "judged", judged)
    monkeypatch.setattr(challenger, "record", lambda storage, row: rows.append(row))
    monkeypatch.setattr(challenger, "newest_issued", lambda storage: None)
    monkeypatch.setattr(challenger, "decisions", lambda storage: [])
    monkeypatch.setattr(challenger, "_follow", lambda night, work, row: None)
    challenger.settle(night, None, None, "3")
    assert rivals == ["2", "1"]
    (row,) = rows
    assert (row["champion"], row["reason"], row["digest"]) == ("1", "against 1", "digest")


def test_a_decision_holds_from_the_night_after_those_that_run(night, monkeypatch):
    monkeypatch.setattr(challenger, "newest_issued", lambda storage: date(2026, 1, 6))
    assert challenger._first_night(night, []) == date(2026, 1, 7)
    running = Claim(night.storage.local_folder("claims"), date(2026, 1, 7), "a night")
    running.take()
    assert challenger._first_night(night, []) == date(2026, 1, 8)
    running.release()
    assert challenger._first_night(night, []) == date(2026, 1, 7)


def test_a_rollback_names_the_nights_that_run(night, monkeypatch, capsys):
    promoted = {"state": "promoted", "version": "1", "from_run_date": date(2026, 1, 2), "decided_ts": 0}
    for day in (6, 7, 9):
        Claim(night.storage.local_folder("claims"), date(2026, 1, day), "a night").take()
    monkeypatch.setattr(models, "start_session", lambda name: None)
    monkeypatch.setattr(models.Storage, "exists", lambda storage, name: True)
    monkeypatch.setattr(models, "newest_issued", lambda storage: date(2026, 1, 6))
    monkeypatch.setattr(models, "decisions", lambda storage: [promoted | {"model": "m"}])
    monkeypatch.setattr(models, "record", lambda storage, row: None)
    models.rollback(SimpleNamespace(warehouse=night.storage.root, config=[], set=[], model="m"))
    told = [line for line in capsys.readouterr().out.splitlines() if "is running" in line]
    assert [line.partition(" is running")[0].split()[-1] for line in told] == ["2026-01-07", "2026-01-09"]
    assert all("clear it from user_vectors on" in line for line in told)


@pytest.mark.parametrize("shards", [1, 3])
def test_the_driver_reads_no_more_of_a_snapshot_than_a_process(night, monkeypatch, shards):
    night.settings, night.storage.versions_read = load_settings(overrides=[f"training.shards={shards}"]), {"events": 7}
    night.source = SimpleNamespace(fingerprint=lambda: "f" * 64, repeats=True, zone="Asia/Tokyo")
    known = SimpleNamespace(item_ids=np.array(["i1"], dtype=object))
    held = SimpleNamespace(features=None, at_day=12.0, items=known, rows_hash="17")
    monkeypatch.setattr(challenger, "_check_owner", lambda night: None)
    monkeypatch.setattr(challenger, "catalogue", lambda *given: None)
    monkeypatch.setattr(challenger.snapshot, "exists", lambda folder: True)
    monkeypatch.setattr(challenger.snapshot, "load", lambda folder: held)
    monkeypatch.setattr(challenger.snapshot, "read", lambda held, shard=0, shards=1: (shard, shards))
    split = SimpleNamespace(known=None, at_day=12.0)
    work = challenger.prepare(night, split, None, None)
    assert (work.past.sequences, work.past.zone) == ((0, shards), "Asia/Tokyo")
    assert challenger.prepare(night, split, None, None).key == work.key
    held.rows_hash = "18"  # of a copy of the warehouse that went another way
    other = challenger.prepare(night, split, None, None)
    assert other.key != work.key and other.folder == work.folder


def test_a_registered_model_is_of_one_warehouse(night, monkeypatch):
    """In a store that several share, trainings of equal days and versions are not the same, nor is the alias."""
    owners = {f"events of {night.storage.root}"}
    monkeypatch.setattr(
        challenger, "_registry", lambda night: SimpleNamespace(owners=lambda name: owners, shown="here")
    )
    challenger._check_owner(night)
    owners.add("events of another")
    with pytest.raises(UsageError, match=r"promotion.model m: trainings of another warehouse.* in here(?s:.*)own"):
        challenger._check_owner(night)


def test_a_training_that_could_not_be_judged_is_not_fitted(night, monkeypatch):
    work, split = SimpleNamespace(key="k"), SimpleNamespace(at_day=20.0)
    monkeypatch.setattr(challenger, "_registry", lambda night: SimpleNamespace(find=lambda name, key: None))
    monkeypatch.setattr(challenger, "champion_of", lambda night: "3")
    monkeypatch.setattr(challenger, "_held", lambda night, version: SimpleNamespace(facts={"trained_until": 20.5}))
    monkeypatch.setattr(challenger, "fitted", lambda night, work: pytest.fail("fitted"))
    with pytest.raises(UsageError, match=r"champion 3 has seen what a training of 2026-01-05 (?s:.*)later day"):
        challenger.registered(night, split, work)

    def lost(night, version):
        raise DataError("version 3 is not in the store")

    monkeypatch.setattr(challenger, "_held", lost)
    with pytest.raises(DataError, match="version 3"):
        challenger.registered(night, split, work)


def test_a_training_is_the_same_under_another_gate_but_not_by_another_code(night, monkeypatch):
    night.source = SimpleNamespace(fingerprint=lambda: "f" * 64)

    def key(*settings: str) -> str:
        night.settings = load_settings(overrides=settings)
        return challenger._key(night, {"events": 7})

    first = key()
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "table_id", lambda self, name: "of another warehouse")
        assert key() != first
    assert key("promotion.min_users=50") == first != key("training.seed=8")
    monkeypatch.setattr(challenger, "code_revision", lambda: "another")
    assert key() != first


def test_the_loss_that_a_model_was_trained_with_is_logged(night):
    """The catalogue was too large for the softmax of the settings."""
    night.settings, night.source = load_settings(), SimpleNamespace(name="shop")
    model = SimpleNamespace(settings=dataclasses.replace(night.settings.model, loss="sampled"))
    work = SimpleNamespace(key="k", tables={}, past=SimpleNamespace(at_day=12.0))
    logged = challenger._training(night, work, Trained(model, Course(), {}, 3, 0)).parameters
    assert (night.settings.model.loss, logged["model.loss"]) == ("softmax", "sampled")
    assert logged["training.seed"] == 7 and logged["promotion.model"] == "interest_model"
