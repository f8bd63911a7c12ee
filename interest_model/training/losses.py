"""Losses over scored positions and their target items. torch, no Spark.

A position's targets weigh one in all: the next item, or uniformly all items of the next days. p positions, k (position,
item) pairs, c shared negatives.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from interest_model.interest.dynamics import Targets


def softmax_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Full softmax cross-entropy, mean over positions; logits (p, n) over the whole catalogue."""
    logits = logits.float()
    own = logits[targets.rows, targets.items]
    return (targets.weights * (torch.logsumexp(logits, dim=1)[targets.rows] - own)).sum() / len(logits)


def sampled_softmax_loss(own: Tensor, shared: Tensor, log_q: tuple[Tensor, Tensor], targets: Targets) -> Tensor:
    """Softmax of each target against negatives shared by all positions, corrected for how often an item is drawn.

    own (k,): scores of the targets; shared (p, c): scores of the negatives, -inf where one is a target of that
    position (`hide_hits`); log_q: of targets (k,) and of negatives (c,) the log probability to be among the negatives,
    which are all different (`draw`, `log_drawn_at_all`). Every score s of item j becomes s - log q_j (Jean et al. 2015,
    "On Using Very Large Target Vocabulary for Neural Machine Translation", section 3.1), else popular items are pushed
    down for being drawn often.
    """
    rest = torch.logsumexp((shared.float() - log_q[1]).clamp(min=torch.finfo(torch.float32).min), dim=1)
    return (targets.weights * F.softplus(rest[targets.rows] - (own.float() - log_q[0]))).sum() / len(shared)


def bce_loss(own: Tensor, shared: Tensor, targets: Targets) -> Tensor:
    """Binary cross-entropy: targets as ones, shared negatives as zeros, each side weighing one per position.

    own (k,), shared (p, c) as in `sampled_softmax_loss`; a position whose negatives are all hidden has none.
    """
    ones = (targets.weights * F.softplus(-own.float())).sum()
    counts = torch.isfinite(shared).sum(dim=1).clamp(min=1)
    zeros = (F.softplus(shared.float()).sum(dim=1) / counts).sum()
    return (ones + zeros) / len(shared)


def rating_loss(predicted: Tensor, values: Tensor) -> Tensor:
    """Mean squared error over the pairs (k,) that have a value; zero where none has."""
    known = ~torch.isnan(values)
    errors = torch.where(known, predicted.float() - torch.nan_to_num(values), 0.0)
    return errors.square().sum() / known.sum().clamp(min=1)


def hide_hits(shared: Tensor, negatives: Tensor, targets: Targets, n_items: int) -> Tensor:
    """Scores (p, c) with -inf where negative (c,) is a target of the position: an accidental hit is no negative."""
    rows = torch.arange(len(shared), device=shared.device)[:, None]
    hits = torch.isin(rows * n_items + negatives, targets.rows * n_items + targets.items)
    return shared.masked_fill(hits, -torch.inf)


def draw(log_q: Tensor, draws: int, distinct: bool) -> Tensor:
    """(c,) items drawn with probabilities exp(log_q) (n,), so many times; distinct: each counts once, ascending."""
    drawn = torch.multinomial(log_q.exp(), draws, replacement=True)
    return drawn.unique() if distinct else drawn


def log_drawn_at_all(log_q: Tensor, draws: int) -> Tensor:
    """(n,) log probability that an item is among so many draws: 1 - (1 - q)^draws. With the log of q itself, which it
    is near where draws x q is small, a popular target would be weighed as if all its draws were others' negatives."""
    return torch.log(-torch.expm1(draws * torch.log1p(-log_q.double().exp()))).float()


def log_drawing_probabilities(counts: Tensor, power: float) -> Tensor:
    """(n,) log q of negatives drawn with probability proportional to (count + 1) ** power; counts (n,) of events.

    One is added so that an item without events can be a negative too.
    """
    return torch.log_softmax(power * torch.log(counts.double() + 1.0), dim=0).float()
