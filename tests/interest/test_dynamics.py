import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from interest_model import model_settings as kinds
from interest_model.interest import dynamics
from interest_model.interest import model as zoo
from interest_model.interest.dynamics import DYNAMICS, ENCODERS, Batch
from interest_model.interest.heads import HEADS
from interest_model.interest.item_tower import ItemFeatures
from interest_model.interest.model import InterestModel
from interest_model.model_settings import ModelSettings
from tests.interest.parts import model_settings

N_ITEMS, LENGTH = 7, 5
COMBINATIONS = list(itertools.product(ENCODERS, DYNAMICS, HEADS))
FEATURES = ItemFeatures(
    N_ITEMS,
    {"text": np.random.default_rng(0).normal(size=(N_ITEMS, 3)).astype(np.float32)},
    {"brand": np.arange(N_ITEMS) % 3 - 1},
    np.linspace(0, 20, N_ITEMS),
)


def small(encoder: str, dynamic: str, head: str, **more) -> ModelSettings:
    defaults = {"embedding": 8, "hidden": 6, "dynamic_layers": 2, "place_bias": True, "recency": True, "item_age": True}
    return model_settings(encoder, dynamic, head, **(defaults | more))


def shaken(kind: ModelSettings) -> InterestModel:
    """A model whose every weight matters: tables that start at zero hold noise."""
    model, noise = zoo.build(kind, FEATURES, seed=1), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=noise) * 0.3)
    return model.eval()


def some_batch(lengths: list[int], width: int = LENGTH, seed: int = 0) -> Batch:
    """Sequences of these lengths; what stands in the padding depends on the seed and the width too."""
    b, rows = len(lengths), np.random.default_rng(5)
    items, places = rows.integers(-1, N_ITEMS, (4, LENGTH))[:b], rows.normal(40, 1, (4, LENGTH, 2))[:b]
    days = np.cumsum(rows.exponential(3.0, (4, LENGTH)), axis=1)[:b]
    padding = np.random.default_rng([seed, width])
    filled = [padding.integers(0, N_ITEMS, (b, width)), *(padding.normal(0, 9, (b, width, *k)) for k in ((), (2,)))]
    mask = np.arange(width) < np.array(lengths)[:, None]
    for array, content in zip(filled, (items, days, places), strict=True):
        array[mask] = content[mask[:, :LENGTH]]
    items, days, places = (torch.from_numpy(one) for one in filled)
    last = torch.tensor([max(one - 1, 0) for one in lengths])
    return Batch(items, days, torch.from_numpy(mask), days + 1.0, torch.arange(b) * width + last, places.float())


def all_scores(model: InterestModel, batch: Batch) -> torch.Tensor:
    """(b, l, n) scores after every event, at its query time."""
    with torch.no_grad():
        states = model.at(model.encode(batch), batch, batch.query_days)
        return model.score(states.flatten(0, 1), None, batch.query_days.flatten()).view(*batch.items.shape, -1)


