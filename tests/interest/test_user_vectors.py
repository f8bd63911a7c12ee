"""jobs/user_vectors.py on the sample: what the model says without Spark, and the version in force on the night."""

import argparse
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from interest_model.config import load_settings
from interest_model.encoding.model_files import encoder_version
from interest_model.errors import DataError
from interest_model.interest.model import build
from interest_model.interest.vectors_of_users import vectors
from interest_model.recommend.attributes import KnownItems
from interest_model.recommend.consumption import item_traits
from interest_model.recommend.histories import from_arrow
from interest_model.training.fit import Course
from interest_model.training.item_coding import coding, features
from interest_model.training.packaged import Packaged
from interest_model.training.promotion import Judged, Verdict, champion_as_of, decision
from tests.interest.parts import model_settings
from tests.nights import options

pytestmark = [pytest.mark.spark, pytest.mark.slow]
FIRST, ISSUED, NEXT = date(2026, 1, 8), date(2026, 1, 9), date(2026, 1, 10)
MODEL, AHEAD = "interest_model", (0, 1, 7, 28)


def registry(warehouse: Path):
    from interest_model.training.registry import Registry

    return Registry(load_settings().tracking, warehouse / "_mlflow")


def promote(spark, warehouse: Path, seed: int, first_night: date) -> str:
    """The version of a model made of this seed, in force from first_night on. It was trained with half of the items."""
    from interest_model.models import decisions, record
    from interest_model.storage import Storage
    from interest_model.training.registry import Training

    storage = Storage(spark, str(warehouse))
    embedded = storage.read("item_embeddings").dropDuplicates(["item_id"]).orderBy("item_id").collect()[::2]
    texts = np.array([row["embedding"] for row in embedded], dtype=np.float32)
    names = np.array([row["item_id"] for row in embedded], dtype=object)
    traits = item_traits(storage.read("items").dropDuplicates(["item_id"]), names)
    coded = coding(traits)
    assert coded["price"] is not None
    read = features(KnownItems(names, np.full(len(embedded), 20_000.0), texts, traits), coded)
    kind = model_settings("gru", "rnn", embedding=16, hidden=24, layers=1, max_length=20)
    facts = {"trained_until": 20_460.0, "encoder": encoder_version(load_settings().encoder), "repeats": False}
    made = Packaged(build(kind, read, seed).eval(), names, facts | {"coding": coded})
    store = registry(warehouse)
    version = store.register(MODEL, made, Training(f"{seed}", {}, {}, {"final": Course([1.0], [])}, {}))
    champion = champion_as_of(decisions(storage), MODEL, first_night)
    judged = Judged(version, store.load(MODEL, version).digest)
    record(storage, decision(MODEL, judged, Verdict("promoted", "a test", {}), champion, first_night))
    return version


@pytest.fixture(scope="module")
def warehouse(spark, night_warehouse, tmp_path_factory) -> Path:
    """The sample's tables, lists issued up to the 9th; version 1 in force from that night on."""
    copy = tmp_path_factory.mktemp("vectors") / "warehouse"
    shutil.copytree(night_warehouse, copy)
    promote(spark, copy, 1, ISSUED)
    return copy


def run_job(spark, raw: Path, warehouse: Path, day: date):
    from interest_model.job import open_night
    from jobs.user_vectors import run

    night = open_night(options(raw, warehouse, day), day, spark)
    night.run_step("user_vectors", run)
    return night


def rows_of(night) -> dict:
    """(user_id, days_ahead) to (vector, model_version) of the night's rows."""
    rows = night.storage.read("user_vectors").where(f"run_date = DATE'{night.run_date}'").collect()
    return {(row["user_id"], row["days_ahead"]): (row["vector"], row["model_version"]) for row in rows}


def versions(rows: dict) -> set[str]:
    return {version for _, version in rows.values()}


