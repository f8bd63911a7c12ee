"""Sequence encoders turn events into states u_E; dynamic models move them to a time t, u_D(x, t). torch, no Spark.

All sequences are padded on the right; what stands in the padding changes nothing.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interest_model.interest.item_tower import MINUTES_PER_DAY, N_BUCKETS, gap_bucket, log_bucket, zero_table
from interest_model.interest.strength import EARTH_RADIUS_KM
from interest_model.model_settings import ModelSettings


class Targets(NamedTuple):
    """k (position, item) pairs: rows (k,) into a batch's p scored positions; items (k,); weights (k,), one in all for
    each position; values (k,), such as a rating, NaN where the log has none."""

    rows: Tensor
    items: Tensor
    weights: Tensor
    values: Tensor


class Batch(NamedTuple):
    """b sequences, oldest event first, padded on the right to l.

    items (b, l) int64: catalogue positions or MASKED; days and query_days (b, l) float64: time of the event, and the
    time at which the state after it is scored, days since 1970-01-01 UTC; mask (b, l) bool: true at events; positions
    (p,) int64: scored places of the flattened (b l); places (b, l, 2) float32: latitude and longitude in degrees, NaN
    unknown, or None; targets: None when there is nothing to learn.
    """

    items: Tensor
    days: Tensor
    mask: Tensor
    query_days: Tensor
    positions: Tensor
    places: Tensor | None = None
    targets: Targets | None = None

    def to(self, device: torch.device) -> "Batch":
        moved = [one.to(device) if isinstance(one, Tensor) else one for one in self[:-1]]
        return Batch(*moved, self.targets and Targets(*(one.to(device) for one in self.targets)))


class RelativeBias(nn.Module):
    """Learned attention bias per head over half-octave buckets of distance: in events, minutes and kilometres.

    Relative time as in TiSASRec (Li et al. 2020) and HSTU (Zhai et al. 2024); a sum of tables, as in HSTU.
    """

    def __init__(self, heads: int, causal: bool, time: bool, place: bool):
        super().__init__()
        self.causal = causal
        self.rank = zero_table(2 * N_BUCKETS, heads)
        self.time = zero_table(N_BUCKETS, heads) if time else None
        self.place = zero_table(N_BUCKETS, heads) if place else None

    def forward(self, batch: Batch, query_days: Tensor) -> Tensor:
        """(b, heads, l, l): entry (i, j) is for the state at i, asked at query_days[i] (b, l), seeing event j; -inf
        where it may not."""
        steps = torch.arange(batch.items.shape[1], device=batch.items.device)
        ahead = steps[None, :] - steps[:, None]
        bias = self.rank(log_bucket(ahead.abs()) + N_BUCKETS * (ahead > 0))[None]
        if self.time is not None:
            bias = bias + self.time(log_bucket((query_days[:, :, None] - batch.days[:, None, :]) * MINUTES_PER_DAY))
        if self.place is not None and batch.places is not None:
            spots = on_sphere(batch.places)
            bias = bias + self.place(log_bucket(kilometres(spots[:, :, None], spots[:, None])))
        allowed = batch.mask[:, None, :] & (ahead <= 0 if self.causal else torch.ones_like(ahead, dtype=torch.bool))
        allowed = allowed | (ahead == 0)  # padding sees itself: no row of the softmax is empty
        return bias.permute(0, 3, 1, 2).masked_fill(~allowed[:, None], -torch.inf)


class Block(nn.Module):
    """A pre-norm transformer layer with residual connections."""

    def __init__(self, settings: ModelSettings):
        super().__init__()
        width, self.heads, self.rate = settings.embedding, settings.heads, settings.dropout
        self.norm, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, settings.hidden), nn.GELU(), nn.Linear(settings.hidden, width))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """(b, l, d) from states (b, l, d) and attention bias (b, heads, l, l)."""
        b, length, width = states.shape
        parts = self.project(self.norm(states)).view(b, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        rate = self.rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(*parts, attn_mask=bias.to(parts.dtype), dropout_p=rate)
        states = states + self.dropout(self.out(mixed.transpose(1, 2).reshape(b, length, width)))
        return states + self.dropout(self.feed(self.norm_feed(states)))


class Recurrent(nn.Module):
    """Recurrent layers from states to states of the same width; bidirectional ones never read padding."""

    def __init__(self, kind: type[nn.RNNBase], settings: ModelSettings, layers: int, bidirectional: bool = False):
        super().__init__()
        rate = settings.dropout if layers > 1 else 0.0
        self.layers = kind(
            settings.embedding, settings.hidden, layers, batch_first=True, dropout=rate, bidirectional=bidirectional
        )
        self.out = nn.Linear(settings.hidden * (1 + bidirectional), settings.embedding)
        self.norm, self.dropout = nn.LayerNorm(settings.embedding), nn.Dropout(settings.dropout)
        self.residual = settings.residual

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """(b, l, d) from states or event vectors (b, l, d)."""
        if self.layers.bidirectional:
            lengths = batch.mask.sum(1).clamp(min=1).cpu()
            packed = nn.utils.rnn.pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
            read, _ = nn.utils.rnn.pad_packed_sequence(self.layers(packed)[0], True, total_length=states.shape[1])
        else:
            read, _ = self.layers(states)
        read = self.dropout(self.out(read))
        return self.norm(states + read if self.residual else read)


class TransformerEncoder(nn.Module):
    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.bias = RelativeBias(settings.heads, not settings.bidirectional, time=False, place=False)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.embedding)

    def forward(self, events: Tensor, batch: Batch) -> Tensor:
        """u_E (b, l, d) from event vectors (b, l, d)."""
        bias = self.bias(batch, batch.days)
        for block in self.blocks:
            events = block(events, bias)
        return self.norm(events)


class Drift(nn.Module):
    """A state projected to the query time: (1 + a) * state + c, with learned vectors a, c per bucket of elapsed time.

    JODIE (Kumar et al. 2019, section 3.2) with buckets for its straight line. Attention needs it too: a bias moves its
    weights among events, but cannot say that all of them are long ago.
    """

    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.table = zero_table(N_BUCKETS, 2 * settings.embedding) if settings.time_bias else None

    def forward(self, states: Tensor, elapsed_days: Tensor) -> Tensor:
        """(b, l, d) from states (b, l, d) and days (b, l) since each was true."""
        if self.table is None:
            return states
        scale, shift = self.table(log_bucket(elapsed_days * MINUTES_PER_DAY)).chunk(2, dim=-1)
        return (1.0 + scale) * states + shift


class RecurrentDynamic(nn.Module):
    """Recurrent layers over states, told the time and the way between events, then a drift to the query time."""

    def __init__(self, kind: type[nn.RNNBase], settings: ModelSettings):
        super().__init__()
        self.recurrent = Recurrent(kind, settings, settings.dynamic_layers)
        self.gap = zero_table(N_BUCKETS, settings.embedding) if settings.time_bias else None
        self.way = zero_table(N_BUCKETS, settings.embedding) if settings.place_bias else None
        self.drift = Drift(settings)

    def forward(self, states: Tensor, batch: Batch, query_days: Tensor) -> Tensor:
        """u_D (b, l, d) from u_E (b, l, d): the state after each event, moved to query_days (b, l)."""
        if self.gap is not None:
            states = states + self.gap(gap_bucket(batch.days))
        if self.way is not None and batch.places is not None:
            spots = on_sphere(batch.places)
            before = torch.cat([spots[:, :1], spots[:, :-1]], dim=1)
            states = states + self.way(log_bucket(kilometres(before, spots)))
        return self.drift(self.recurrent(states, batch), query_days - batch.days)


class TransformerDynamic(nn.Module):
    """Causal attention over states; in the last layer each state asks from its query time.

    The layers before it use times of events only, so that what others see of a state is the same at every query.
    """

    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.bias = RelativeBias(settings.heads, True, settings.time_bias, settings.place_bias)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.dynamic_layers))
        self.norm, self.drift = nn.LayerNorm(settings.embedding), Drift(settings)

    def forward(self, states: Tensor, batch: Batch, query_days: Tensor) -> Tensor:
        """u_D (b, l, d) from u_E (b, l, d): the state after each event, moved to query_days (b, l)."""
        *blocks, last = self.blocks
        if blocks:
            bias = self.bias(batch, batch.days)
            for block in blocks:
                states = block(states, bias)
        states = self.norm(last(states, self.bias(batch, query_days)))
        return self.drift(states, query_days - batch.days)


def _recurrent_encoder(kind: type[nn.RNNBase], settings: ModelSettings) -> Recurrent:
    return Recurrent(kind, settings, settings.layers, settings.bidirectional)


RECURRENT = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
ENCODERS = {kind: partial(_recurrent_encoder, RECURRENT[kind]) for kind in ("lstm", "gru")}
ENCODERS["transformer"] = TransformerEncoder
DYNAMICS = {kind: partial(RecurrentDynamic, RECURRENT[kind]) for kind in RECURRENT}
DYNAMICS["transformer"] = TransformerDynamic


def on_sphere(places: Tensor) -> Tensor:
    """(..., 3) float64 unit vectors from latitude and longitude in degrees (..., 2)."""
    latitude, longitude = torch.deg2rad(places.double()).unbind(-1)
    across = latitude.cos()
    return torch.stack([across * longitude.cos(), across * longitude.sin(), latitude.sin()], dim=-1)


def kilometres(one: Tensor, other: Tensor) -> Tensor:
    """(...) great-circle distances between unit vectors (..., 3), from the chord; NaN where a place is unknown."""
    chord = (one - other).square().sum(-1).sqrt()
    return 2.0 * EARTH_RADIUS_KM * torch.asin((chord / 2.0).clamp(max=1.0))
