"""Weights of the blend, learned on past nights by the figure that judges it. No Spark."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from interest_model.recommend.blend import MEMBERS, PERSONAL_MEMBERS
from interest_model.recommend.features import FEATURES

_CUTOFF = 10
_STEPS = np.array([0.0, 0.4, 0.7, 1.4, 2.5])  # what a weight is multiplied by when it is tried
_ROUNDS = 3


class TuningSet(NamedTuple):
    """g user-nights with up to c candidates each. nights (g,): days since epoch; popularity (g, c, h), youth (g, c),
    personal (g, c, 6), pairs (g, c, F) float32; hits, seen, real (g, c) bool, real marks true candidates; n_novel,
    n_repeat (g,) items of the days after."""

    nights: np.ndarray
    popularity: np.ndarray
    youth: np.ndarray
    personal: np.ndarray
    pairs: np.ndarray
    hits: np.ndarray
    seen: np.ndarray
    real: np.ndarray
    n_novel: np.ndarray
    n_repeat: np.ndarray

    def candidates(self, repeats: bool) -> np.ndarray:
        """(g, c) bool: what may be listed. Where seen items are left out, the user's own are no candidates."""
        return self.real if repeats else self.real & ~self.seen


class Blend(NamedTuple):
    """One variant's blend: half_lives (3,): indices into the searched half lives of popularity, trend and slow; scales,
    weights (M,); repeats: whether lists may hold seen items."""

    half_lives: np.ndarray
    scales: np.ndarray
    weights: np.ndarray
    repeats: bool

    def scores(self, tuning: TuningSet) -> np.ndarray:
        """(g, c) of all candidates."""
        return member_features(tuning, self.half_lives) / self.scales @ self.weights


class Learned(NamedTuple):
    """half_lives (3,): indices into the searched half lives of popularity, trend and slow; scales, weights_* (M,)."""

    half_lives: np.ndarray
    scales: np.ndarray
    weights_novel: np.ndarray
    weights_repeat: np.ndarray

    @property
    def novel(self) -> Blend:
        return Blend(self.half_lives, self.scales, self.weights_novel, False)

    @property
    def repeat(self) -> Blend:
        return Blend(self.half_lives, self.scales, self.weights_repeat, True)


def from_rows(rows: pa.Table, n_half_lives: int) -> TuningSet:
    """Tuning rows (see candidates.tuning_rows) padded to equal length; rows are ordered by (night, user_id) first."""
    rows = rows.sort_by([("night", "ascending"), ("user_id", "ascending")])
    width = n_half_lives + 1 + len(PERSONAL_MEMBERS)
    hits = [np.frombuffer(one, "u1") for one in rows.column("hits").to_pylist()]
    lengths = np.array([len(one) for one in hits], dtype=np.int64)
    real = np.arange(lengths.max(initial=1))[None, :] < lengths[:, None]
    features, pairs = _padded(rows.column("features"), real, width), _padded(rows.column("pairs"), real, len(FEATURES))
    flags = np.zeros((2, *real.shape), dtype=bool)
    flags[0][real] = np.concatenate([*hits, np.zeros(0, "u1")]).astype(bool)
    flags[1][real] = np.frombuffer(b"".join(rows.column("seen").to_pylist()), "u1").astype(bool)
    counts = [np.asarray(rows.column(name)).astype(np.int64) for name in ("n_novel", "n_repeat")]
    h = n_half_lives
    nights = np.asarray(rows.column("night"))
    return TuningSet(
        nights, features[..., :h], features[..., h], features[..., h + 1 :], pairs, flags[0], flags[1], real, *counts
    )


def _padded(column: pa.ChunkedArray, real: np.ndarray, width: int) -> np.ndarray:
    """(g, c, width) float32 from the bytes of each user-night; zero where there is no candidate."""
    values = np.zeros((*real.shape, width), dtype=np.float32)
    values[real] = np.frombuffer(b"".join(column.to_pylist()), "<f4").reshape(-1, width)
    return values


class Judge:
    """NDCG@10 of any score over one variant of a tuning set: novel leaves seen items out of lists and truth."""

    def __init__(self, tuning: TuningSet, repeats: bool):
        allowed = tuning.candidates(repeats)
        wanted = tuning.n_repeat if repeats else tuning.n_novel
        self.users = np.flatnonzero(wanted > 0)
        self.allowed = allowed[self.users]
        gains = 1.0 / np.log2(np.arange(2, _CUTOFF + 2))
        self.ideal = np.cumsum(gains)[np.minimum(wanted[self.users], _CUTOFF) - 1]
        self.group, self.place = np.nonzero((tuning.hits & allowed)[self.users])

    def values(self, scores: np.ndarray) -> np.ndarray:
        """(j,) NDCG@10 of each judged user-night; scores (j, c). A tie stands at its best rank plus half the tied
        others."""
        own = scores[self.group, self.place][:, None]
        rival = np.where(self.allowed, scores, -np.inf)[self.group]
        rank = 1.0 + (rival > own).sum(axis=1) + 0.5 * ((rival == own).sum(axis=1) - 1)
        gains = np.where(rank <= _CUTOFF, 1.0 / np.log2(rank + 1.0), 0.0)
        return np.bincount(self.group, gains, len(self.users)) / self.ideal


