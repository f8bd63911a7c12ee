"""Items as vectors: an embedding of the id plus what is known of the item (texts, attributes, age). torch, no Spark."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from interest_model.interest.dynamics import Batch
    from interest_model.model_settings import ModelSettings

N_BUCKETS = 48  # half octaves: 24 octaves of minutes are 32 years
MASKED = -1  # an event whose item is hidden from the model
MINUTES_PER_DAY = 1440.0
_INITIAL_SCALE = 0.1


class ItemFeatures(NamedTuple):
    """What is known of n items, by catalogue position.

    vectors: name -> (n, w) float32, such as texts, images, or numbers with mean 0 and deviation 1; a row of zeros where
    there is none. categories: name -> (n,) int64, such as a brand; -1 unknown. first_days (n,) float64: the day an item
    entered the catalogue, days since 1970-01-01 UTC. id_rows (n,) int64: the item's row in the table of id embeddings,
    -1 for an item that training has not seen; None where item k has row k. Names are identifiers.
    """

    n_items: int
    vectors: dict[str, np.ndarray] = {}
    categories: dict[str, np.ndarray] = {}
    first_days: np.ndarray | None = None
    id_rows: np.ndarray | None = None


def log_bucket(amounts: Tensor) -> Tensor:
    """Half-octave bucket floor(2 log2(1 + amount)) in 0 to N_BUCKETS - 1; below zero counts as 0, NaN as the last.

    Logarithmic buckets of time differences as in HSTU (Zhai et al. 2024, "Actions Speak Louder than Words").
    """
    known = torch.nan_to_num(amounts.float(), nan=torch.inf).clamp(min=0.0)
    return (2.0 * torch.log2(1.0 + known)).clamp(max=N_BUCKETS - 1).long()


def gap_bucket(days: Tensor) -> Tensor:
    """(b, l) bucket of the time since the previous event; 0 for the first. days (b, l)."""
    return log_bucket(torch.diff(days, dim=1, prepend=days[:, :1]) * MINUTES_PER_DAY)


def age_bucket(days: Tensor, first_days: Tensor) -> Tensor:
    """Bucket of an item's age at `days`; N_BUCKETS for an item that had not entered the catalogue yet."""
    age = days - first_days
    return torch.where(age < 0, N_BUCKETS, log_bucket(age * MINUTES_PER_DAY))


def zero_table(rows: int, width: int) -> nn.Embedding:
    """A learned table that starts at zero, so that what training never meets changes nothing."""
    table = nn.Embedding(rows, width)
    nn.init.zeros_(table.weight)
    return table


