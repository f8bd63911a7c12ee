"""What a sequence model says of items, on one scale for every head: a member of the ranker. torch and numpy, no Spark.

A score is exp(s - max s), s being the head's scores of a user for the whole catalogue: the softmax probability of the
item over that of the user's best item, in (0, 1]. For a cosine head s is cosine / temperature.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from interest_model.interest.model import SequenceModel
from interest_model.recommend.histories import Histories
from interest_model.training.batches import Sequences, scoring_batches
from interest_model.training.ranking import best_of

_CELLS_AT_ONCE = 2**24  # users x items scored at once: 64 MiB for each copy
_MOST_USERS = 256
_SMALLEST = float(np.finfo(np.float32).tiny)  # a score is above zero however far behind the best it lies


def neural_scores(model: SequenceModel, histories: Histories, at_day: float, length: int) -> sp.csr_matrix:
    """(n_users, n_items) float32 CSR: scores of each user's `length` best items at at_day, columns ascending.

    histories: items are positions in the model's catalogue; at_day: days since 1970-01-01 UTC, not before any event
    (else ValueError). Seen items are not left out. Ties go to the smaller position. A user without events has an empty
    row.
    """
    width = min(length, model.tower.n_items)
    shape = histories.n_users, model.tower.n_items
    columns, values = np.zeros((shape[0], width), np.int64), np.zeros((shape[0], width), np.float32)
    for users, scores in _batches(model, histories, at_day):
        best, items = best_of(scores, width)
        items, order = items.sort(dim=1)
        columns[users], values[users] = items.numpy(), best.gather(1, order).numpy()
    known = histories.lengths > 0
    indptr = np.concatenate([[0], np.cumsum(known * width)])
    return sp.csr_matrix((values[known].ravel(), columns[known].ravel(), indptr), shape)


@torch.no_grad()
def _batches(model: SequenceModel, histories: Histories, at_day: float) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Users (b,) and their scores (b, n_items) float32 on the CPU."""
    device = model.tower.unknown.device
    size = max(1, min(_MOST_USERS, _CELLS_AT_ONCE // max(model.tower.n_items, 1)))
    for users, one in scoring_batches(Sequences(histories), model.settings.max_length, size, at_day):
        batch = one.to(device)
        scores = model.score(model(batch), None, batch.query_days.flatten()[batch.positions]).float()
        yield users, (scores - scores.amax(dim=1, keepdim=True)).exp().clamp(min=_SMALLEST).cpu()
