"""Versions in a store of their own: what is kept of a training, equal scores, aliases that follow the decisions."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException

from interest_model.config import load_settings
from interest_model.errors import DataError, SetupError
from interest_model.recommend.attributes import ItemTraits, KnownItems
from interest_model.training import packaged
from interest_model.training.fit import Course
from interest_model.training.packaged import Packaged
from interest_model.training.registry import CHALLENGER, CHAMPION, WAREHOUSE, Registry, Training, challenger_remedy
from tests.training.worlds import FEATURES, ITEM_IDS, N_ITEMS, untrained, untrained_ensemble

COURSES = {"search": Course([2.0, 1.5], [0.1, 0.3]), "final": Course([2.1], [])}
FRAME = pd.DataFrame(
    {
        "items": [["item01", "item02"], [], ["nobody knows this", "item05"]],
        "days": [[1.0, 2.5], [], [1.0, 3.0]],
        "at_day": [4.0, 4.0, 9.0],
    }
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Registry:
    return Registry(load_settings().tracking, tmp_path_factory.mktemp("mlflow"))


def training(key: str) -> Training:
    return Training(key, {"model.encoder": "gru"}, {"events": 7}, COURSES, {"run_date": "2026-01-05"})


@pytest.mark.slow
def test_a_store_that_cannot_be_opened_is_named_with_a_remedy(store, tmp_path):
    shutil.copy(store.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = '75868b020152'")
    with pytest.raises(SetupError, match=r"model registry sqlite:(?s:.*)out-of-date(?s:.*)mlflow db upgrade sqlite"):
        Registry(load_settings().tracking, tmp_path)


@pytest.mark.slow
def test_a_training_is_logged_whole(store):
    version = store.register("logged", untrained(), training("k1"))
    entry = store.client.get_model_version("logged", version)
    run = store.client.get_run(entry.run_id)
    assert run.data.params == {"model.encoder": "gru"} and run.info.status == "FINISHED"
    curve = store.client.get_metric_history(entry.run_id, "search ndcg at 10")
    assert [(one.step, one.value) for one in curve] == [(0, 0.1), (1, 0.3)]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "events" and '"delta_table_version": 7' in dataset.dataset.source
    files = {one.path for one in store.client.list_artifacts(entry.run_id)}
    assert files == {"losses.png", "model"}
    assert run.info.artifact_uri.startswith(store.artifacts.as_uri())
    assert store.register("logged", untrained(), training("k1")) == version  # the same training, killed and run again
    assert store.register("logged", untrained(), training("k2")) != version


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(3,), (3, 4)], ids=["model", "ensemble"])
def test_saved_loaded_and_served_models_score_the_same_without_pickle(store, seeds):
    import mlflow.pyfunc

    made = untrained(*seeds) if len(seeds) == 1 else untrained_ensemble(*seeds)
    version = store.register("scored", made, training(f"k{seeds}"))
    expected = made.recommend(FRAME, 5)
    loaded = store.load("scored", version)
    pd.testing.assert_frame_equal(loaded.recommend(FRAME, 5), expected)
    entry = store.client.get_model_version("scored", version)
    served = mlflow.pyfunc.load_model(entry.source)
    pd.testing.assert_frame_equal(served.predict(FRAME, params={"length": 5}), expected)
    assert len(served.predict(FRAME)["items"][0]) == 10
    assert served.metadata.signature.inputs.input_names() == ["items", "days", "at_day", "latitudes", "longitudes"]
    kept = [one for one in store.artifacts.rglob("*") if one.is_file()]
    assert kept and not [one for one in kept if one.suffix in (".pkl", ".pickle", ".pt", ".bin")]
    assert "interest-model==" in next(one for one in kept if one.name == "requirements.txt").read_text()


@pytest.mark.slow
def test_aliases_follow_and_rollback_restores_what_is_served(store):
    first, second = (store.register("aliased", untrained(seed), training(f"k{seed}")) for seed in (1, 2))
    store.point("aliased", CHALLENGER, second)
    for champion in (first, second, first):
        store.point("aliased", CHAMPION, champion)
    store.note("aliased", second, {"decision": "rolled_back", "ndcg@10 x": 0.5})
    newest, oldest = store.rows("aliased")
    assert (newest["version"], newest["aliases"], newest["decision"]) == (second, "challenger", "rolled_back")
    assert newest["ndcg at 10 x"] == "0.5000"
    assert (oldest["version"], oldest["aliases"]) == (first, "champion")
    served = store.load("aliased", store.client.get_model_version_by_alias("aliased", CHAMPION).version)
    pd.testing.assert_frame_equal(served.recommend(FRAME, 3), untrained(1).recommend(FRAME, 3))
    store.point("aliased", CHAMPION, None)
    assert store.rows("aliased")[1]["aliases"] == ""
    with pytest.raises(DataError, match="version 99"):
        store.load("aliased", "99")


@pytest.mark.slow
def test_versions_say_which_warehouse_made_them_and_are_found_among_many_models(store):
    for k in range(103):
        store.client.create_registered_model(f"another {k:03d}")
    store.register("owned", untrained(), Training("k1", {}, {}, COURSES, {WAREHOUSE: "w1"}))
    store.register("owned", untrained(), training("k2"))  # made before this was noted
    assert store.owners("owned") == {"w1"} and store.owners("nobody's") == set()
    assert [row["version"] for row in store.rows("owned")] == ["2", "1"]
    assert "owned" in {row["model"] for row in store.rows()}


@pytest.mark.slow
def test_what_is_found_broken_says_what_its_reader_can_do(store):
    version = store.register("broken", untrained(), training("k1"))
    shutil.rmtree(Path(store.client.get_model_version("broken", version).source.removeprefix("file://")))
    with pytest.raises(DataError, match="rollback --model broken"):
        store.load("broken", version)
    with pytest.raises(DataError, match=f"delete version {version} of broken"):
        store.load("broken", version, remedy=challenger_remedy("broken", version))


@pytest.mark.slow
def test_only_the_files_that_were_judged_are_loaded(store, tmp_path):
    version = store.register("judged", untrained(1), training("k1"))
    digest = store.load("judged", version).digest
    assert store.load("judged", version, digest).digest == digest
    # the same number in another store, as after a store was lost
    other = Registry(load_settings().tracking, tmp_path)
    assert other.register("judged", untrained(2), training("k1")) == version
    with pytest.raises(DataError, match="not those that were judged"):
        other.load("judged", version, digest)
    # one byte of the weights
    folder = Path(store.client.get_model_version("judged", version).source.removeprefix("file://"))
    (weights,) = folder.rglob("model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match="not those that were judged"):
        store.load("judged", version, digest)


@pytest.mark.slow
def test_files_are_fetched_from_the_store_of_the_settings_and_no_other(store, monkeypatch):
    import mlflow.artifacts

    version, asked = store.register("fetched", untrained(), training("k1")), {}
    fetch = mlflow.artifacts.download_artifacts
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda *a, **k: asked.update(k) or fetch(*a, **k))
    store.load("fetched", version)
    assert asked["tracking_uri"] == asked["registry_uri"] == store.uri


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_no_missing_version(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    user = "me:s3cret"
    away = Registry(load_settings(overrides=[f"tracking.uri=http://{user}@127.0.0.1:9"]).tracking, tmp_path)
    for ask in (lambda: away.load("m", "3"), lambda: away.find("m", "key"), lambda: away.rows()):
        with pytest.raises(SetupError, match="http://127.0.0.1:9 does not answer") as caught:
            ask()
        assert "rollback" not in str(caught.value) and "s3cret" not in str(caught.value)


def test_a_store_says_why_it_cannot_be_used_without_its_password(tmp_path, monkeypatch):
    away = load_settings(overrides=["tracking.uri=foo://me:s3cret@h/db"]).tracking
    with pytest.raises(SetupError, match="cannot be opened: (?s:.*)foo://h/db") as caught:
        Registry(away, tmp_path)
    assert "s3cret" not in str(caught.value)
    silent = Registry(load_settings(overrides=["tracking.uri=http://127.0.0.1:9"]).tracking, tmp_path)

    def search(*given, **more):
        raise MlflowException("")

    monkeypatch.setattr(silent.client, "search_registered_models", search)
    with pytest.raises(SetupError, match="does not answer: no reason given"):
        silent.rows()


@pytest.mark.parametrize("made", [untrained(), untrained_ensemble(1, 2, 3)], ids=["model", "ensemble"])
def test_a_package_keeps_what_it_needs(made, tmp_path):
    packaged.save(made, tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {"model.safetensors", "model.json", "facts.json"}
    loaded = packaged.load(tmp_path)
    assert loaded.facts == made.facts and loaded.item_ids.tolist() == ITEM_IDS.tolist()
    pd.testing.assert_frame_equal(loaded.recommend(FRAME, 4), made.recommend(FRAME, 4))


def test_an_ensemble_recommends_by_the_mean_of_its_members():
    def scores(one: Packaged) -> pd.Series:
        """Of each person (row) and item."""
        rows = one.recommend(FRAME, N_ITEMS).explode(["items", "scores"])
        return rows.set_index("items", append=True)["scores"].astype(float).sort_index()

    alone = [scores(untrained(seed)) for seed in (1, 2)]
    logs = [one - np.log(np.exp(one).groupby(level=0).transform("sum")) for one in alone]
    pd.testing.assert_series_equal(scores(untrained_ensemble(1, 2)), (logs[0] + logs[1]) / 2, atol=1e-5)


def test_without_repeats_seen_items_are_not_recommended():
    model = untrained()
    listed = Packaged(model.model, ITEM_IDS, model.facts | {"repeats": False}).recommend(FRAME, N_ITEMS)["items"]
    assert [len(one) for one in listed] == [10, 0, 11] and "item05" not in listed[2]


def test_a_history_with_nothing_that_is_known_has_an_empty_list():
    frame = pd.DataFrame({"items": [[], ["nobody knows this"], ["item05"]], "days": [[], [1.0], [1.0]], "at_day": 4.0})
    for model in (untrained(), untrained_ensemble(1, 2)):
        found = model.recommend(frame, 3)
        assert [len(one) for one in found["items"]] == [len(one) for one in found["scores"]] == [0, 0, 3]


@pytest.mark.parametrize(
    ("column", "days", "at_day"),
    [
        ("days", [3.0, 1.0], 4.0),
        ("days", [1.0, 5.0], 4.0),
        ("days", [1.0, np.nan], 4.0),
        ("at_day", [1.0, 3.0], np.nan),
    ],
)
def test_a_row_that_cannot_be_scored_is_named_with_its_column(column, days, at_day):
    more = pd.DataFrame({"items": [["item01", "item02"]], "days": [days], "at_day": [at_day]}, index=["bad"])
    with pytest.raises(ValueError, match=f"row bad, column {column}: must"):
        untrained().recommend(pd.concat([FRAME, more]), 3)


def test_a_place_may_be_null_and_lists_of_a_row_are_equally_long():
    places = FRAME.assign(latitudes=[[1.0, 2.0], [], None], longitudes=[[1.0, 2.0], [], None])
    pd.testing.assert_frame_equal(untrained().recommend(places, 3), untrained().recommend(FRAME, 3))
    with pytest.raises(ValueError, match="row 0, column latitudes: must be a list as long as column days"):
        untrained().recommend(places.assign(latitudes=[[1.0], [], None]), 3)
    with pytest.raises(ValueError, match="row 2, column items: must be a list as long as column days"):
        untrained().recommend(FRAME.assign(items=[["item01", "item02"], [], ["item05"]]), 3)
    for wrong in (None, np.nan, pd.NA, "x"):
        one = pd.DataFrame({"items": [wrong], "days": [[1.0]], "at_day": [4.0]})
        with pytest.raises(ValueError, match="row 0, column items: must be a list"):
            untrained().recommend(one, 3)
    one = pd.DataFrame({"items": [["item01"]], "days": [[1.0]], "at_day": [4.0], "latitudes": [pd.NA]})
    assert len(untrained().recommend(one.assign(longitudes=[np.nan]), 3)["items"][0]) == 3


@pytest.mark.parametrize("length", [0, -1])
def test_a_list_has_at_least_one_place(length):
    with pytest.raises(ValueError, match=f"length: must be at least 1, found {length}"):
        untrained().recommend(FRAME, length)


def test_another_catalogue_keeps_embeddings_of_known_items_and_new_ones_have_none():
    names = np.array(["item03", "new", "item00"], dtype=object)
    texts = np.ones((3, 6), np.float32)
    items = KnownItems(names, np.zeros(3), texts, ItemTraits(np.full(3, np.nan), {}))
    moved = untrained().with_catalogue(items, "e1")
    assert moved.tower.id_rows.tolist() == [3, -1, 0] and np.array_equal(moved.tower.vectors_text.numpy(), texts)
    other = untrained().with_catalogue(items, "another encoder")
    expected = np.stack([FEATURES.vectors["text"][3], np.zeros(6), FEATURES.vectors["text"][0]])
    assert np.array_equal(other.tower.vectors_text.numpy(), expected)
    ensemble = untrained_ensemble(0, 1)
    both = ensemble.with_catalogue(items, "e1").members
    for member, alone in zip(both, (untrained(0), untrained(1)), strict=True):
        expected_scores = alone.with_catalogue(items, "e1").score(torch.ones(1, 16))
        assert torch.equal(member.score(torch.ones(1, 16)), expected_scores)
    assert ensemble.model.members[1].tower.n_items == N_ITEMS  # a copy was moved
    none = untrained().with_catalogue(items._replace(texts=np.zeros((3, 1), np.float32)), "e1")
    assert np.array_equal(none.tower.vectors_text.numpy(), expected)
