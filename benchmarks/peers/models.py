"""Peers: cheap models and other libraries' models, each with a search on an inner validation slice, then refitted.

    python benchmarks/peers/models.py FOLDER [NAME ...]      in the environment that `make peers` builds

FOLDER is what `jobs/backtest.py --split FOLDER` wrote (see interest_model/evaluation/peers.py), or the folder of a
replay's nights: then settings are searched on the first night and every SEARCH_NIGHTS after it, and each night has the
peers refitted with the latest. The inner slice holds the last tenth of the known events by time; a setting is chosen by
NDCG@10 there, on at most 2,000 users, and the model refitted on all that is known. RecTools' SASRec and Spark's ALS
have files of their own: sasrec.py and spark_als.py.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import blend  # the file beside this one
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import scipy.sparse as sp

SEARCH_NIGHTS = 10
INNER_SHARE = 0.1
INNER_USERS = 2_000
SEED = 7
CHUNK = 1_024


class Log(NamedTuple):
    """Known events in time order: users, items (positions), days; n_users, n_items; at_day: when lists are made."""

    users: np.ndarray
    items: np.ndarray
    days: np.ndarray
    n_users: int
    n_items: int
    at_day: float

    def matrix(self, values: np.ndarray | None = None) -> sp.csr_matrix:
        """(n_users, n_items) sums of values, one per event (default: 1 however often)."""
        entries = np.ones(len(self.users)) if values is None else values
        found = sp.csr_matrix((entries.astype(np.float32), (self.users, self.items)), (self.n_users, self.n_items))
        found.sum_duplicates()
        if values is None:
            found.data[:] = 1.0
        return found

    def faded(self, half_life: float) -> np.ndarray:
        """(e,) 0.5 ** (age / half life) of each event; ages are counted from the user's own latest event: from when
        lists are made on, all that somebody long away did would vanish."""
        newest = np.full(self.n_users, -np.inf)
        np.maximum.at(newest, self.users, self.days)
        return 0.5 ** ((newest[self.users] - self.days) / half_life)


def read_log(folder: Path) -> tuple[Log, np.ndarray, np.ndarray, dict]:
    """The log, user ids by position, positions of the users to list for, and split.json."""
    facts = json.loads((folder / "split.json").read_text())
    rows = ds.dataset(folder / "histories", exclude_invalid_files=True).to_table().sort_by("user_id").combine_chunks()
    names = np.asarray(rows.column("user_id").to_pylist(), dtype=object)
    lists = rows.column("items").combine_chunks()
    users = np.repeat(np.arange(len(names)), np.asarray(lists.value_lengths()))
    items, days = np.asarray(lists.flatten()), np.asarray(rows.column("days").combine_chunks().flatten())
    order = np.argsort(days, kind="stable")
    log = Log(users[order], items[order], days[order], len(names), facts["n_items"], facts["at_day"])
    wanted = ds.dataset(folder / "truth", exclude_invalid_files=True).to_table(columns=["user_id"])
    place = {name: position for position, name in enumerate(names)}
    queried = sorted(place[one] for one in wanted.column("user_id").to_pylist() if one in place)
    return log, names, np.array(queried, dtype=np.int64), facts


def inner_split(log: Log) -> tuple[Log, np.ndarray, sp.csr_matrix]:
    """The log before its last INNER_SHARE of events, users with history who acted after, and what they took then."""
    cut = log.days[int((1 - INNER_SHARE) * len(log.days))]
    before = log.days < cut
    train = log._replace(users=log.users[before], items=log.items[before], days=log.days[before], at_day=cut)
    after = log._replace(users=log.users[~before], items=log.items[~before], days=log.days[~before]).matrix()
    both = np.flatnonzero((np.diff(after.indptr) > 0) & (np.bincount(train.users, minlength=log.n_users) > 0))
    chosen = np.sort(np.random.default_rng(SEED).permutation(both)[:INNER_USERS])
    return train, chosen, after


def top_lists(scores: np.ndarray, seen: sp.csr_matrix | None, length: int) -> np.ndarray:
    """(u, length) best items of dense scores (u, n); seen ones and -inf left out (-1); ties to the smaller item."""
    scores = scores.astype(np.float64, copy=True)
    if seen is not None:
        scores[seen.nonzero()] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :length]
    return np.where(np.take_along_axis(scores, best, axis=1) > -np.inf, best, -1)


def ndcg(lists: np.ndarray, truth: sp.csr_matrix) -> float:
    """Mean NDCG@10 over users with truth."""
    gains = 1.0 / np.log2(np.arange(2, 12))
    lists = np.pad(lists[:, :10], [(0, 0), (0, max(10 - lists.shape[1], 0))], constant_values=-1)
    hits = np.array([np.isin(row, truth[k].indices) & (row >= 0) for k, row in enumerate(lists)])
    counts = np.minimum(np.diff(truth.indptr), 10)
    judged = counts > 0
    return float((hits[judged] @ gains / np.cumsum(gains)[counts[judged] - 1]).mean()) if judged.any() else 0.0


def to_find(log: Log, truth: sp.csr_matrix, users: np.ndarray, variant: str) -> sp.csr_matrix:
    """(u, n_items) rows of truth (n_users, n_items): what the users' lists should hold; novel: nothing of the log."""
    found = truth[users] if variant == "repeat" else truth[users] - truth[users].multiply(log.matrix()[users])
    found = found.tocsr()
    found.eliminate_zeros()
    return found