@pytest.mark.parametrize(("encoder", "dynamic", "head"), COMBINATIONS)
def test_what_comes_later_changes_nothing(encoder, dynamic, head):
    model, batch = shaken(small(encoder, dynamic, head)), some_batch([5, 4])
    items, days, places = batch.items.clone(), batch.days.clone(), batch.places.clone()
    items[:, 3:], days[:, 3:], places[:, 3:] = 0, days[:, 3:] + 30.0, -3.0
    query = torch.cat([batch.query_days[:, :3], days[:, 3:] + 2.0], dim=1)
    other = batch._replace(items=items, days=days, places=places, query_days=query)
    before, after = all_scores(model, batch), all_scores(model, other)
    torch.testing.assert_close(after[:, :3], before[:, :3], rtol=0, atol=1e-6)
    assert (after[:, 3] - before[:, 3]).abs().max() > 1e-3


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_bidirectional_model_scores_only_the_end_of_a_row(encoder):
    model, batch = shaken(small(encoder, "rnn", "dot", bidirectional=True)), some_batch([5, 4])
    assert model(batch).shape == (2, 8)
    with pytest.raises(ValueError, match="prefix"):
        model(batch._replace(positions=torch.tensor([3, 8])))


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(1, LENGTH), min_size=1, max_size=4), st.integers(LENGTH, 9), st.booleans())
@pytest.mark.parametrize(("encoder", "dynamic"), list(itertools.product(ENCODERS, DYNAMICS)))
def test_padding_does_not_matter(encoder, dynamic, lengths, width, bidirectional):
    model = shaken(small(encoder, dynamic, "dot", bidirectional=bidirectional))
    tight, wide = some_batch(lengths), some_batch(lengths, width, seed=3)
    with torch.no_grad():
        torch.testing.assert_close(model(wide), model(tight), rtol=0, atol=1e-5)
        alone = [model(some_batch(lengths[: k + 1]))[k] for k in range(len(lengths))]
    torch.testing.assert_close(torch.stack(alone), model(tight).detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_the_query_time_moves_the_state(dynamic):
    batch = some_batch([5, 3])
    for time_bias in (True, False):
        model = shaken(small("gru", dynamic, "dot", time_bias=time_bias))
        states, last = model.encode(batch), torch.stack([batch.days[0, 4], batch.days[1, 2]])
        soon, late = model.at(states, batch, last), model.at(states, batch, last + 100.0)
        assert bool((soon - late).abs().max() > 1e-3) == time_bias


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_one_query_per_row_is_the_last_of_a_query_per_state(dynamic):
    model, batch = shaken(small("gru", dynamic, "dot")), some_batch([5, 3])
    states = model.encode(batch)
    one_each = model.at(states, batch, torch.stack([batch.query_days[0, 4], batch.query_days[1, 2]]))
    torch.testing.assert_close(one_each, model.at(states, batch, batch.query_days)[[0, 1], [4, 2]])


def test_a_query_before_the_history_ends_is_refused():
    model, batch = shaken(small("gru", "gru", "dot")), some_batch([5])
    with pytest.raises(ValueError, match="lies before an event"):
        model.at(model.encode(batch), batch, batch.days[:, -1] - 0.1)


@pytest.mark.parametrize(("encoder", "dynamic", "head"), COMBINATIONS)
def test_a_user_without_events_gets_finite_scores_from_a_state_of_zeros(encoder, dynamic, head):
    model, batch = shaken(small(encoder, dynamic, head, bidirectional=True)), some_batch([0, 3])
    users = model(batch)
    assert users[0].tolist() == [0.0] * 8
    assert torch.isfinite(model.score(users, None, torch.tensor([50.0, 50.0]))).all()


@pytest.mark.parametrize(("encoder", "dynamic"), list(itertools.product(ENCODERS, DYNAMICS)))
def test_an_unknown_place_is_no_number_lost(encoder, dynamic):
    model, batch = shaken(small(encoder, dynamic, "dot")), some_batch([5])
    batch.places[0, 2] = torch.nan
    assert torch.isfinite(all_scores(model, batch)).all()


def test_scores_of_candidates_are_those_of_the_catalogue():
    model, batch = shaken(small("gru", "transformer", "attention")), some_batch([5, 3])
    users, days = model(batch), torch.tensor([50.0, 60.0])
    whole, chosen = model.score(users, None, days), torch.tensor([4, 1])
    torch.testing.assert_close(model.score(users, chosen, days), whole[:, chosen])
    torch.testing.assert_close(model.score_pairs(users, chosen, days), whole[[0, 1], chosen])


@pytest.mark.parametrize(("encoder", "dynamic", "head"), COMBINATIONS[::5])
def test_a_saved_model_scores_the_same(encoder, dynamic, head, tmp_path):
    model, batch = shaken(small(encoder, dynamic, head, rating=True)), some_batch([5, 3])
    zoo.save(model, tmp_path / "model")
    loaded = zoo.load(tmp_path / "model")
    assert loaded.settings == model.settings
    assert torch.equal(all_scores(loaded, batch), all_scores(model, batch))
    users, items = model(batch), torch.tensor([1, 2])
    assert torch.equal(loaded.predicted_rating(users, items), model.predicted_rating(users, items))


def test_a_model_with_a_later_catalogue_can_be_saved(tmp_path):
    model = shaken(small("gru", "rnn", "dot"))
    fewer = ItemFeatures(2, {"text": np.ones((2, 3))}, {"brand": np.zeros(2, int)}, np.zeros(2), np.array([1, -1]))
    model.tower.set_catalogue(fewer)
    zoo.save(model, tmp_path)
    items = torch.tensor([0, 1])
    assert torch.equal(zoo.load(tmp_path).tower(items), model.tower(items))


def test_same_seed_same_model_and_the_callers_random_state_stays():
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    one, same, other = (zoo.build(small("gru", "rnn", "mlp"), FEATURES, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.tower.ids.weight, other.tower.ids.weight)


def test_the_order_of_an_items_features_changes_nothing():
    """Files of weights hand them over in any order: sums in that order would differ in their last digits."""
    numbers = np.random.default_rng(0)
    vectors = {name: numbers.normal(size=(N_ITEMS, 3)) for name in ("text", "price", "image")}
    codes = {name: numbers.integers(-1, 3, N_ITEMS) for name in ("size", "brand", "colour")}
    every, found = torch.arange(N_ITEMS), []
    for turn in (1, -1):
        features = ItemFeatures(N_ITEMS, dict([*vectors.items()][::turn]), dict([*codes.items()][::turn]))
        model = zoo.build(small("gru", "rnn", "dot"), features, seed=1).eval()
        with torch.no_grad():
            for name in sorted(codes):
                model.tower.categories[name].weight.normal_(generator=torch.Generator().manual_seed(3))
        found.append(model.tower(every))
    assert torch.equal(*found)


def test_the_shop_case_is_a_matter_of_settings():
    kind = model_settings(
        "lstm", "rnn", "mlp", "bce", embedding=128, hidden=256, layers=2, bidirectional=True, dropout=0.5
    )
    model = zoo.build(kind, FEATURES, 0)
    layers = model.encoder.layers
    assert (type(layers), layers.input_size, layers.hidden_size) == (nn.LSTM, 128, 256)
    assert (layers.num_layers, layers.bidirectional, layers.dropout) == (2, True, 0.5)
    assert type(model.dynamic.recurrent.layers) is nn.RNN
    assert model.head.dropout.p == 0.5


def test_the_news_case_is_a_matter_of_settings():
    kind = model_settings("transformer", "transformer", "attention", max_length=512, id_dropout=0.3)
    model = zoo.build(kind, FEATURES, 0)
    assert model.dynamic.bias.causal and model.settings.max_length == 512
    assert type(model.head) is HEADS["attention"]


@pytest.mark.parametrize(
    "wrong",
    [{"encoder": "rnn"}, {"head": "cosine"}, {"loss": "mse"}, {"heads": 3}, {"layers": 0}, {"temperature": 0.0}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        model_settings(**wrong)


def test_settings_name_every_kind_there_is():
    assert set(kinds.ENCODERS) == set(ENCODERS)
    assert (set(kinds.DYNAMICS), set(kinds.HEADS)) == (set(DYNAMICS), set(HEADS))


def test_kilometres_by_known_distances():
    # a quarter of a great circle, Berlin to Paris, nowhere, unknown
    one = dynamics.on_sphere(torch.tensor([[0.0, 0.0], [52.52, 13.405], [10.0, 10.0], [torch.nan, 0.0]]))
    other = dynamics.on_sphere(torch.tensor([[0.0, 90.0], [48.8566, 2.3522], [10.0, 10.0], [0.0, 0.0]]))
    found = dynamics.kilometres(one, other).tolist()
    assert found[:3] == pytest.approx([6371 * np.pi / 2, 877.5, 0.0], abs=1.0)
    assert np.isnan(found[3])