def learn(tuning: TuningSet, priors: np.ndarray, shrinkage: float, repeats: bool) -> Learned:
    """Half lives, scales and weights from a tuning set.

    priors (p, M): weights to start from and shrink to; the one that leads to the best objective is followed, because
    logs fall into kinds (a moving catalogue, a shop) and no single prior suits all. repeats: the domain's own variant,
    by which the half life of popularity is chosen: the one whose list alone has the best NDCG@10; trend is about a
    quarter of it, slow about four times. With an empty set the first prior and the middle half life stand.
    """
    judge = Judge(tuning, repeats)
    best = _best_half_life(tuning, judge)
    n = tuning.popularity.shape[2]
    chosen = np.array([best, max(best - 2, 0), min(best + 2, n - 1)])
    features = member_features(tuning, chosen)
    scales = _scales(features, tuning.real)
    features /= scales.astype(np.float32)
    novel = _best_climb(features, Judge(tuning, False), _without_own(priors), shrinkage)
    again = _best_climb(features, Judge(tuning, True), priors, shrinkage) if repeats else novel
    return Learned(chosen, scales, novel, again)


def _best_climb(features: np.ndarray, judge: Judge, priors: np.ndarray, shrinkage: float) -> np.ndarray:
    found = [_climb(features, judge, prior / prior.sum(), shrinkage) for prior in priors]
    return found[int(np.argmax([np.round(objective, 9) for _, objective in found]))][0]


def _without_own(priors: np.ndarray) -> np.ndarray:
    """The priors with nothing for the user's own items, which the novel variant leaves out of lists."""
    return np.where([name.startswith("own") for name in MEMBERS], 0.0, priors)


def member_features(tuning: TuningSet, chosen: np.ndarray) -> np.ndarray:
    """(g, c, M) float32 raw scores in MEMBERS order for the chosen half lives (3,)."""
    popularity, trend, slow = (tuning.popularity[..., column] for column in chosen)
    common = np.stack([popularity, trend, slow, popularity * tuning.youth], axis=-1)
    return np.concatenate([common, tuning.personal], axis=-1)


def _best_half_life(tuning: TuningSet, judge: Judge) -> int:
    figures = [judge.values(tuning.popularity[judge.users, :, k]).sum() for k in range(tuning.popularity.shape[2])]
    if not len(judge.users):
        return len(figures) // 2
    return int(np.argmax(np.round(figures, 9)))


def _scales(features: np.ndarray, real: np.ndarray) -> np.ndarray:
    """(M,) mean over user-nights of each member's best score; one where a member never scored."""
    if not len(features):
        return np.ones(len(MEMBERS))
    best = np.where(real[..., None], features, 0.0).max(axis=1).astype(np.float64).mean(axis=0)
    return np.where(best > 1e-12, best, 1.0)


def _climb(features: np.ndarray, judge: Judge, prior: np.ndarray, shrinkage: float) -> tuple[np.ndarray, float]:
    """(M,) weights by coordinate search from the prior, one weight at a time, until no step helps; and the objective.

    A step must pay: the objective is the mean NDCG@10 minus shrinkage / sqrt(user-nights) times the mean squared log
    ratio to the prior, so that few user-nights keep the weights near it. Members without a prior stay at zero.
    """
    weights = prior.copy()
    if not len(judge.users):
        return weights, 0.0
    features = features[judge.users]
    fade = shrinkage / np.sqrt(len(judge.users))
    scores = features @ weights.astype(np.float32)
    best = judge.values(scores).mean()
    for _ in range(_ROUNDS):
        before = best
        for m in np.flatnonzero(prior):
            tried = weights[m] * _STEPS
            figures = [_objective(features, judge, (weights, scores), (m, value), prior, fade) for value in tried]
            at = int(np.argmax(np.round(figures, 9)))
            if figures[at] > best + 1e-9:
                scores = scores + features[..., m] * np.float32(tried[at] - weights[m])
                weights[m], best = tried[at], figures[at]
        if best == before:
            break
    return weights / weights.sum(), float(best)


def _objective(features, judge: Judge, state, change, prior: np.ndarray, fade: float) -> float:
    """The objective with one weight changed; state: weights (M,), their scores (j, c); change: member, new weight."""
    (weights, scores), (m, value) = state, change
    changed = weights.copy()
    changed[m] = value
    proposal = scores + features[..., m] * np.float32(value - weights[m])
    return judge.values(proposal).mean() - fade * _distance(changed, prior)


def _distance(weights: np.ndarray, prior: np.ndarray) -> float:
    """Mean squared log ratio to the prior, both with a floor of a tenth of the prior so that zero is finite."""
    used = prior > 0
    scaled, target = weights[used] / weights.sum(), prior[used] / prior.sum()
    return float(np.mean(np.log((scaled + 0.1 * target) / (1.1 * target)) ** 2))
