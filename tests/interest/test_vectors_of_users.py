"""User vectors: what the model's own parts say, whoever else is in the batch, and one model per process from bytes."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from interest_model.interest import shipped_model
from interest_model.interest import vectors_of_users as module
from interest_model.interest.model import InterestModel, build
from interest_model.interest.shipped_model import model_here, shipped
from interest_model.interest.vectors_of_users import vectors
from interest_model.recommend.histories import take
from interest_model.training.batches import Sequences, scoring_batches
from tests.interest.parts import model_settings
from tests.recommend.worlds import histories
from tests.training.worlds import FEATURES, N_ITEMS

KINDS = [("gru", "rnn", "dot"), ("transformer", "transformer", "attention"), ("lstm", "transformer", "mlp")]
AHEAD = (0, 1, 7, 28)


def model(encoder: str, dynamic: str, head: str, seed: int = 0) -> InterestModel:
    """An untrained model whose tables of time are not the zeros they start from: time must change something."""
    sizes = {"embedding": 16, "hidden": 24, "layers": 1, "heads": 2, "max_length": 20}
    made = build(model_settings(encoder, dynamic, head, **sizes), FEATURES, seed).eval()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed + 1)
        for one in made.dynamic.parameters():
            one.add_(0.3 * torch.randn_like(one))
    return made


def people(n: int = 30, seed: int = 0):
    """Histories of 0 to 40 events before day 20; the first user has none."""
    rng = np.random.default_rng(seed)
    counts = [0, 1, 40, *rng.integers(1, 40, n - 3)]
    events = [list(zip(rng.integers(N_ITEMS, size=k), np.sort(rng.uniform(0, 20, k)), strict=True)) for k in counts]
    return histories({f"u{user:02d}": one for user, one in enumerate(events)})


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_vector_is_what_the_model_scores_with_at_that_time(kind):
    one, known = model(*kind), people()
    found = vectors(one, known, 20.5, AHEAD)
    assert found.shape == (30, 4, 16) and found.dtype == np.float32
    for place, days in enumerate(AHEAD):
        for users, batch in scoring_batches(Sequences(known), 20, 7, 20.5 + days):
            with torch.no_grad():
                states = one(batch)
            expected = F.normalize(states, dim=-1) if kind[2] == "dot" else states
            np.testing.assert_allclose(found[users, place], expected, atol=1e-5)
    lengths = np.linalg.norm(found[1:], axis=2)
    assert np.allclose(lengths, 1.0, atol=1e-5) == (kind[2] == "dot")
    assert not found[0].any()  # nothing is known of the first
    assert np.abs(found[1:, 0] - found[1:, 3]).max(axis=1).min() > 1e-3  # time moves everybody


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_others_in_the_batch_change_nothing(kind, monkeypatch):
    one, known = model(*kind), people()
    together = vectors(one, known, 20.5, AHEAD)
    order = np.random.default_rng(1).permutation(known.n_users)
    np.testing.assert_allclose(vectors(one, take(known, order), 20.5, AHEAD), together[order], atol=1e-5)
    monkeypatch.setattr(module, "_USERS_AT_ONCE", 3)
    np.testing.assert_allclose(vectors(one, known, 20.5, AHEAD), together, atol=1e-5)
    np.testing.assert_allclose(vectors(one, take(known, np.array([2])), 20.5, AHEAD)[0], together[2], atol=1e-5)


def test_each_user_may_be_asked_at_a_time_of_its_own():
    one, known = model(*KINDS[0]), people()
    at_days = 20.0 + np.arange(known.n_users)
    found = vectors(one, known, at_days, (0.5,))
    for user in (1, 2, 29):
        alone = vectors(one, take(known, np.array([user])), float(at_days[user]), (0.5,))
        np.testing.assert_allclose(found[user], alone[0], atol=1e-5)


def test_only_the_latest_events_count_and_the_past_cannot_be_asked():
    one, known = model(*KINDS[1]), people()
    cut = histories({"u": [(int(item), float(day)) for item, day in zip(
        known.items[known.indptr[2] : known.indptr[3]][-20:], known.days[known.indptr[2] : known.indptr[3]][-20:],
        strict=True)]})  # fmt: skip
    np.testing.assert_allclose(vectors(one, cut, 21.0, (0,))[0], vectors(one, known, 21.0, (0,))[2], atol=1e-5)
    with pytest.raises(ValueError, match="before an event"):
        vectors(one, known, 1.0, (0,))


def test_nobody_and_nothing():
    one = model(*KINDS[0])
    assert vectors(one, take(people(), np.zeros(0, int)), 21.0, AHEAD).shape == (0, 4, 16)
    empty = take(people(), np.array([0]))
    assert not vectors(one, empty, 21.0, AHEAD).any()


def test_a_shipped_model_is_the_same_and_is_loaded_once(monkeypatch):
    monkeypatch.setattr(shipped_model, "_LOADED", {})
    one, other = model(*KINDS[0]), model(*KINDS[0], seed=5)
    first = model_here(shipped(one))
    assert first is model_here(shipped(one)) and not first.training
    assert np.array_equal(vectors(first, people(), 21.0, AHEAD), vectors(one, people(), 21.0, AHEAD))
    assert model_here(shipped(other)) is not first and len(shipped_model._LOADED) == 1
    assert shipped(one).digest != shipped(other).digest


def test_a_product_does_not_depend_on_where_its_numbers_lie_in_memory():
    """Of one row, as where one user alone has a history of some length: summed otherwise on some processors, but for
    the setting in the package's __init__."""
    numbers = torch.Generator().manual_seed(0)
    row, weights = torch.randn(1, 16, generator=numbers), torch.randn(24, 16, generator=numbers)
    expected = F.linear(row, weights)
    for shift in range(16):
        elsewhere = torch.empty(weights.numel() + 16)[shift : shift + weights.numel()].view(24, 16).copy_(weights)
        assert torch.equal(F.linear(row, elsewhere), expected), shift
