"""Run by the environment of `make peers`: RecTools' own figures per user for lists and truth given as JSON.

    python rectools_figures.py IN OUT

IN: cutoffs, n_items, lists and truth (user to items), seen (pairs of user and item before the lists), vectors (one per
item).
OUT: for each cutoff, figure name to {user: value}, users without a value left out; "coverage" to one number.
"""

import json
import sys

import numpy as np
import pandas as pd
from rectools import Columns, metrics
from rectools.metrics.distances import PairwiseDistanceCalculator


class CosineDistance(PairwiseDistanceCalculator):
    def __init__(self, vectors: np.ndarray):
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _get_distances_for_item_pairs(self, items_0, items_1):
        one, other = (self.vectors[np.asarray(items, dtype=int)] for items in (items_0, items_1))
        return 1.0 - (one * other).sum(axis=1)


def pairs(rows: dict[str, list[int]]) -> pd.DataFrame:
    found = [(int(user), item) for user, items in rows.items() for item in items]
    return pd.DataFrame(found, columns=[Columns.User, Columns.Item])


def figures(given: dict, k: int) -> dict:
    truth, reco = pairs(given["truth"]), pairs(given["lists"])
    reco[Columns.Rank] = reco.groupby(Columns.User).cumcount() + 1
    seen = pd.DataFrame(given["seen"], columns=[Columns.User, Columns.Item])
    distance = CosineDistance(np.array(given["vectors"]))
    per_user = {
        "ndcg": metrics.NDCG(k=k, divide_by_achievable=True).calc_per_user(reco, truth),
        "ndcg_of_k": metrics.NDCG(k=k).calc_per_user(reco, truth),
        "recall": metrics.Recall(k=k).calc_per_user(reco, truth),
        "hit_rate": metrics.HitRate(k=k).calc_per_user(reco, truth),
        "mrr": metrics.MRR(k=k).calc_per_user(reco, truth),
        "inverse_user_frequency": metrics.MeanInvUserFreq(k=k).calc_per_user(reco, seen),
        "intra_list_distance": metrics.IntraListDiversity(k=k, distance_calculator=distance).calc_per_user(reco),
    }
    named = {name: {str(user): float(one) for user, one in found.items()} for name, found in per_user.items()}
    return named | {"coverage": metrics.CatalogCoverage(k=k, normalize=True).calc(reco, range(given["n_items"]))}


if __name__ == "__main__":
    with open(sys.argv[1]) as source, open(sys.argv[2], "w") as target:
        asked = json.load(source)
        json.dump({k: figures(asked, k) for k in asked["cutoffs"]}, target)
