"""The search that peers with one fit for both variants share, on planted lists: it needs no other library's models."""

import importlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

with pytest.MonkeyPatch.context() as patch:  # search.py imports the file beside it, as a script does
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks" / "peers")
    models, search = importlib.import_module("models"), importlib.import_module("search")

N_USERS, N_ITEMS, LENGTH = 20, 40, 5
VARIANTS = ["novel", "repeat"]


@pytest.fixture
def folder(tmp_path):
    """User k takes items k, k + 1, ..., one a day, the first again on the last day: ten events on days 0 to 9."""
    users = [f"u{k:02d}" for k in range(N_USERS)]
    items = [[*range(k, k + 9), k] for k in range(N_USERS)]
    for name in ("histories", "truth"):
        (tmp_path / name).mkdir()
    days = [[float(day) for day in range(10)]] * N_USERS
    pq.write_table(pa.table({"user_id": users, "items": items, "days": days}), tmp_path / "histories" / "part.parquet")
    truth = pa.table({"user_id": users[3:], "truth": [[1]] * (N_USERS - 3)})
    pq.write_table(truth, tmp_path / "truth" / "part.parquet")
    facts = {"n_items": N_ITEMS, "at_day": 10.0, "length": LENGTH, "variants": VARIANTS}
    (tmp_path / "split.json").write_text(json.dumps(facts))
    return tmp_path


def lists_of(step: int):
    """Lists of one item: the user's first one, `step` further; in the novel variant always one unknown to the user."""

    def lists(users, variant, length):
        found = np.full((len(users), length), -1)
        found[:, 0] = users + step if variant == "repeat" else N_ITEMS - 1 - users // 2
        return found

    return lists


def test_the_planted_setting_is_found_and_the_first_of_equals_taken(folder):
    log = models.read_log(folder)[0]
    given = []

    def candidates(inner):
        given.append(inner)
        return ((step, lists_of(step)) for step in (1, 0, 2))

    best = search.best_settings(candidates, log, VARIANTS)
    assert best["repeat"] == (0, 1.0)  # the last tenth is the last day: the first item again
    assert best["novel"] == (1, 0.0)  # nothing to find that is new: all settings are equal
    assert len(given) == 1 and given[0].days.max() < given[0].at_day == 9.0


def test_each_chosen_setting_is_fitted_once_on_all_that_is_known(folder):
    fitted = []

    def fit(log, setting):
        fitted.append((setting, len(log.users), log.at_day))
        return lists_of(setting)

    search.run(search.Peer("planted", lambda log: ((step, lists_of(step)) for step in (1, 0)), fit), folder)
    assert sorted(fitted) == [(0, 10 * N_USERS, 10.0), (1, 10 * N_USERS, 10.0)]
    fitted.clear()
    search.run(search.Peer("planted", lambda log: [(0, lists_of(0))], fit), folder)
    assert fitted == [(0, 10 * N_USERS, 10.0)]


def test_the_files_are_what_the_backtest_judges(folder):
    search.run(search.Peer("planted", lambda log: [(0, lists_of(0))], lambda log, setting: lists_of(setting)), folder)
    assert sorted(file.name for file in (folder / "lists").iterdir()) == [f"planted-{one}.parquet" for one in VARIANTS]
    rows = pq.read_table(folder / "lists" / "planted-repeat.parquet")
    assert rows.schema.equals(pa.schema([("user_id", pa.string()), ("listed", pa.list_(pa.int32()))]))
    assert rows.to_pydict() == {
        "user_id": [f"u{k:02d}" for k in range(3, N_USERS)],  # those in truth
        "listed": [[k] for k in range(3, N_USERS)],  # what stands for "none" is gone
    }


def test_what_is_to_be_found_is_new_in_the_novel_variant():
    log = models.Log(np.array([0, 0, 1]), np.array([0, 1, 2]), np.zeros(3), 2, 4, 1.0)
    truth = sp.csr_matrix(np.array([[0, 1, 1, 0], [0, 0, 1, 0]], dtype=np.float32))
    users = np.array([1, 0])
    assert models.to_find(log, truth, users, "repeat").toarray().tolist() == [[0, 0, 1, 0], [0, 1, 1, 0]]
    novel = models.to_find(log, truth, users, "novel")
    assert novel.toarray().tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]] and np.diff(novel.indptr).tolist() == [0, 1]
