"""Heads: what a user's vector at the query time says of items. torch, no Spark.

Every head scores two ways: `forward`, all users against shared candidates, and `pairs`, row k against row k. Both give
the same numbers.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from interest_model.model_settings import ModelSettings

_MLP_CELLS = 2**24  # hidden values of one block of candidates: 64 MiB


class DotHead(nn.Module):
    """Cosine of user and item over a temperature."""

    def __init__(self, settings: "ModelSettings"):
        super().__init__()
        self.temperature = settings.temperature

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(p, c) scores of users (p, d) for items (c, d)."""
        return F.normalize(users, dim=-1) @ F.normalize(items, dim=-1).T / self.temperature

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """(k,) scores of users (k, d) for items (k, d)."""
        return (F.normalize(users, dim=-1) * F.normalize(items, dim=-1)).sum(-1) / self.temperature


class AttentionHead(nn.Module):
    """The item attends over several interests of the user and scores by what it finds.

    Label-aware attention over interest vectors (MIND, Li et al. 2019, section 3.4): with interests z_1 to z_K and
    s_k = cos(z_k, item) / temperature the score is sum_k softmax(s)_k s_k.
    """

    def __init__(self, settings: "ModelSettings"):
        super().__init__()
        self.temperature, self.n_interests = settings.temperature, settings.heads
        self.interests = nn.Linear(settings.embedding, settings.heads * settings.embedding)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(p, c) scores of users (p, d) for items (c, d)."""
        scores = self._interests(users) @ F.normalize(items, dim=-1).T / self.temperature
        return (torch.softmax(scores, dim=1) * scores).sum(dim=1)

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """(k,) scores of users (k, d) for items (k, d)."""
        scores = (self._interests(users) @ F.normalize(items, dim=-1)[:, :, None]).squeeze(-1) / self.temperature
        return (torch.softmax(scores, dim=1) * scores).sum(dim=1)

    def _interests(self, users: Tensor) -> Tensor:
        own = self.interests(users).view(len(users), self.n_interests, -1)
        return F.normalize(own, dim=-1)


class MlpHead(nn.Module):
    """A perceptron over [user, item], with the plain dot product as residual connection.

    Its first layer is a sum of a user's and an item's part, so each is computed once. The dot product is there because
    a perceptron learns one badly (Rendle et al. 2020, "Neural Collaborative Filtering vs. Matrix Factorization").
    """

    def __init__(self, settings: "ModelSettings"):
        super().__init__()
        self.user = nn.Linear(settings.embedding, settings.hidden)
        self.item = nn.Linear(settings.embedding, settings.hidden, bias=False)
        self.out = nn.Linear(settings.hidden, 1)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(p, c) scores of users (p, d) for items (c, d)."""
        own, theirs = self.user(users), self.item(items)
        block = max(_MLP_CELLS // max(own.numel(), 1), 1)
        bent = [self._bent(own[:, None] + part[None]) for part in theirs.split(block)]
        return torch.cat(bent, dim=1) + users @ items.T

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """(k,) scores of users (k, d) for items (k, d)."""
        return self._bent(self.user(users) + self.item(items)) + (users * items).sum(-1)

    def _bent(self, first_layer: Tensor) -> Tensor:
        return self.out(self.dropout(torch.relu(first_layer))).squeeze(-1)


class RatingHead(nn.Module):
    """The value (stars, minutes) a user would give an item: linear in user, item and their product, plus a mean."""

    def __init__(self, settings: "ModelSettings"):
        super().__init__()
        self.of_pair = nn.Linear(3 * settings.embedding, 1)

    def start_at(self, mean: float) -> None:
        """Begin with this value for everyone, so that training learns only departures from it."""
        nn.init.constant_(self.of_pair.bias, mean)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(k,) values for pairs users (k, d), items (k, d)."""
        return self.of_pair(torch.cat([users, items, users * items], dim=-1)).squeeze(-1)


HEADS = {"dot": DotHead, "attention": AttentionHead, "mlp": MlpHead}
