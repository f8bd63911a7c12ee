"""Gradient-boosted trees over the features of a user and a candidate: the chance that it is taken. LightGBM, no Spark.

Several forests, alike but for what is drawn for each (misses, and the features of each tree), speak as one: which
features the first trees happen to draw decides more of the order than is right. Trees travel as LightGBM's own text, in
bytes: readable, versioned by content, and nothing in it is run.
"""

import functools

import lightgbm as lgb
import numpy as np
import scipy.special

from interest_model.config import Ranker
from interest_model.errors import ConfigError
from interest_model.recommend.features import TREE_FEATURES, ranks_within

_THREADS = 1  # two threads wait for each other where cores are shared, and other counts give other last digits
_BINS = 63  # of a feature; four times as many take longer and rank no better
_ASKED = 30  # of a user's candidates, the best by the first forest, that all forests speak of
_END = "\0"  # between forests; no text holds it
NO_TREES = np.zeros(0, dtype=np.uint8)


def fit(features: np.ndarray, hits: np.ndarray, settings: Ranker) -> np.ndarray:
    """(b,) uint8: boosting_forests times trees as text, from features (k, F), see features.with_blend, and hits (k,)
    bool.

    Each forest learns from all hits and draws boosting_misses misses a hit, each of which counts for those that were
    left out (King and Zeng 2001, "Logistic Regression in Rare Events Data"): the chances stay chances.
    NO_TREES without both kinds of rows. A leaf's Hessian of the log loss, the sum of chance * (1 - chance), is at least
    boosting_leaf_hits: so many expected hits where hits are rare. A bound in rows lets in leaves of one hit where one
    candidate of a hundred is taken.
    """
    if not hits.any() or hits.all():
        return NO_TREES
    parameters = {
        "objective": "binary",
        "learning_rate": settings.boosting_rate,
        "num_leaves": settings.boosting_leaves,
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": settings.boosting_leaf_hits,
        "lambda_l2": settings.boosting_l2,
        "feature_fraction": settings.boosting_feature_share,
        "num_threads": _THREADS,
        "deterministic": True,
        "force_row_wise": True,
        "max_bin": _BINS,
        "verbose": -1,
    }
    share = min(1.0, settings.boosting_misses * np.sum(hits) / np.sum(~hits))
    rows, forests = None, []
    for seed in range(settings.seed, settings.seed + settings.boosting_forests):
        if rows is None or share < 1.0:  # where every miss is kept all forests learn from the same rows
            rows = _rows(features, hits, _drawn(hits, share, seed), settings.boosting_without)
        forests.append(lgb.train(parameters | {"seed": seed}, rows, settings.boosting_rounds))
    return np.frombuffer(_END.join(one.model_to_string() for one in forests).encode(), dtype=np.uint8)


def _drawn(hits: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (r,) of all hits and, by chance, of this share of the misses; weights (r,): how many rows each stands
    for."""
    kept = np.flatnonzero(hits | (np.random.default_rng(seed).random(len(hits)) < share))
    return kept, np.where(hits[kept], 1.0, 1.0 / share)


def _rows(features: np.ndarray, hits: np.ndarray, drawn: tuple, without: tuple[str, ...]) -> lgb.Dataset:
    """What a forest learns from: the rows drawn (see _drawn), with nothing in the columns that trees must not read."""
    kept, weights = drawn
    read = features[kept]
    read[:, columns_of(without)] = 0.0  # LightGBM neither splits by a constant nor draws it
    names = list(TREE_FEATURES)
    return lgb.Dataset(read, hits[kept].astype(np.float32), weight=weights, feature_name=names, free_raw_data=False)


def columns_of(names: tuple[str, ...]) -> list[int]:
    """Where the features of these names stand. ConfigError: no such feature."""
    odd = sorted(set(names) - set(TREE_FEATURES))
    if odd:
        known = ", ".join(TREE_FEATURES)
        raise ConfigError(f"ranker.boosting_without: no features of the trees: {', '.join(odd)}", f"known are: {known}")
    return [TREE_FEATURES.index(name) for name in names]


def chances(trees: np.ndarray, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(k,) chance that the item is taken, by the mean of the forests' log odds; zeros where there are no trees.

    features (k, F) of pairs; rows (k,) the user of each, ascending. What the first forest does not count among a user's
    best _ASKED keeps its word (a cascade, Viola and Jones 2001): far down a list steadiness is not worth its cost.
    """
    if not len(trees) or not len(features):
        return np.zeros(len(features))
    first, *others = _forests(trees.tobytes())
    odds = _odds(first, features)
    if others:
        best = ranks_within(rows, odds) <= _ASKED
        odds[best] = np.mean([odds[best], *(_odds(one, features[best]) for one in others)], axis=0)
    return scipy.special.expit(odds)


def _odds(forest: lgb.Booster, features: np.ndarray) -> np.ndarray:
    # one thread: the executor's tasks share the cores among themselves
    return forest.predict(features, raw_score=True, num_threads=1)


@functools.lru_cache(maxsize=2)
def _forests(text: bytes) -> list[lgb.Booster]:
    return [lgb.Booster(model_str=one) for one in text.decode().split(_END)]
