"""A sequence model's states of users, moved to a time: what table user_vectors holds. torch, no Spark."""

import numpy as np
import torch

from interest_model.interest.model import SequenceModel
from interest_model.recommend.histories import Histories
from interest_model.training.batches import Sequences, scoring_batches

_USERS_AT_ONCE = 256  # x max_length states and attention weights in memory


@torch.no_grad()
def vectors(
    model: SequenceModel, histories: Histories, at_days: np.ndarray | float, days_ahead: tuple[float, ...]
) -> np.ndarray:
    """(u, h, model.width) float32: u_D(x, t) of every user at t = at_days + each of days_ahead, where the model lies.

    histories (u users): items are positions in the model's catalogue; the latest max_length events are read. at_days:
    days since 1970-01-01 UTC, (u,) or one for all; days_ahead (h,): days, h at least one. Of unit length where the head
    scores by cosine (dot), else as the head reads it; an ensemble's are its members' side by side, see its
    user_vectors. A user without events gets zeros. Users of like length are computed together: others in the batch
    change only the last digits (below 1e-5). Raises ValueError for a time before an event of the user.
    """
    device = model.tower.unknown.device
    found = np.zeros((histories.n_users, len(days_ahead), model.width), dtype=np.float32)
    for users, one in scoring_batches(Sequences(histories), model.settings.max_length, _USERS_AT_ONCE, at_days):
        batch = one.to(device)
        states, now = model.encode(batch), batch.query_days.flatten()[batch.positions]
        moved = torch.stack([model.at(states, batch, now + days) for days in days_ahead], dim=1).float()
        found[users] = model.user_vectors(moved).cpu().numpy()
    return found