def write_lists(file: Path, user_ids: np.ndarray, lists: np.ndarray) -> None:
    """The file of lists (u, length), -1 for none, that interest_model/evaluation/peers.py judges."""
    listed = pa.array([row[row >= 0].tolist() for row in lists], pa.list_(pa.int32()))
    file.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"user_id": pa.array(user_ids.tolist(), pa.string()), "listed": listed}), file)


def in_chunks(score, log: Log, users: np.ndarray, variant: str, length: int) -> np.ndarray:
    """Lists for users from score(users) -> dense (u, n_items)."""
    seen = log.matrix() if variant == "novel" else None
    parts = []
    for start in range(0, len(users), CHUNK):
        some = users[start : start + CHUNK]
        parts.append(top_lists(score(some), None if seen is None else seen[some], length))
    return np.concatenate(parts) if parts else np.zeros((0, length), dtype=np.int64)


# A peer: a grid of settings, and fit(log, setting) -> score(users)


def decayed(log: Log, half_life: float) -> np.ndarray:
    return np.bincount(log.items, 0.5 ** ((log.at_day - log.days) / half_life), log.n_items)


def same_for_all(values: np.ndarray):
    return lambda users: np.tile(np.where(values > 0, values, -np.inf), (len(users), 1))


def popular(log: Log, setting: None):
    return same_for_all(np.bincount(log.items, minlength=log.n_items).astype(float))


def popular_7_days(log: Log, setting: None):
    return same_for_all(np.bincount(log.items[log.days >= log.at_day - 7], minlength=log.n_items).astype(float))


def popularity_decay(log: Log, half_life: float):
    return same_for_all(decayed(log, half_life))


def _own(log: Log, values: np.ndarray):
    """Own items by `values`, then, below them all, everything by popularity."""
    matrix, filler = log.matrix(np.maximum(values, 1e-12)), decayed(log, 28.0)
    filler = 1e-13 * filler / max(filler.max(), 1e-30)
    return lambda users: matrix[users].toarray().astype(np.float64) + filler


def own_most_frequent(log: Log, setting: None):
    return _own(log, np.ones(len(log.users)))


def own_most_recent(log: Log, half_life: float):
    return _own(log, log.faded(half_life))


def item_knn(log: Log, setting: tuple[str, int, bool]):
    """An item is a neighbour of its own: where lists may hold seen items, most that is taken is seen."""
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    kind, neighbours, counted = setting
    made = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}[kind](K=neighbours)
    matrix = log.matrix(np.ones(len(log.users)) if counted else None)
    made.fit(matrix, show_progress=False)
    similarity = made.similarity.tocsr()
    return lambda users: (matrix[users] @ similarity).toarray()


def ease(log: Log, l2: float):
    """EASE (Steck 2019) on the most used items: dense, so at most MOST of them, as RecTools' own does on all."""
    most = 6_000
    counts = np.bincount(log.items, minlength=log.n_items)
    head = np.sort(np.argsort(-counts, kind="stable")[:most])
    matrix = log.matrix()[:, head]
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += l2
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)

    def score(users):
        found = np.full((len(users), log.n_items), -np.inf)
        found[:, head] = matrix[users] @ weights
        return found

    return score


