"""Settings of a sequence model and of its training: sections model and training of conf/base.yaml."""

import dataclasses

from interest_model.yaml_files import RefusedValue, above_zero, at_least, one_of, shares, within

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
        at_least(self, 1, "embedding", "hidden", "layers", "dynamic_layers", "heads", "max_length")
        above_zero(self, "temperature")
        within(self, 0, 0.99, "dropout", "id_dropout")
        if self.embedding % self.heads:
            raise RefusedValue("embedding", f"must be a multiple of heads ({self.heads}), found {self.embedding}")


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
        at_least(self, 1, "epochs", "batch_size", "ensemble", "negatives", "softmax_items", "report_batches")
        at_least(self, 1, "history_length", "validation_users", "rows_per_part", "shards")
        above_zero(self, "learning_rate", "horizon_days", "gradient_norm")
        at_least(self, 0, "seed", "weight_decay", "patience", "positions", "adversarial_epsilon", "negatives_power")
        at_least(self, 0, "rating_weight")
        within(self, 0, 1, "augment")
        shares(self, "augment_share", "validation_quantile")
