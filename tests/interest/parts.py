"""Settings of small sequence models, for tests."""

import dataclasses

from interest_model.config import load_settings
from interest_model.model_settings import FitSettings, ModelSettings

_FIXED = {"max_length": 128, "dropout": 0.2, "id_dropout": 0.1}
_QUICK = {"target": "next", "query": "night", "positions": 0, "negatives": 256, "seed": 0, "patience": 3}


def model_settings(encoder="transformer", dynamic="transformer", head="dot", loss="softmax", **more) -> ModelSettings:
    """These kinds of parts; other settings as in conf/base.yaml, but for what tests lean on."""
    kinds = {"encoder": encoder, "dynamic": dynamic, "head": head, "loss": loss}
    return dataclasses.replace(load_settings().model, **(_FIXED | kinds | more))


def fit_settings(**more) -> FitSettings:
    return dataclasses.replace(load_settings().training, **(_QUICK | more))
