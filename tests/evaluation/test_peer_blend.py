"""The blend among the peers, by hand and on planted scores, in this environment: it needs no other library's models."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

with pytest.MonkeyPatch.context() as patch:  # models.py imports the file beside it, as a script does
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks" / "peers")
    blend, models = importlib.import_module("blend"), importlib.import_module("models")

N = 30
USERS = np.arange(12)


def test_transitions_by_hand():
    # user 0: items 0, 1, 2 on days 0, 1, 2; user 1: item 0 on days 2 and 3; asked on day 3, half lives of a day
    log = models.Log(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 0]), np.array([0.0, 1, 2, 2, 3]), 2, 3, 3.0)
    scores = blend.transitions(log, (1.0, 1.0))(np.array([0, 1]))
    # from 0: to 1, of age 2, 1/4, and to 2, of age 1 but two steps on, 1/2 / 2; from 1: to 2 alone; to itself: never
    share = np.array([1 / 8, 1 / 4, 1 / 2]) / (7 / 8)
    assert scores[0] == pytest.approx([0, share[0] / 2, share[0] / 2 + share[1]])
    assert scores[1] == pytest.approx([0, 1 / 2, 1 / 2])


def test_scores_are_taken_over_the_users_best():
    found = blend._scaled(np.array([[4.0, 1.0, -np.inf], [-np.inf, -np.inf, -np.inf], [-2.0, 0.0, -1.0]]))
    assert found.tolist() == [[1.0, 0.25, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.fixture
def planted():
    """Each user's one item to find, a model whose setting "good" ranks it first, and a model of noise."""
    rng = np.random.default_rng(5)
    wanted, noise = rng.integers(0, N, len(USERS)), rng.random((len(USERS), N))

    def model(log, setting):
        aim = wanted if setting == "good" else (wanted + 7) % N
        return lambda users: 0.9 * np.eye(N)[aim[users]] + 0.1 * noise[users, ::-1]

    members = {"model": (model, ["bad", "good"]), "noise": (lambda log, setting: lambda users: noise[users], [None])}
    return wanted, members


def hit_rate_at_one(wanted):
    return lambda lists: float((lists[:, 0] == wanted).mean())


def test_the_search_finds_the_setting_and_silences_noise(planted):
    wanted, members = planted
    found, figure = blend.search(None, members, USERS, None, hit_rate_at_one(wanted))
    assert figure == 1.0 and found.settings == ("good", None) and found.weights[0] > found.weights[1]
    fits = [fit for fit, _ in members.values()]
    assert blend.fit(fits, None, found)(USERS).argmax(axis=1).tolist() == wanted.tolist()


def test_lists_of_the_search_hold_nothing_twice_and_nothing_seen(planted):
    wanted, members = planted
    seen = sp.csr_matrix((np.ones(len(USERS)), (USERS, wanted)), (len(USERS), N))
    shown = []
    blend.search(None, members, USERS, seen, lambda lists: shown.append(lists) or 0.0)
    for lists in shown:
        assert all(len(set(row)) == 10 and item not in row for row, item in zip(lists.tolist(), wanted, strict=True))


def test_a_model_of_weight_zero_is_not_fitted():
    def broken(log, setting):
        raise AssertionError("fitted")

    found = blend.fit(
        [broken, lambda log, setting: lambda users: np.eye(3)[users]], None, blend.Blend((1, 2), (0.0, 2.0))
    )
    assert found(np.array([1])).tolist() == [[0.0, 2.0, 0.0]]
