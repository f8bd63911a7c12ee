"""The model zoo as one set of parts: item tower, sequence encoder, dynamic model, head. torch, no Spark."""

import copy
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import torch as safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from interest_model.interest.dynamics import DYNAMICS, ENCODERS, Batch
from interest_model.interest.heads import HEADS, RatingHead
from interest_model.interest.item_tower import (
    N_BUCKETS,
    EventInput,
    ItemFeatures,
    ItemTower,
    age_bucket,
    zero_table,
)
from interest_model.model_settings import ModelSettings


class InterestModel(nn.Module):
    """Item tower, sequence encoder, dynamic model and head, as the settings state them."""

    def __init__(self, settings: ModelSettings, features: ItemFeatures, sizes: dict[str, int] | None = None):
        super().__init__()
        self.settings = settings
        width = settings.embedding
        self.tower = ItemTower(width, settings.id_dropout, features, sizes)
        self.events = EventInput(settings)
        self.score_age = zero_table(N_BUCKETS + 1, 1) if settings.item_age else None
        self.encoder = ENCODERS[settings.encoder](settings)
        self.dynamic = DYNAMICS[settings.dynamic](settings)
        self.head = HEADS[settings.head](settings)
        self.rating = RatingHead(settings) if settings.rating else None

    @property
    def width(self) -> int:
        """Of states and of user vectors."""
        return self.settings.embedding

    def set_catalogue(self, features: ItemFeatures) -> None:
        """Take another night's catalogue, see ItemTower.set_catalogue."""
        self.tower.set_catalogue(features)

    def encode(self, batch: Batch) -> Tensor:
        """u_E (b, l, d). With a bidirectional encoder only the last state of a row is free of later events."""
        return self.encoder(self.events(self.tower, batch), batch)

    def at(self, states: Tensor, batch: Batch, query_days: Tensor) -> Tensor:
        """u_D: states u_E (b, l, d) moved to query_days, days since 1970-01-01 UTC.

        query_days (b, l): every state to its own time, (b, l, d); (b,): the last state of each row, (b, d). A row
        without events gives zeros. Raises ValueError for a query before an event that its state has seen.
        """
        if query_days.dim() == 2:
            return self._moved(states, batch, query_days)
        rows, last = torch.arange(len(states), device=states.device), (batch.mask.sum(1) - 1).clamp(min=0)
        days = batch.days.clone()
        days[rows, last] = query_days.to(days.dtype)
        return self._moved(states, batch, days)[rows, last]

    def _moved(self, states: Tensor, batch: Batch, query_days: Tensor) -> Tensor:
        if bool(((query_days < batch.days) & batch.mask).any()):
            raise ValueError("a query time lies before an event of its own history: cut the history there")
        return self.dynamic(states, batch, query_days) * batch.mask[..., None]

    def forward(self, batch: Batch) -> Tensor:
        """u_D (p, d) at the batch's scored positions and query times.

        Raises ValueError where a bidirectional model is asked for a state before the end of a row.
        """
        last = (batch.mask.sum(1) - 1).clamp(min=0)
        rows, steps = batch.positions // batch.mask.shape[1], batch.positions % batch.mask.shape[1]
        if self.settings.bidirectional and bool((steps != last[rows]).any()):
            raise ValueError("a bidirectional model has seen what comes later: score each prefix at its end")
        return self.at(self.encode(batch), batch, batch.query_days)[rows, steps]

    def score(self, users: Tensor, candidates: Tensor | None = None, query_days: Tensor | None = None) -> Tensor:
        """(p, c) scores of u_D (p, d) for candidates (c,) int64, None: the whole catalogue.

        query_days (p,) is needed where item_age is set.
        """
        if candidates is None:
            candidates = torch.arange(self.tower.n_items, device=users.device)
        scores = self.head(users, self.tower(candidates))
        if self.score_age is None:
            return scores
        ages = age_bucket(query_days[:, None], self.tower.first_days[candidates][None])
        return scores + self.score_age(ages).squeeze(-1)

    def score_pairs(self, users: Tensor, items: Tensor, query_days: Tensor | None = None) -> Tensor:
        """(k,) scores of u_D (k, d) for items (k,), asked at query_days (k,)."""
        scores = self.head.pairs(users, self.tower(items))
        if self.score_age is None:
            return scores
        return scores + self.score_age(age_bucket(query_days, self.tower.first_days[items])).squeeze(-1)

    def user_vectors(self, states: Tensor) -> Tensor:
        """(..., d) what the head reads of u_D (..., d): of unit length where it scores by cosine, else as it is."""
        return F.normalize(states, dim=-1) if self.settings.head == "dot" else states

    def predicted_rating(self, users: Tensor, items: Tensor) -> Tensor:
        """(k,) predicted values of items (k,) for u_D (k, d), in the log's units. Needs the setting `rating`."""
        return self.rating(users, self.tower(items))