class ItemTower(nn.Module):
    """Catalogue positions to vectors: id embedding + projected vectors + embedded categories.

    In training an id embedding is replaced by the learned `unknown` vector with probability id_dropout, so that an item
    without one (id row -1) is scored by the rest (DropoutNet, Volkovs et al. 2017). Position MASKED (-1) is a learned
    vector of its own.
    """

    def __init__(self, width: int, id_dropout: float, features: ItemFeatures, sizes: dict[str, int] | None = None):
        """sizes: rows of the table `ids` and of each category; None: as many as `features` need."""
        super().__init__()
        self.id_dropout = id_dropout
        self.sizes = sizes or _sizes(features)
        self.ids = nn.Embedding(self.sizes["ids"], width)
        self.unknown = nn.Parameter(torch.zeros(width))
        self.masked = nn.Parameter(torch.randn(width) * _INITIAL_SCALE)
        # by name: parts are summed in this order, and a file of weights hands the names over in any
        widths = {name: features.vectors[name].shape[1] for name in sorted(features.vectors)}
        self.projections = nn.ModuleDict({name: nn.Linear(w, width, bias=False) for name, w in widths.items()})
        names = sorted(features.categories)
        self.categories = nn.ModuleDict({name: zero_table(self.sizes[name] + 1, width) for name in names})
        for weight in [self.ids.weight, *(one.weight for one in self.projections.values())]:
            nn.init.normal_(weight, std=_INITIAL_SCALE)
        self.set_catalogue(features)

    def set_catalogue(self, features: ItemFeatures) -> None:
        """Take another night's catalogue: same kinds of features, any items, known ones named by id_rows.

        Raises ValueError where a kind of feature is missing, or an id row is beyond the table.
        """
        if features.vectors.keys() != self.projections.keys() or features.categories.keys() != self.categories.keys():
            raise ValueError(f"item features: expected {[*self.projections, *self.categories]} and nothing else")
        rows = np.arange(features.n_items) if features.id_rows is None else np.asarray(features.id_rows)
        if rows.max(initial=-1) >= self.sizes["ids"]:
            raise ValueError(f"item features: id rows must be below {self.sizes['ids']}, or -1 for a new item")
        self._keep("id_rows", rows.astype(np.int64))
        for name, vectors in features.vectors.items():
            self._keep(f"vectors_{name}", np.asarray(vectors, dtype=np.float32))
        for name, values in features.categories.items():
            known = np.where(np.asarray(values) < self.sizes[name], values, -1)  # a brand that training has not seen
            self._keep(f"categories_{name}", known.astype(np.int64))
        days = np.zeros(features.n_items) if features.first_days is None else features.first_days
        self._keep("first_days", np.asarray(days, dtype=np.float64))

    def share_catalogue(self, other: "ItemTower") -> None:
        """Hold the very tensors of another tower's catalogue; both were built from the same features."""
        for name, values in other.named_buffers(recurse=False):
            self.register_buffer(name, values)

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(values, device=self.unknown.device))

    @property
    def n_items(self) -> int:
        return len(self.id_rows)

    @property
    def features(self) -> ItemFeatures:
        """The catalogue as it was handed in, unknown categories as -1."""
        vectors = {name: getattr(self, f"vectors_{name}").cpu().numpy() for name in self.projections}
        categories = {name: getattr(self, f"categories_{name}").cpu().numpy() for name in self.categories}
        return ItemFeatures(
            self.n_items, vectors, categories, self.first_days.cpu().numpy(), self.id_rows.cpu().numpy()
        )

    def forward(self, items: Tensor) -> Tensor:
        """(..., width) vectors of items (...) int64: catalogue positions or MASKED."""
        found = items.clamp(min=0)
        rows = self.id_rows[found]
        known = rows >= 0
        if self.training and self.id_dropout > 0:
            known = known & (torch.rand(rows.shape, device=rows.device) >= self.id_dropout)
        total = torch.where(known[..., None], self.ids(rows.clamp(min=0)), self.unknown)
        for name, projection in self.projections.items():
            total = total + projection(getattr(self, f"vectors_{name}")[found])
        for name, table in self.categories.items():
            values = getattr(self, f"categories_{name}")[found]
            total = total + torch.where(values[..., None] >= 0, table(values.clamp(min=0)), 0.0)
        return torch.where(items[..., None] >= 0, total, self.masked)


class EventInput(nn.Module):
    """Events to vectors: the item, where the settings say so its age at the event and the time since the last event."""

    def __init__(self, settings: "ModelSettings"):
        super().__init__()
        width = settings.embedding
        self.recency = zero_table(N_BUCKETS, width) if settings.recency else None
        self.age = zero_table(N_BUCKETS + 1, width) if settings.item_age else None
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(settings.dropout)

    def forward(self, tower: ItemTower, batch: "Batch") -> Tensor:
        """(b, l, width) vectors of a batch's events."""
        events = tower(batch.items)
        if self.recency is not None:
            events = events + self.recency(gap_bucket(batch.days))
        if self.age is not None:
            ages = self.age(age_bucket(batch.days, tower.first_days[batch.items.clamp(min=0)]))
            events = events + torch.where(batch.items[..., None] >= 0, ages, 0.0)
        return self.dropout(self.norm(events))


def _sizes(features: ItemFeatures) -> dict[str, int]:
    rows = [features.n_items - 1] if features.id_rows is None else features.id_rows
    sizes = {"ids": max(int(np.max(rows, initial=-1)) + 1, 1)}
    return sizes | {name: int(np.max(one, initial=-1)) + 1 for name, one in features.categories.items()}
