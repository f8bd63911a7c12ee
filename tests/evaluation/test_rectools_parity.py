"""Our metrics against RecTools' on the same random lists; where a definition differs, by how much exactly.

RecTools lives in the environment that `make peers` builds; INTEREST_PEERS_PYTHON names another interpreter that has it.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from interest_model.evaluation import metrics

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
N_USERS, N_ITEMS, LENGTH = 200, 60, 12
CUTOFFS = [1, 3, 10, LENGTH + 8]
EXACT = {"rel": 0, "abs": 1e-9}


@pytest.fixture(scope="module")
def world():
    """Lists of 0 to LENGTH items, 1 to 20 items of truth (some that no list can hold), who saw what before, vectors.

    Every item was seen by someone, which is where the definitions of novelty can be compared.
    """
    rng = np.random.default_rng(11)
    lengths, taken = rng.integers(0, LENGTH + 1, N_USERS), rng.integers(1, 21, N_USERS)
    lengths[:3] = 0, 1, LENGTH
    lists = np.full((N_USERS, LENGTH), -1)
    for user, length in enumerate(lengths):
        lists[user, :length] = rng.permutation(N_ITEMS - 5)[:length]
    truth = [np.sort(rng.permutation(N_ITEMS)[:count]) for count in taken]
    seen = np.array([(user, item) for item in range(N_ITEMS) for user in rng.permutation(N_USERS)[: 1 + item]])
    vectors = rng.normal(size=(N_ITEMS, 8))
    return lists, truth, seen, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def rectools(python, world, tmp_path_factory) -> dict:
    """RecTools' figures by length k."""
    lists, truth, seen, vectors = world
    folder = tmp_path_factory.mktemp("rectools")
    given = {
        "cutoffs": CUTOFFS,
        "n_items": N_ITEMS,
        "lists": {user: row[row >= 0].tolist() for user, row in enumerate(lists)},
        "truth": {user: items.tolist() for user, items in enumerate(truth)},
        "seen": seen.tolist(),
        "vectors": vectors.tolist(),
    }
    (folder / "in.json").write_text(json.dumps(given))
    command = [python, HERE / "rectools_figures.py", folder / "in.json", folder / "out.json"]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return json.loads((folder / "out.json").read_text())


@pytest.fixture(params=CUTOFFS)
def both(request, world, rectools):
    """(k, hits, number of truth items, RecTools' figures)."""
    lists, truth, _, _ = world
    hits = np.array([np.isin(row, items) & (row >= 0) for row, items in zip(lists, truth, strict=True)])
    return request.param, hits, np.array([len(items) for items in truth]), rectools[str(request.param)]


def every_user(figures: dict[str, float]) -> np.ndarray:
    """(u,) values by user; NaN where RecTools has none."""
    return np.array([figures.get(str(user), np.nan) for user in range(N_USERS)])


def test_accuracy_is_equal_user_by_user(both):
    k, hits, n_truth, theirs = both
    for name in metrics.ACCURACY:
        assert metrics.accuracy(name, hits, n_truth, k) == pytest.approx(every_user(theirs[name]), **EXACT), name


def test_rectools_plain_ndcg_divides_by_a_list_full_of_hits(both):
    """Without divide_by_achievable its ideal has k hits, ours min(k, n_truth): the ratio of both ideals is known."""
    k, hits, n_truth, theirs = both
    gains = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    ours = metrics.ndcg(hits, n_truth, k) * gains[np.minimum(n_truth, k) - 1] / gains[-1]
    assert ours == pytest.approx(every_user(theirs["ndcg_of_k"]), **EXACT)


def test_debiased_ndcg_is_rectools_ndcg_where_all_items_are_equally_known(both):
    k, hits, n_truth, theirs = both
    weight = metrics.inverse_propensity(np.array(0), np.full(N_ITEMS, 24.0))
    truth = np.where(np.arange(n_truth.max()) < n_truth[:, None], weight, 0.0)
    assert metrics.ndcg_debiased(hits * weight, truth, k) == pytest.approx(every_user(theirs["ndcg"]), **EXACT)


def test_novelty_differs_by_a_constant_and_the_one_that_is_added(both, world):
    """Theirs: -log2(users / all users), mean over the list, and an unseen item counts as seen by one user. Ours:
    -log2((users + 1) / sum of (users + 1)). Given users - 1 for users, ours is theirs + log2(sum of users / all)."""
    k, _, _, theirs = both
    lists, _, seen, _ = world
    users, everybody = np.bincount(seen[:, 1], minlength=N_ITEMS), len(np.unique(seen[:, 0]))
    ours = metrics.novelty(lists, users - 1.0, k) - np.log2(users.sum() / everybody)
    expected = every_user(theirs["inverse_user_frequency"])
    assert np.isnan(expected[0]) and np.isnan(ours[0])  # an empty list has no novelty for either
    assert ours == pytest.approx(expected, nan_ok=True, **EXACT)


def test_intra_list_distance_is_equal_where_there_is_a_pair(both, world):
    """A list of one item counts zero there and is left out here; an empty one is left out by both."""
    k, _, _, theirs = both
    lists, _, _, vectors = world
    shown = (lists[:, :k] >= 0).sum(axis=1)
    ours, expected = metrics.intra_list_distance(lists, vectors, k), every_user(theirs["intra_list_distance"])
    assert ours[shown >= 2] == pytest.approx(expected[shown >= 2], **EXACT)
    assert np.isnan(ours[shown < 2]).all() and (expected[shown == 1] == 0).all() and np.isnan(expected[0])


def test_coverage_is_equal(both, world):
    k, _, _, theirs = both
    shown = world[0][:, :k]
    listed = np.isin(np.arange(N_ITEMS), shown[shown >= 0])
    assert metrics.coverage(listed) == pytest.approx(theirs["coverage"], **EXACT)
