import dataclasses
import math

import numpy as np
import pytest
import torch

from interest_model.interest.heads import HEADS, AttentionHead, DotHead, MlpHead, RatingHead
from interest_model.interest.item_tower import ItemFeatures, ItemTower, age_bucket, log_bucket
from tests.interest.parts import model_settings

SMALL = model_settings(embedding=4, hidden=6, heads=2, temperature=0.5, dropout=0.0)


def vectors(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", HEADS)
def test_pairs_are_the_entries_of_all_against_all(kind):
    torch.manual_seed(1)
    head, users, items = HEADS[kind](SMALL), vectors(3, 1), vectors(5, 2)
    rows, columns = torch.tensor([0, 2, 2]), torch.tensor([4, 1, 0])
    torch.testing.assert_close(head.pairs(users[rows], items[columns]), head(users, items)[rows, columns])


def test_dot_is_the_cosine_over_the_temperature():
    # cos((3, 4), (4, 3)) = 24 / 25; over 0.5: 1.92
    score = DotHead(SMALL)(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0], [-3.0, -4.0]]))
    assert score.tolist() == [pytest.approx([1.92, -2.0])]


def test_attention_weighs_interests_by_the_item():
    head = AttentionHead(dataclasses.replace(SMALL, embedding=2))
    with torch.no_grad():
        head.interests.weight.zero_()
        head.interests.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 2.0]))  # two interests: along x and along y
    score = head(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    # s = (2, 0): softmax weighs 2 by e^2 / (e^2 + 1)
    assert score.item() == pytest.approx(2 * math.exp(2) / (math.exp(2) + 1))


def test_mlp_by_hand():
    head = MlpHead(SMALL)
    with torch.no_grad():
        for weight in (head.user.weight, head.item.weight, head.out.weight):
            weight.fill_(1.0)
        head.user.bias.zero_(), head.out.bias.fill_(0.5)
    users, items = torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[2.0, 0, 0, 0], [-5.0, 0, 0, 0]])
    # six hidden units of relu(1 + 2) plus 0.5 plus the dot product 2; relu(1 - 5) = 0, plus 0.5, minus 5
    assert head(users, items).tolist() == [[20.5, -4.5]]


def test_mlp_in_blocks_gives_the_same(monkeypatch):
    torch.manual_seed(1)
    head, users, items = MlpHead(SMALL), vectors(3, 1), vectors(50, 2)
    whole = head(users, items)
    monkeypatch.setattr("interest_model.interest.heads._MLP_CELLS", 40)
    torch.testing.assert_close(head(users, items), whole)


def test_ratings_start_at_the_mean_of_the_log():
    head = RatingHead(SMALL)
    head.start_at(3.5)
    assert head(torch.zeros(2, 4), torch.zeros(2, 4)).tolist() == [3.5, 3.5]


def test_buckets_are_half_octaves():
    amounts = torch.tensor([-1.0, 0.0, 0.5, 1.0, 3.0, 1440.0, 1e12, float("nan")])
    # 2 log2(1.5) = 1.17; 2 log2(2) = 2; 2 log2(4) = 4; 2 log2(1441) = 20.99
    assert log_bucket(amounts).tolist() == [0, 0, 1, 2, 4, 20, 47, 47]


def test_an_item_of_tomorrow_has_an_age_of_its_own():
    assert age_bucket(torch.tensor([10.0, 10.0, 9.0]), torch.tensor([10.0, 9.0, 10.0])).tolist() == [0, 20, 48]


def tower(id_dropout: float = 0.0) -> ItemTower:
    torch.manual_seed(2)
    texts = np.eye(3, 5, dtype=np.float32)
    return ItemTower(4, id_dropout, ItemFeatures(3, {"text": texts}, {"brand": np.array([0, 1, -1])}))


def test_an_item_is_its_id_its_text_and_its_brand():
    one = tower()
    with torch.no_grad():
        one.categories["brand"].weight.copy_(torch.arange(12.0).view(3, 4))
    expected = one.ids.weight[1] + one.projections["text"].weight[:, 1] + torch.tensor([4.0, 5.0, 6.0, 7.0])
    torch.testing.assert_close(one(torch.tensor(1)), expected)
    torch.testing.assert_close(one(torch.tensor(2)), one.ids.weight[2] + one.projections["text"].weight[:, 2])
    torch.testing.assert_close(one(torch.tensor(-1)), one.masked)


def test_id_dropout_replaces_ids_in_training_only():
    one = tower(id_dropout=1.0)
    with torch.no_grad():
        one.unknown.fill_(9.0)
    items = torch.tensor([0, 1, 2])
    texts = one.projections["text"].weight.T[:3]
    torch.testing.assert_close(one.train()(items), texts + 9.0)
    torch.testing.assert_close(one.eval()(items), texts + one.ids.weight)


def test_another_catalogue_moves_items_and_adds_new_ones():
    one = tower().eval()
    before = one(torch.tensor([0, 1, 2]))
    texts = np.eye(3, 5, dtype=np.float32)[[2, 0, 0]]
    new = ItemFeatures(3, {"text": texts}, {"brand": np.array([-1, 0, 7])}, id_rows=np.array([2, 0, -1]))
    one.set_catalogue(new)
    after = one(torch.tensor([0, 1, 2]))
    torch.testing.assert_close(after[:2], before[[2, 0]])
    torch.testing.assert_close(after[2], one.projections["text"].weight[:, 0] + one.unknown)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (ItemFeatures(3), "expected"),
        (ItemFeatures(4, {"text": np.zeros((4, 5))}, {"brand": np.zeros(4, int)}), "id rows must be below 3"),
    ],
)
def test_a_catalogue_that_does_not_fit_is_refused(features, message):
    with pytest.raises(ValueError, match=message):
        tower().set_catalogue(features)
