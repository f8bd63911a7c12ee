"""An ensemble: its scores by hand and for every head, its vectors, one catalogue, and the same from its parts."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from safetensors import torch as safetensors
from torch.nn import functional as F

from interest_model.interest import model as zoo
from interest_model.interest import shipped_model
from interest_model.interest.item_tower import ItemFeatures
from interest_model.interest.model import Ensemble
from interest_model.interest.shipped_model import model_here, shipped
from interest_model.interest.vectors_of_users import vectors
from interest_model.recommend.histories import take
from interest_model.recommend.sequence_scores import neural_scores
from interest_model.training.batches import Sequences, scoring_batches
from tests.interest.parts import model_settings
from tests.interest.test_vectors_of_users import AHEAD, KINDS, model, people
from tests.training.worlds import FEATURES, N_ITEMS


def ensemble(kind: tuple, seeds: tuple = (0, 1, 2)) -> Ensemble:
    return Ensemble([model(*kind, seed) for seed in seeds]).eval()


def everybody(one, at_day: float = 20.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (u, n) of people() for the whole catalogue, and their states."""
    ((users, batch),) = scoring_batches(Sequences(people()), 20, 99, at_day)
    with torch.no_grad():
        states = one(batch)
        scores = one.score(states, None, batch.query_days.flatten()[batch.positions])
    back = np.argsort(users)
    return scores[back], states[back]


def test_the_score_by_hand():
    settings = model_settings("gru", "rnn", embedding=2, hidden=4, layers=1, temperature=1 / math.log(3))
    both = Ensemble([zoo.build(settings, ItemFeatures(2), seed) for seed in (0, 1)]).eval()
    with torch.no_grad():
        for one in both.members:
            one.tower.ids.weight.copy_(torch.eye(2))
        # the first sees its user at item 0: chances 3/4 and 1/4; the second in between: 1/2 and 1/2
        found = both.score(torch.tensor([[1.0, 0.0, 1.0, 1.0]]))
    expected = [(math.log(3 / 4) + math.log(1 / 2)) / 2, (math.log(1 / 4) + math.log(1 / 2)) / 2]
    assert found.tolist() == [pytest.approx(expected, abs=1e-6)]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_scores_are_the_mean_log_chance_of_members_that_differ(kind):
    three = ensemble(kind)
    alone = [everybody(one)[0].double().numpy() for one in three.members]
    assert all(np.abs(alone[0] - other).max() > 0.1 for other in alone[1:])
    found, states = everybody(three)
    logs = [one - np.log(np.exp(one).sum(axis=1, keepdims=True)) for one in alone]
    np.testing.assert_allclose(found, sum(logs) / 3, atol=1e-4)
    away = found - sum(alone) / 3  # from the mean of plain scores: one number for each user, so the order is the same
    assert np.ptp(away.numpy(), axis=1).max() < 1e-4
    some = torch.tensor([7, 0, 7])
    with torch.no_grad():
        assert torch.equal(three.score(states, some), found[:, some])


def test_the_age_of_items_counts_in_every_member():
    sizes = {"embedding": 16, "hidden": 24, "layers": 1, "max_length": 20, "item_age": True}
    young = FEATURES._replace(first_days=np.linspace(0.0, 20.0, N_ITEMS))
    both = Ensemble([zoo.build(model_settings("gru", "rnn", **sizes), young, seed).eval() for seed in (0, 1)])
    before, _ = everybody(both)
    with torch.no_grad():
        both.members[1].score_age.weight.copy_(torch.arange(49.0)[:, None] / 10)
    alone = [torch.log_softmax(everybody(one)[0], dim=1) for one in both.members]
    found, _ = everybody(both)
    torch.testing.assert_close(found, (alone[0] + alone[1]) / 2)
    assert (found - before).abs().max() > 0.1


def test_what_the_ranker_reads_is_the_geometric_mean_over_that_of_the_best():
    three = ensemble(KINDS[0])
    found = neural_scores(three, people(), 20.5, N_ITEMS).toarray()
    chances = np.prod([torch.softmax(everybody(one)[0], dim=1).numpy() for one in three.members], axis=0) ** (1 / 3)
    np.testing.assert_allclose(found[1:], (chances / chances.max(axis=1, keepdims=True))[1:], rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_vectors_are_the_members_side_by_side(kind):
    three, known = ensemble(kind), people()
    found = vectors(three, known, 20.5, AHEAD)
    scale = 1 / math.sqrt(3) if kind[2] == "dot" else 1.0
    expected = np.concatenate([scale * vectors(one, known, 20.5, AHEAD) for one in three.members], axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == (30, 4, 48) and found.dtype == np.float32 and not found[0].any()
    assert vectors(three, take(known, np.zeros(0, int)), 20.5, AHEAD).shape == (0, 4, 48)


def test_the_dot_product_of_vectors_is_the_mean_cosine():
    three = ensemble(KINDS[0])
    users = vectors(three, people(), 20.5, (0,))[1:, 0]
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1.0, atol=1e-5)
    with torch.no_grad():
        items = [F.normalize(one.tower(torch.arange(N_ITEMS)), dim=-1) / math.sqrt(3) for one in three.members]
    cosines = [everybody(one)[0] * three.settings.temperature for one in three.members]
    np.testing.assert_allclose(users @ torch.cat(items, dim=1).numpy().T, (sum(cosines) / 3)[1:], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_from_its_parts_it_scores_the_same_and_the_catalogue_is_kept_once(kind, tmp_path):
    three = ensemble(kind)
    settings, weights = zoo.to_parts(three)
    assert json.loads(settings)["members"] == 3
    catalogue = {name for name in safetensors.load(weights) if not name.startswith("members.")}
    assert catalogue == {"tower.id_rows", "tower.first_days", "tower.vectors_text"}
    zoo.save(three, tmp_path)
    for again in (zoo.from_parts(settings, weights), zoo.load(tmp_path)):
        assert isinstance(again, Ensemble) and not again.training and zoo.to_parts(again) == (settings, weights)
        assert torch.equal(everybody(again)[0], everybody(three)[0])
        assert again.members[2].tower.vectors_text is again.tower.vectors_text


def test_a_shipped_ensemble_gives_the_same_vectors(monkeypatch):
    monkeypatch.setattr(shipped_model, "_LOADED", {})
    three = ensemble(KINDS[1])
    there = vectors(model_here(shipped(three)), people(), 21.0, AHEAD)
    assert np.array_equal(there, vectors(three, people(), 21.0, AHEAD))


def test_another_catalogue_is_that_of_every_member():
    three = ensemble(KINDS[0])
    moved = copy.deepcopy(three)
    texts = np.ones((2, 6), np.float32)
    moved.set_catalogue(ItemFeatures(2, {"text": texts}, id_rows=np.array([5, -1])))
    assert moved.tower.n_items == 2 and three.tower.n_items == N_ITEMS
    assert all(one.tower.vectors_text is moved.tower.vectors_text for one in moved.members)
    for place, member in enumerate(moved.members):
        alone = model(*KINDS[0], place)
        alone.set_catalogue(ItemFeatures(2, {"text": texts}, id_rows=np.array([5, -1])))
        assert torch.equal(member.score(torch.ones(1, 16)), alone.score(torch.ones(1, 16)))
