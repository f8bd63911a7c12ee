"""Scores of a sequence model as the ranker reads them: by hand, for every head, and the same pair by pair."""

import numpy as np
import pytest
import torch

from interest_model.training import neural_scores as module
from interest_model.training.batches import Sequences, scoring_batches
from interest_model.training.neural_scores import neural_lookup, neural_scores
from interest_model.training.ranking import best_of
from tests.interest.test_vectors_of_users import KINDS, model, people
from tests.training.worlds import N_ITEMS


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_scores_are_the_softmax_over_that_of_the_best_item(kind):
    one, known = model(*kind), people()
    found = neural_scores(one, known, 20.5, 5)
    assert found.shape == (30, N_ITEMS) and found.has_sorted_indices
    assert found[0].nnz == 0 and (np.diff(found.indptr)[1:] == 5).all()
    assert found.data.min() > 0 and (found[1:].max(axis=1).toarray() == 1.0).all()
    for users, batch in scoring_batches(Sequences(known), 20, 7, 20.5):
        with torch.no_grad():
            chances = torch.softmax(one.score(one(batch), None, batch.query_days.flatten()[batch.positions]), 1).numpy()
        for user, chance in zip(users, chances, strict=True):
            if user:
                best = np.argsort(-chance, kind="stable")[:5]
                assert sorted(found[user].indices) == sorted(best)
                np.testing.assert_allclose(found[user].toarray()[0, best], chance[best] / chance.max(), rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_pairs_have_the_scores_of_the_lists(kind, monkeypatch):
    one, known = model(*kind), people()
    whole = neural_scores(one, known, 20.5, N_ITEMS).toarray()
    rng = np.random.default_rng(3)
    rows, columns = rng.integers(30, size=200), rng.integers(N_ITEMS, size=200)
    monkeypatch.setattr(module, "_MOST_USERS", 4)
    found = neural_lookup(one, known, 20.5, rows, columns)
    np.testing.assert_allclose(found, whole[rows, columns], rtol=1e-4, atol=1e-6)
    assert (found[rows == 0] == 0).all() and (rows == 0).any() and found.std() > 0.01
    nobody = np.zeros(0, dtype=int)
    assert neural_lookup(one, known, 20.5, nobody, nobody).shape == (0,)


def test_a_list_longer_than_the_catalogue_is_the_catalogue():
    found = neural_scores(model(*KINDS[0]), people(), 20.5, 1000)
    assert (np.diff(found.indptr)[1:] == N_ITEMS).all()


def test_the_best_of_a_row_are_those_of_a_stable_sort():
    scores = torch.from_numpy(np.random.default_rng(0).integers(0, 6, (50, 40)).astype(np.float32))
    scores[3, 5:], scores[4] = -torch.inf, -torch.inf
    for length in (1, 7, 40, 99):
        expected, items = torch.sort(scores, dim=1, descending=True, stable=True)
        best, found = best_of(scores, length)
        assert torch.equal(best, expected[:, :length]) and torch.equal(found, items[:, :length])
    odd = torch.tensor([[torch.nan, 1.0, 2.0, torch.nan]])
    assert best_of(odd, 3)[1].tolist() == [[2, 1, 0]]
