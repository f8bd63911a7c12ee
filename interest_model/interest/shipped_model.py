"""A sequence model on its way to executors: bytes that a broadcast carries, loaded once in each process. No Spark."""

import hashlib
from typing import NamedTuple

from interest_model.interest.model import SequenceModel, from_parts, to_parts

_LOADED: dict[tuple[str, str], SequenceModel] = {}


class Shipped(NamedTuple):
    """settings: JSON; weights: safetensors of weights and catalogue; digest: sha2-256 of both."""

    settings: str
    weights: bytes
    digest: str


def shipped(model: SequenceModel) -> Shipped:
    """The model as plain text and bytes: nothing of it is unpickled on the other side."""
    settings, weights = to_parts(model)
    return Shipped(settings, weights, hashlib.sha256(settings.encode() + weights).hexdigest())


def model_here(sent: Shipped, device: str = "cpu") -> SequenceModel:
    """The model on this process's device, ready to score: loaded by the first call, kept until another one comes."""
    key = sent.digest, device
    if key not in _LOADED:
        _LOADED.clear()  # a worker serves many nights: one model at a time in its memory
        _LOADED[key] = from_parts(sent.settings, sent.weights).to(device)
    return _LOADED[key]