class Ensemble(nn.Module):
    """k models of one kind, from the same past but different seeds, that score as one; all share one catalogue.

    States and vectors are the members' side by side, in their order. An item's score is the mean over members of its
    log-softmax over the whole catalogue, for every head: the log of the geometric mean of the members' chances. What a
    member adds to all items of a user alike, which softmax losses leave to chance, drops out; how sure a member is does
    not: all have one loss and one temperature, so a distance between two items says the same in each. The order is that
    of the mean of plain scores; with a dot head and without item_age, of the mean cosine.
    """

    def __init__(self, members: Sequence[InterestModel]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self._share_catalogue()

    @property
    def settings(self) -> ModelSettings:
        """Those of each member."""
        return self.members[0].settings

    @property
    def tower(self) -> ItemTower:
        """The first member's: its catalogue is that of all, its weights are its own."""
        return self.members[0].tower

    @property
    def width(self) -> int:
        """Of states and of user vectors: k times a member's."""
        return sum(one.width for one in self.members)

    def set_catalogue(self, features: ItemFeatures) -> None:
        """As InterestModel.set_catalogue, for all members."""
        self.tower.set_catalogue(features)
        self._share_catalogue()

    def _share_catalogue(self) -> None:
        for one in self.members[1:]:
            one.tower.share_catalogue(self.tower)

    def encode(self, batch: Batch) -> Tensor:
        """u_E (b, l, k d) of the members side by side."""
        return torch.cat([one.encode(batch) for one in self.members], dim=-1)

    def at(self, states: Tensor, batch: Batch, query_days: Tensor) -> Tensor:
        """As InterestModel.at, of states (b, l, k d)."""
        return torch.cat([one.at(own, batch, query_days) for one, own in self._each(states)], dim=-1)

    def forward(self, batch: Batch) -> Tensor:
        """u_D (p, k d), as InterestModel.forward."""
        return torch.cat([one(batch) for one in self.members], dim=-1)

    def score(self, users: Tensor, candidates: Tensor | None = None, query_days: Tensor | None = None) -> Tensor:
        """(p, c) float32 scores of u_D (p, k d), as InterestModel.score; the whole catalogue is scored in any case."""
        scores = (one.score(own, None, query_days).float() for one, own in self._each(users))
        mean = sum(torch.log_softmax(one, dim=1) for one in scores) / len(self.members)
        return mean if candidates is None else mean[:, candidates]

    def user_vectors(self, states: Tensor) -> Tensor:
        """(..., k d) the members' user vectors of u_D (..., k d), side by side.

        With a dot head each is divided by sqrt(k): the whole is of unit length, and its dot product with the members'
        unit item vectors, side by side and divided alike, is the mean cosine.
        """
        found = torch.cat([one.user_vectors(own) for one, own in self._each(states)], dim=-1)
        return found / math.sqrt(len(self.members)) if self.settings.head == "dot" else found

    def _each(self, states: Tensor) -> list[tuple[InterestModel, Tensor]]:
        return list(zip(self.members, states.chunk(len(self.members), dim=-1), strict=True))


SequenceModel = InterestModel | Ensemble


def build(settings: ModelSettings, features: ItemFeatures, seed: int) -> InterestModel:
    """A fresh model: same settings, features and seed, same weights. torch's own random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return InterestModel(settings, features)


@torch.no_grad()
def frozen(model: SequenceModel) -> SequenceModel:
    """A copy that scores alike, with every item's whole vector as its id embedding: texts, categories and what projects
    them stay behind, so that it is small to send."""
    if isinstance(model, Ensemble):
        return Ensemble([frozen(one) for one in model.members]).eval()
    tower, days = model.tower, model.tower.first_days.cpu().numpy()
    small = ItemTower(model.width, 0.0, ItemFeatures(tower.n_items, {}, first_days=days))
    small.ids.weight[: tower.n_items] = tower(torch.arange(tower.n_items, device=tower.unknown.device)).cpu()
    small.masked.copy_(tower.masked)
    found = copy.deepcopy(model).cpu().eval()
    found.tower = small.eval()
    return found


def save(model: SequenceModel, folder: Path) -> None:
    """model.safetensors (weights and catalogue) and model.json (settings) in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    settings, weights = to_parts(model)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "model.json").write_text(settings)


def load(folder: Path) -> SequenceModel:
    """The model that `save` wrote, on the CPU, ready to score."""
    return _ready((folder / "model.json").read_text(), safetensors.load_file(folder / "model.safetensors"))


def to_parts(model: SequenceModel) -> tuple[str, bytes]:
    """Settings as JSON, and weights with the catalogue as safetensors: what `from_parts` builds the model from.

    Of an ensemble: the number of members too, their weights as members.0. and so on, and the catalogue once.
    """
    content, weights = {"settings": dataclasses.asdict(model.settings), "sizes": model.tower.sizes}, model.state_dict()
    if isinstance(model, Ensemble):
        content["members"] = len(model.members)
        weights = dict(model.members[0].named_buffers()) | dict(model.named_parameters())
    weights = {name: one.detach().contiguous() for name, one in weights.items()}
    return json.dumps(content, indent=2, sort_keys=True), safetensors.save(weights)


def from_parts(settings: str, weights: bytes) -> SequenceModel:
    """The model of `to_parts`, on the CPU, ready to score."""
    return _ready(settings, safetensors.load(weights))


def _ready(settings: str, weights: dict[str, Tensor]) -> SequenceModel:
    content = json.loads(settings)
    if "members" not in content:
        return _one(content, weights).eval()
    shared = {name: one for name, one in weights.items() if not name.startswith("members.")}
    parts = [_with_prefix(weights, f"members.{place}.") for place in range(content["members"])]
    return Ensemble([_one(content, shared | own) for own in parts]).eval()


def _one(content: dict, weights: dict[str, Tensor]) -> InterestModel:
    catalogue = {name.removeprefix("tower."): one.numpy() for name, one in weights.items()}
    parts = {kind: _with_prefix(catalogue, f"{kind}_") for kind in ("vectors", "categories")}
    n_items = len(catalogue["id_rows"])
    features = ItemFeatures(n_items, **parts, **{name: catalogue[name] for name in ("first_days", "id_rows")})
    model = InterestModel(ModelSettings(**content["settings"]), features, content["sizes"])
    model.load_state_dict(weights)
    return model


def _with_prefix(tensors: dict, prefix: str) -> dict:
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
