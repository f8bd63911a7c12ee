"""A sequence model on its way to executors: bytes that a broadcast carries, loaded once in each process. No Spark."""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from interest_model.interest.model import Ensemble, SequenceModel, from_parts, frozen, to_parts

_LOADED: dict[tuple[str, str], SequenceModel] = {}
_DIGEST, _LENGTH = 64, 8  # bytes at the head of a packed model: its digest, the length of its settings


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


def packed(model: SequenceModel) -> np.ndarray:
    """(b,) uint8: the frozen model (see model.frozen) in one array, such as for a table of arrays."""
    sent = shipped(frozen(model))
    settings = sent.settings.encode()
    parts = sent.digest.encode(), len(settings).to_bytes(_LENGTH, "little"), settings, sent.weights
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


def packed_here(data: np.ndarray, device: str = "cpu") -> SequenceModel:
    """The model of `packed` on this process's device, see model_here."""
    digest, start = data[:_DIGEST].tobytes().decode(), _DIGEST + _LENGTH
    if (digest, device) in _LOADED:
        return _LOADED[digest, device]
    end = start + int.from_bytes(data[_DIGEST:start].tobytes(), "little")
    return model_here(Shipped(data[start:end].tobytes().decode(), data[end:].tobytes(), digest), device)


@torch.no_grad()
def item_cosines(data: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(k,) cosines of the item vectors at catalogue positions left and right (k,) of a packed model; of an ensemble the
    mean over its members."""
    model = packed_here(data)
    members = model.members if isinstance(model, Ensemble) else [model]
    found = np.zeros(len(left))
    for one in members:
        vectors = F.normalize(one.tower.ids.weight, dim=-1).numpy()
        found += np.einsum("kd,kd->k", vectors[left], vectors[right]) / len(members)
    return found
