"""Gradient-boosted trees over the features of a user and a candidate: the chance that it is taken. LightGBM, no Spark.

Several forests, alike but for the features drawn for each tree, speak as one: which features the first trees happen to
draw decides more of the order than is right. Trees travel as LightGBM's own text, in bytes: readable, versioned by
content, and nothing in it is run.
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
    read = _blank(features, settings.boosting_without)
    rows = lgb.Dataset(read, hits.astype(np.float32), feature_name=list(TREE_FEATURES), free_raw_data=False)
    seeds = [settings.seed + forest for forest in range(settings.boosting_forests)]
    forests = [lgb.train(parameters | {"seed": seed}, rows, settings.boosting_rounds) for seed in seeds]
    return np.frombuffer(_END.join(one.model_to_string() for one in forests).encode(), dtype=np.uint8)


def _blank(features: np.ndarray, without: tuple[str, ...]) -> np.ndarray:
    """The features (k, F) with nothing in the columns that trees must not read: LightGBM neither splits by a constant
    nor draws it. ConfigError: no such feature."""
    odd = sorted(set(without) - set(TREE_FEATURES))
    if odd:
        known = ", ".join(TREE_FEATURES)
        raise ConfigError(f"ranker.boosting_without: no features of the trees: {', '.join(odd)}", f"known are: {known}")
    blank = features.copy() if without else features
    blank[:, [TREE_FEATURES.index(name) for name in without]] = 0.0
    return blank


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
