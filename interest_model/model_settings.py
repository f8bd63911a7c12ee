"""Settings of a sequence model and of its training: sections model and training of conf/base.yaml."""

import dataclasses

from interest_model.yaml_files import one_of

# kinds of a sequence model's parts
ENCODERS = ("lstm", "gru", "transformer")
DYNAMICS = ("rnn", "lstm", "gru", "transformer")
HEADS = ("dot", "attention", "mlp")
LOSSES = ("softmax", "sampled", "bce")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """A sequence model: one of each kind of part (see interest/model.py) and its sizes."""

    encoder: str
    dynamic: str
    head: str
    loss: str
    embedding: int
    hidden: int
    layers: int
    dynamic_layers: int
    heads: int
    bidirectional: bool
    residual: bool
    dropout: float
    max_length: int
    temperature: float
    id_dropout: float
    time_bias: bool
    place_bias: bool
    recency: bool
    item_age: bool
    rating: bool

    def __post_init__(self) -> None:
        one_of(self, encoder=ENCODERS, dynamic=DYNAMICS, head=HEADS, loss=LOSSES)
        if self.embedding % self.heads:
            raise ValueError("embedding must be a multiple of heads")
        if min(self.layers, self.dynamic_layers, self.max_length) < 1 or self.temperature <= 0:
            raise ValueError("layers, dynamic_layers and max_length must be at least 1, temperature above 0")


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How a sequence model is trained, and on what."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    gradient_norm: float
    patience: int
    seed: int
    ensemble: int
    target: str
    horizon_days: float
    query: str
    positions: int
    long_histories: str
    bucketed: bool
    augment: float
    augment_share: float
    adversarial_epsilon: float
    negatives: int
    negatives_power: float
    softmax_items: int
    rating_weight: float
    mixed_precision: bool
    report_batches: int
    history_length: int
    validation_quantile: float
    validation_users: int
    rows_per_part: int
    shards: int

    def __post_init__(self) -> None:
        one_of(self, target=("next", "window"), query=("event", "night"), long_histories=("latest", "segments"))
        counts = ("epochs", "batch_size", "ensemble", "negatives", "report_batches", "history_length")
        counts = (*counts, "rows_per_part", "shards")
        if min(getattr(self, name) for name in counts) < 1:
            raise ValueError(f"{', '.join(counts)} must be at least 1")
        if self.learning_rate <= 0 or self.horizon_days <= 0:
            raise ValueError("learning_rate and horizon_days must be above 0")
        if not (0 <= self.augment <= 1 and 0 < self.augment_share < 1 and 0 < self.validation_quantile < 1):
            raise ValueError("augment must be in [0, 1], augment_share and validation_quantile in (0, 1)")