def test_every_active_user_has_the_vectors_that_the_model_gives_without_spark(spark, sample_log, warehouse):
    from interest_model.recommend.consumption import active_users, consumed, end_of_day, user_histories
    from interest_model.training.champion import load_champion, tonight

    night = run_job(spark, sample_log, warehouse, ISSUED)
    rows = rows_of(night)
    champion, known = load_champion(night), night.known_events()
    assert champion is load_champion(night) and champion.packaged.facts["trained_until"] == 20_460.0
    items, model = tonight(night, champion, consumed(known))
    assert len(items.item_ids) > len(champion.packaged.item_ids)  # items that it was not trained with are read too
    active = {row["user_id"] for row in active_users(known, ISSUED, 90).collect()}
    assert set(rows) == {(user, days) for user in active for days in AHEAD} and versions(rows) == {f"{MODEL}/1"}
    users = from_arrow(user_histories(consumed(known), items.item_ids, 20).toArrow())
    expected = vectors(model, users, end_of_day(ISSUED, night.source.zone), AHEAD)
    found = np.array([[rows[user, days][0] for days in AHEAD] for user in users.user_ids], dtype=np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert {user for (user, _), (vector, _) in rows.items() if vector is None} == active - set(users.user_ids)


def test_no_promotion_and_no_rollback_changes_a_night_that_was_issued(spark, sample_log, warehouse, capsys):
    from interest_model import commands

    first = rows_of(run_job(spark, sample_log, warehouse, ISSUED))
    assert promote(spark, warehouse, 2, NEXT) == "2"
    assert rows_of(run_job(spark, sample_log, warehouse, ISSUED)) == first
    after = rows_of(run_job(spark, sample_log, warehouse, NEXT))
    assert versions(after) == {f"{MODEL}/2"} and after.keys() == first.keys()
    given = argparse.Namespace(warehouse=str(warehouse), config=[], set=[], model=MODEL)
    for expected in ({f"{MODEL}/1"}, set()):  # back to version 1, then to none: for nights that have no lists yet
        commands.rollback(given)
        assert rows_of(run_job(spark, sample_log, warehouse, ISSUED)) == first
        assert versions(rows_of(run_job(spark, sample_log, warehouse, NEXT))) == expected
    assert f"no model {MODEL} was in force on {NEXT}" in capsys.readouterr().out


def test_a_night_without_a_model_has_no_rows_and_goes_on(spark, sample_log, warehouse, capsys):
    night = run_job(spark, sample_log, warehouse, FIRST)
    assert rows_of(night) == {} and night.step.state == "done"
    assert f"no model {MODEL} was in force on {FIRST}" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "files", "store"])
def test_a_model_that_cannot_be_loaded_is_named_with_a_remedy_that_helps(
    spark, sample_log, warehouse, tmp_path, damage, capsys
):
    from interest_model import commands
    from interest_model.models import decisions
    from interest_model.storage import Storage

    # a store names its files by absolute path: a copy would find those of the original
    copy = tmp_path / "warehouse"
    shutil.copytree(warehouse, copy, ignore=shutil.ignore_patterns("_mlflow", "promotions"))
    promote(spark, copy, 3, ISSUED)
    (file,) = (copy / "_mlflow").rglob("model.safetensors")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        shutil.rmtree(copy / "_mlflow" if damage == "store" else file.parent)
    with pytest.raises(DataError, match=rf"model {MODEL} version 1(?s:.*)remedy: (?s:.*)rollback --model {MODEL}"):
        run_job(spark, sample_log, copy, ISSUED)
    commands.rollback(argparse.Namespace(warehouse=str(copy), config=[], set=[], model=MODEL))
    assert [row["state"] for row in decisions(Storage(spark, str(copy)))].count("rolled_back") == 1
    assert ("warning: the registry" in capsys.readouterr().out) == (damage == "store")
    assert rows_of(run_job(spark, sample_log, copy, NEXT)) == {}


def test_the_ranker_takes_the_promoted_model_as_a_member_where_told(spark, sample_log, warehouse):
    from interest_model.job import open_night
    from interest_model.recommend.daily import load_model
    from jobs.ranker import run

    def made(day: date, *settings: str):
        night = open_night(options(sample_log, warehouse, day, set=settings), day, spark)
        night.run_step("ranker", run)
        return load_model(night.storage.read_day("ranker_models", day))

    model, version = made(ISSUED, "ranker.sequence=true")
    assert len(model.sequence) > 1000 and float(model.sequence_from) == 20_460.0
    assert made(ISSUED, "ranker.sequence=true")[1] == version
    assert not len(made(ISSUED)[0].sequence)  # it is off by default
    assert not len(made(FIRST, "ranker.sequence=true")[0].sequence)  # no model was in force
