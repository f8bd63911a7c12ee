"""Lists of a sequence model and what they were worth: NDCG of every user. torch and numpy, no Spark."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interest_model.config import METRICS_AT
from interest_model.evaluation import metrics
from interest_model.interest.model import SequenceModel
from interest_model.recommend.histories import Histories, keep, picked, take
from interest_model.recommend.popularity import ItemCounts, decayed
from interest_model.training.batches import Sequences, scoring_batches

CUTOFF = METRICS_AT  # validation and promotion judge the first ten
_USERS_AT_ONCE = 256  # x items scores in memory


class Cases(NamedTuple):
    """Users to judge: sequences as known before at_day (days since 1970-01-01 UTC), when lists are made.

    truth_rows, truth_items (t,): distinct pairs of user position and catalogue position, or n_items and more for items
    that the catalogue does not know. repeats: people come back to items, so nothing is taken out of lists and truth.
    """

    sequences: Sequences
    truth_rows: np.ndarray
    truth_items: np.ndarray
    at_day: float
    repeats: bool


def cases_after(sequences: Sequences, cut: float, repeats: bool, most: int, seed: int) -> Cases:
    """Users with events before the cut and something to find after it; at most `most` of them, drawn by seed.

    Found are positive events, as those that a promotion is judged by.
    """
    whole, positive = sequences.histories, sequences.positive
    early = whole.days < cut
    later = ~early if positive is None else ~early & positive
    both = np.intersect1d(whole.rows[later], whole.rows[early])
    chosen = np.sort(np.random.default_rng(seed).permutation(both)[:most])
    place = np.full(whole.n_users, -1)
    place[chosen] = np.arange(len(chosen))
    kept = later & (place[whole.rows] >= 0)
    pairs = np.unique(np.stack([place[whole.rows[kept]], whole.items[kept]]).astype(np.int64), axis=1)
    known = before(sequences, cut)
    kept = place[known.histories.rows] >= 0
    own = Sequences(take(known.histories, chosen), picked(known.values, kept), picked(known.positive, kept))
    return Cases(own, pairs[0], pairs[1], cut, repeats)


def before(sequences: Sequences, cut: float) -> Sequences:
    """The same users with only what happened before the cut."""
    histories, values, positive = sequences
    early = histories.days < cut
    return Sequences(keep(histories, early), picked(values, early), picked(positive, early))


def model_lists(model: SequenceModel, cases: Cases, length: int) -> np.ndarray:
    """(u, length) int64 catalogue positions, best first, -1 where nothing is left; ties go to the smaller position."""
    return scored_lists(model, cases, length)[0]


@torch.no_grad()
def scored_lists(model: SequenceModel, cases: Cases, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The model's lists and their scores (u, length) float32, -inf where a list has ended."""
    device, histories = model.tower.unknown.device, cases.sequences.histories
    lists, values = _empty(histories.n_users, length)
    batches = scoring_batches(cases.sequences, model.settings.max_length, _USERS_AT_ONCE, cases.at_day)
    for users, one in batches:
        batch = one.to(device)
        scores = model.score(model(batch), None, batch.query_days.flatten()[batch.positions]).float().cpu()
        lists[users], values[users] = _best(scores, take(histories, users), length, cases.repeats)
    return lists, values


def same_lists(scores: np.ndarray, cases: Cases, length: int) -> np.ndarray:
    """(u, length) as `model_lists`, from one score (n,) of each item for everybody, such as its popularity."""
    histories = cases.sequences.histories
    lists, _ = _empty(histories.n_users, length)
    for start in range(0, histories.n_users, _USERS_AT_ONCE):
        users = np.arange(start, min(start + _USERS_AT_ONCE, histories.n_users))
        everybody = torch.from_numpy(scores).float().expand(len(users), -1)
        lists[users], _ = _best(everybody, take(histories, users), length, cases.repeats)
    return lists


def _empty(n_users: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((n_users, length), -1, dtype=np.int64), np.full((n_users, length), -np.inf, dtype=np.float32)


def _best(scores: Tensor, histories: Histories, length: int, repeats: bool) -> tuple[np.ndarray, np.ndarray]:
    if not repeats:
        scores = scores.clone()
        scores[torch.from_numpy(histories.rows), torch.from_numpy(histories.items).long()] = -torch.inf
    best, items = (one.numpy() for one in best_of(scores, length))
    short = ((0, 0), (0, length - items.shape[1]))
    lists = np.pad(np.where(best > -np.inf, items, -1), short, constant_values=-1)
    return lists, np.pad(best, short, constant_values=-np.inf)


def best_of(scores: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The `length` best scores of each row of (b, n), best first, and their positions: (b, min(length, n)) both.

    Ties go to the smaller position. A score that is no number counts as minus infinity.
    """
    scores = torch.where(scores.isnan(), -torch.inf, scores)
    length = min(length, scores.shape[1])
    bar = scores.topk(length, dim=1).values[:, -1:]
    above, tied = scores > bar, scores == bar
    kept = above | (tied & (tied.cumsum(dim=1) <= length - above.sum(dim=1, keepdim=True)))
    items = kept.nonzero()[:, 1].view(len(scores), length)  # ascending: a stable sort leaves ties in order of position
    best, order = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
    return best, items.gather(1, order)


def ndcg(lists: np.ndarray, cases: Cases, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """NDCG (j,) at the lists' length, and positions (j,) of the users that have something to find."""
    histories, width, k = cases.sequences.histories, n_items + metrics.UNKNOWN_ITEMS, lists.shape[1]
    wanted = np.unique(cases.truth_rows * width + cases.truth_items)
    if not cases.repeats:
        wanted = np.setdiff1d(wanted, histories.rows * width + histories.items)
    n_truth = np.bincount(wanted // width, minlength=histories.n_users)
    judged = np.flatnonzero(n_truth > 0)
    hits = np.isin(judged[:, None] * width + lists[judged], wanted) & (lists[judged] >= 0)
    return metrics.ndcg(hits, n_truth[judged], k), judged


def best_popularity(
    counts: ItemCounts, past: Cases, n_items: int, at_day: float, half_lives: tuple[float, ...]
) -> np.ndarray:
    """(n_items,) decayed popularity at at_day, with the half life (days) whose lists served `past` best at its time."""
    found = []
    for half_life in half_lives:
        scores = decayed(counts, n_items, past.at_day, (half_life,))[:, 0]
        found.append(ndcg(same_lists(scores, past, CUTOFF), past, n_items)[0].sum())
    best = half_lives[int(np.argmax(found))]
    return decayed(counts, n_items, at_day, (best,))[:, 0]
