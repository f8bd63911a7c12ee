"""Scores of a sequence model as the ranker reads them: by hand, for every head; frozen and packed the same."""

import dataclasses

import numpy as np
import pytest
import torch

from interest_model.interest import shipped_model
from interest_model.interest.model import Ensemble
from interest_model.recommend import evidence
from interest_model.recommend.blend import Model
from interest_model.recommend.context import context_at
from interest_model.recommend.member_scores import tempered
from interest_model.recommend.sequence_scores import neural_scores
from interest_model.training.batches import Sequences, scoring_batches
from interest_model.training.ranking import best_of
from tests.interest.test_vectors_of_users import KINDS, model, people
from tests.recommend.worlds import fitted
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


def seq_world(weights=True, from_day: float = 10.0):
    """The ranker's model of a small world with a sequence model of the same catalogue as a member."""
    made = shipped_model.packed(model(*KINDS[0])) if weights else np.zeros(0, np.uint8)
    ranker = fitted(people(), N_ITEMS, 20.5)
    return dataclasses.replace(ranker, sequence=made, sequence_from=np.array(from_day))


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_packed_model_scores_as_before_without_its_texts(kind):
    one = model(*kind)
    data = shipped_model.packed(one)
    again = shipped_model.packed_here(data)
    assert again is shipped_model.packed_here(data.copy()) and not again.tower.projections
    expected, found = (neural_scores(each, people(), 20.5, 5).toarray() for each in (one, again))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_an_ensemble_is_packed_too():
    both = Ensemble([model(*KINDS[0]), model(*KINDS[0])]).eval()
    again = shipped_model.packed_here(shipped_model.packed(both))
    expected, found = (neural_scores(each, people(), 20.5, 5).toarray() for each in (both, again))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_member_speaks_only_after_what_it_was_trained_on():
    said = context_at(people(), seq_world(), 20.5).members["sequence"]
    expected = tempered(neural_scores(model(*KINDS[0]), people(), 20.5, N_ITEMS))
    np.testing.assert_allclose(said.toarray(), expected.toarray(), rtol=1e-4)
    for silent in (seq_world(weights=False), seq_world(from_day=20.6)):
        assert context_at(people(), silent, 20.5).members["sequence"].nnz == 0


def test_it_survives_the_model_arrays_and_names_own_items():
    ranker = Model.from_arrays({name: array.copy() for name, array in seq_world().to_arrays().items()})
    own, items = np.array([0, 3, 5]), np.array([1, 3, 2])
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(model(*KINDS[0]).tower(torch.arange(N_ITEMS)), dim=1).numpy()
    expected = (vectors[own] * vectors[items]).sum(axis=1)
    np.testing.assert_allclose(evidence.links(ranker, "sequence", own, items), expected, atol=1e-6)
    assert expected[1] == pytest.approx(1.0)