def implicit_als(log: Log, setting: tuple[int, float, float]):
    from implicit.als import AlternatingLeastSquares

    factors, regularization, alpha = setting
    made = AlternatingLeastSquares(
        factors=factors, regularization=regularization, alpha=alpha, iterations=15, random_state=SEED, num_threads=2
    )
    made.fit(log.matrix(np.ones(len(log.users))), show_progress=False)
    return lambda users: made.user_factors[users] @ made.item_factors.T


PEERS = {
    "popular": (popular, [None]),
    "popular_7_days_peer": (popular_7_days, [None]),
    "popularity_decay": (popularity_decay, [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 14.0, 28.0, 56.0]),
    "own_most_frequent": (own_most_frequent, [None]),
    "own_most_recent": (own_most_recent, [1.0, 7.0, 28.0, 112.0, 448.0]),
    "item_knn": (
        item_knn,
        [(kind, k, counted) for kind in ("cosine", "tfidf", "bm25") for k in (50, 200) for counted in (False, True)],
    ),
    "ease_peer": (ease, [50.0, 200.0, 800.0]),
    "implicit_als": (implicit_als, [(f, r, a) for f in (32, 64, 128) for r in (0.01, 0.1) for a in (1.0, 10.0)]),
}
BLENDED = {name: PEERS[name] for name in ("popularity_decay", "ease_peer")} | {
    "transitions": (
        blend.transitions,
        [(whole, own) for whole in (7.0, 56.0, 224.0) for own in (0.1, 1.0, 7.0, 28.0, 112.0, 448.0)],
    )
}
BLEND = "blend_peer"  # all of BLENDED together; where lists may hold seen items, the user's own ones as well


def choose(name: str, inner: Log, users: np.ndarray, variant: str, wanted: sp.csr_matrix):
    """(fit, chosen setting, its NDCG@10) of a peer on the inner slice; zero where there is nothing to choose, or nobody
    to choose it by: then the first of its grid."""
    if name == BLEND:
        members = BLENDED | ({"own": PEERS["own_most_recent"]} if variant == "repeat" else {})
        made = partial(blend.fit, [fit for fit, _ in members.values()])
        if not len(users):
            return made, blend.Blend(tuple(grid[0] for _, grid in members.values()), (1.0,) * len(members)), 0.0
        seen = inner.matrix() if variant == "novel" else None
        return made, *blend.search(inner, members, users, seen, lambda lists: ndcg(lists, wanted))
    fit, grid = PEERS[name]
    if len(grid) == 1 or not len(users):
        return fit, grid[0], 0.0
    figures = [ndcg(in_chunks(fit(inner, one), inner, users, variant, 10), wanted) for one in grid]
    return fit, grid[int(np.argmax(figures))], max(figures)


def settings_of(name: str, log: Log, facts: dict) -> dict[str, tuple]:
    """Variant to (fit, chosen setting, its NDCG@10 on the inner slice)."""
    inner, users, truth = inner_split(log)
    # where seen items are left out nothing of one's own is left
    variants = [one for one in facts["variants"] if one == "repeat" or not name.startswith("own")]
    return {one: choose(name, inner, users, one, to_find(inner, truth, users, one)) for one in variants}


def nights_of(folder: Path) -> list[Path]:
    """The folders of splits, oldest first: itself, or those in it."""
    return [folder] if (folder / "split.json").exists() else sorted(one.parent for one in folder.glob("*/split.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=[*PEERS, BLEND])
    options = parser.parse_args()
    nights, chosen = nights_of(options.folder), {}
    if not nights:
        parser.error(f"no split.json in {options.folder} or its folders: write it with jobs/backtest.py --split")
    for night, folder in enumerate(nights):
        log, names, queried, facts = read_log(folder)
        for name in options.names:
            start = time.monotonic()
            if night % SEARCH_NIGHTS == 0:
                chosen[name] = settings_of(name, log, facts)
            for variant, (fit, best, figure) in chosen[name].items():
                lists = in_chunks(fit(log, best), log, queried, variant, facts["length"])
                write_lists(folder / "lists" / f"{name}-{variant}.parquet", names[queried], lists)
                seconds = time.monotonic() - start
                print(
                    f"{folder.name} {name} {variant}: {best}, inner NDCG@10 {figure:.4f}, {seconds:.0f} s", flush=True
                )


if __name__ == "__main__":
    main()
