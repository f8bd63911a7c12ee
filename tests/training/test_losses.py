import math

import pytest
import torch

from interest_model.interest.dynamics import Targets
from interest_model.training import losses


def targets(pairs: list[tuple[int, int]], weights: list[float]) -> Targets:
    rows, items = (torch.tensor(one) for one in zip(*pairs, strict=True))
    return Targets(rows, items, torch.tensor(weights), torch.full((len(pairs),), math.nan))


def test_softmax_by_hand():
    # e^logits are 1, 2, 5 and 3, 3, 4: shares 2/8 and, over two targets, 3/10 and 4/10
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0], [3.0, 3.0, 4.0]]))
    wanted = targets([(0, 1), (1, 0), (1, 2)], [1.0, 0.5, 0.5])
    expected = (-math.log(0.25) - 0.5 * math.log(0.3) - 0.5 * math.log(0.4)) / 2
    assert losses.softmax_loss(logits, wanted).item() == pytest.approx(expected)


def test_sampled_softmax_subtracts_log_q():
    # e^(s - log q): target 2 / 0.5 = 4; negatives 1 / 0.25 = 4 and 3 / 0.125 = 24: share 4 / 32
    own, shared = torch.log(torch.tensor([2.0])), torch.log(torch.tensor([[1.0, 3.0]]))
    log_q = torch.log(torch.tensor([0.5])), torch.log(torch.tensor([0.25, 0.125]))
    found = losses.sampled_softmax_loss(own, shared, log_q, targets([(0, 7)], [1.0]))
    assert found.item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("corrected", [True, False])
def test_the_correction_makes_log_probabilities_the_best_scores(corrected):
    """At s = log P(item) the gradient, in expectation over items and drawn negatives, is zero: the reason for log q."""
    share, q = torch.tensor([0.1, 0.3, 0.6]), torch.tensor([0.7, 0.2, 0.1])
    scores, log_q = torch.log(share).requires_grad_(), torch.log(q) if corrected else torch.zeros(3)
    wanted = targets([(0, 0), (0, 1), (0, 2)], share.tolist())
    for item in range(3):
        pair = log_q, log_q[item : item + 1]
        (q[item] * losses.sampled_softmax_loss(scores, scores[item].view(1, 1), pair, wanted)).backward()
    assert bool(scores.grad.abs().max() < 1e-6) == corrected


def fitted_shares(true: torch.Tensor, log_q: torch.Tensor, draws: int, distinct: bool) -> torch.Tensor:
    """What free scores, one an item, end at when their softmax is learned from targets and draws."""
    torch.manual_seed(1)
    weights = losses.log_drawn_at_all(log_q, draws) if distinct else log_q
    scores = torch.log(true).clone().requires_grad_()
    optimizer, mean = torch.optim.Adam([scores], lr=0.03), torch.zeros(len(true))
    for step in range(600):
        wanted = torch.multinomial(true, 128, replacement=True)
        pairs = Targets(torch.arange(128), wanted, torch.ones(128), torch.full((128,), math.nan))
        drawn = losses.draw(log_q, draws, distinct)
        shared = losses.hide_hits(scores[drawn].expand(128, -1), drawn, pairs, len(true))
        optimizer.zero_grad()
        losses.sampled_softmax_loss(scores[wanted], shared, (weights[wanted], weights[drawn]), pairs).backward()
        optimizer.step()
        mean += torch.softmax(scores.detach(), 0) * (step >= 300) / 300
    return mean


def test_a_popular_item_among_many_draws_keeps_its_share():
    """Of 256 draws some ten are of the most popular item, and one in ten times one of the rare item."""
    world = 1 / torch.arange(1.0, 501.0)
    true = world.clone()
    true[[0, 400]] = 0.0
    true *= 0.35 / true.sum()
    true[0], true[400] = 0.3, 0.35
    log_q = losses.log_drawing_probabilities(1e5 * world, 0.75)
    expected = 256 * log_q.exp()[[0, 400]]
    assert expected[0] > 10 and expected[1] < 0.2
    found = fitted_shares(true, log_q, 256, distinct=True)
    assert found[[0, 400]].tolist() == pytest.approx([0.3, 0.35], abs=0.02)
    found = fitted_shares(true, log_q, 256, distinct=False)
    assert found[0] > 0.4  # as if its draws were all others'


def test_an_item_is_drawn_at_all_by_hand():
    # two draws: 1 - 0.25 ** 2 and 1 - 0.75 ** 2
    log_q = torch.log(torch.tensor([0.75, 0.25]))
    assert losses.log_drawn_at_all(log_q, 2).exp().tolist() == pytest.approx([0.9375, 0.4375])
    assert losses.draw(log_q, 50, distinct=True).tolist() == [0, 1]
    assert len(losses.draw(log_q, 50, distinct=False)) == 50


def test_bce_by_hand():
    # sigmoid(log 3) = 3/4, sigmoid(0) = 1/2; the hidden negative counts neither above nor below the line
    own, shared = torch.log(torch.tensor([3.0])), torch.tensor([[0.0, math.log(3.0), -math.inf]])
    expected = -math.log(0.75) - (math.log(0.5) + math.log(0.25)) / 2
    assert losses.bce_loss(own, shared, targets([(0, 1)], [1.0])).item() == pytest.approx(expected)


def test_a_negative_that_is_a_target_is_hidden_for_its_position_only():
    wanted = targets([(0, 5), (1, 2), (1, 3)], [1.0, 0.5, 0.5])
    hidden = losses.hide_hits(torch.zeros(2, 3), torch.tensor([5, 3, 9]), wanted, n_items=10)
    assert torch.isinf(hidden).tolist() == [[True, False, False], [False, True, False]]


def test_positions_without_negatives_have_finite_losses_and_gradients():
    own, scores = torch.zeros(1, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    wanted, log_q = targets([(0, 1)], [1.0]), (torch.zeros(1), torch.zeros(2))
    shared = scores.masked_fill(torch.ones(1, 2, dtype=torch.bool), -math.inf)
    total = losses.bce_loss(own, shared, wanted) + losses.sampled_softmax_loss(own, shared, log_q, wanted)
    total.backward()
    assert total.item() == pytest.approx(math.log(2))  # of the binary loss; the softmax of one is certain
    assert own.grad.tolist() == [-0.5] and scores.grad.tolist() == [[0.0, 0.0]]


def test_ratings_without_a_value_are_left_out():
    predicted = torch.tensor([1.0, 2.0, 5.0], requires_grad=True)
    found = losses.rating_loss(predicted, torch.tensor([3.0, math.nan, 4.0]))
    found.backward()
    assert found.item() == pytest.approx((4 + 1) / 2)
    assert predicted.grad.tolist() == [-2.0, 0.0, 1.0]
    assert losses.rating_loss(predicted, torch.full((3,), math.nan)).item() == 0.0


def test_drawing_probabilities_by_hand():
    # (count + 1) ** 0.5: 1, 2, 3
    log_q = losses.log_drawing_probabilities(torch.tensor([0.0, 3.0, 8.0]), 0.5)
    assert log_q.exp().tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
