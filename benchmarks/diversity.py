"""What diversity costs and gives: NDCG@10 and intra-list distance@10 over strengths, for DPP and MMR.

    python benchmarks/diversity.py FOLDER VECTORS.npy [--days 28]

FOLDER is a split as `jobs/backtest.py --peers` writes it (see interest_model/evaluation/peers.py); its truth is not
read. VECTORS.npy: (n_items, d) float32 item texts by catalogue position, as consumption.item_vectors gives them for the
split's catalogue. Of each variant the night's ranker, without topics, is fitted on what was known `days` days before
the split's at_day; its lists are judged by what users took in those days. Prints, for strengths that are the same for
all and for each user's own, the change of both metrics against the lists as ranked, in percent, with 95% of the paired
difference of NDCG. Then the seconds of one chunk.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from interest_model.config import Ranker, load_settings
from interest_model.evaluation.metrics import intra_list_distance, ndcg
from interest_model.recommend import candidates, diversity, fit, scoring
from interest_model.recommend.blend import Collaborative, Model
from interest_model.recommend.histories import Histories, between, from_arrow, take
from interest_model.recommend.interests import no_topics
from interest_model.recommend.members import nowhere
from interest_model.recommend.popularity import ItemCounts, bin_day

CANDIDATES, LENGTH, CUTOFF = 100, 50, 10
USERS_A_LESSON = 1_000  # of one batch of tuning rows; bounds memory
STRENGTHS = {"dpp": (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5), "mmr": (0.06, 0.15, 0.3, 0.45, 0.6, 0.9, 1.5)}


class Cases(NamedTuple):
    """Judged users of one variant. items (u, c), scores (u, c): candidates, best first; hits (u, c) bool; n_truth (u,):
    items each user took; breadth (u,), see diversity.history_breadth."""

    items: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    n_truth: np.ndarray
    breadth: np.ndarray


def read_histories(folder: Path) -> tuple[Histories, dict]:
    """All histories of the split, by user_id, and split.json."""
    rows = ds.dataset(folder / "histories", exclude_invalid_files=True).to_table().sort_by("user_id")
    return from_arrow(rows), json.loads((folder / "split.json").read_text())


def counts_of(known: Histories, at_day: float, settings: Ranker) -> ItemCounts:
    bins = bin_day(known.days, at_day - settings.learning_days - 28)
    pairs, sizes = np.unique(np.stack([known.items, bins]), axis=1, return_counts=True)
    return ItemCounts(pairs[0].astype(np.int32), pairs[1], sizes.astype(np.float64))


def night_model(known: Histories, vectors: np.ndarray, at_day: float, settings: Ranker, repeats: bool) -> Model:
    """The night's ranker by the steps of daily.fit_ranker, on one machine. known: events before at_day only."""
    n_items, counts = len(vectors), counts_of(known, at_day, settings)
    first_days = np.full(n_items, np.inf)
    np.minimum.at(first_days, known.items, known.days)

    def members_at(day: float) -> Collaborative:
        head = fit.ease_head(counts, n_items, day, settings.ease_max_items)
        rows = pa.Table.from_batches(fit.pair_batches(between(known, -np.inf, day), n_items, head, settings))
        return fit.collaborative(rows, n_items, head, settings)

    names, texts = np.arange(n_items).astype(str), fit.text_vectors(vectors, settings.content_dimensions)
    past = candidates.Past(counts, first_days)
    items = fit.Known(names, past, texts, nowhere(n_items), no_topics(n_items))
    read = fit.Readers(members_at, lambda nights, limit: lessons(known, nights, limit, settings.seed))
    return fit.night_model(items, read, at_day, settings, repeats)


def lessons(known: Histories, nights: list[candidates.Night], limit: int, seed: int) -> pa.Table:
    """Tuning rows of the users who acted in the windows after the nights, so many at random that `limit` user-nights
    hold them."""
    acted = [between(known, one.at_day, one.at_day + one.horizon_days).lengths > 0 for one in nights]
    chosen = np.random.default_rng(seed).random(known.n_users) < limit / max(np.sum(acted), 1)
    users = np.flatnonzero(np.any(acted, axis=0) & chosen)
    parts = np.array_split(users, -(-len(users) // USERS_A_LESSON) or 1)
    return pa.Table.from_batches([candidates.tuning_rows(take(known, part), nights) for part in parts])


def cases(known: Histories, after: Histories, model: Model, at_day: float, repeats: bool) -> Cases:
    """Candidates of the users with anything to be found after at_day. known, after: the same users, in one order."""
    n, users = model.n_items, np.arange(known.n_users)
    lists = scoring.recommend(known, model, at_day, CANDIDATES, repeats)
    items, scores = np.full((len(users), CANDIDATES), -1), np.zeros((len(users), CANDIDATES))
    items[lists.users, lists.ranks - 1], scores[lists.users, lists.ranks - 1] = lists.items, lists.scores
    truth = np.unique(after.rows * n + after.items)
    if not repeats:
        truth = truth[~np.isin(truth, known.rows * n + known.items)]
    hits = np.isin(users[:, None] * n + items, truth) & (items >= 0)
    n_truth = np.bincount(truth // n, minlength=len(users))
    decayed = known.weights * 0.5 ** ((at_day - known.days) / model.half_lives[2])
    breadth = diversity.history_breadth(model.vectors, known.items, decayed, known.rows, len(users))
    return Cases(*(column[n_truth > 0] for column in (items, scores, hits, n_truth, breadth)))


def judged(found: Cases, order: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NDCG and intra-list distance, each (u,), of places into the candidates."""
    place = np.maximum(order, 0)
    items = np.where(order >= 0, np.take_along_axis(found.items, place, axis=1), -1)
    hits = np.take_along_axis(found.hits, place, axis=1) & (order >= 0)
    return ndcg(hits, found.n_truth, CUTOFF), intra_list_distance(items, vectors, CUTOFF)


def curve(found: Cases, vectors: np.ndarray, name: str) -> None:
    """Prints a variant's table."""
    as_ranked = np.where(found.items >= 0, np.arange(CANDIDATES), -1)[:, :LENGTH]
    accuracy, distance = judged(found, as_ranked, vectors)
    print(
        f"\n{name}: {len(accuracy):,} users, as ranked NDCG {accuracy.mean():.4f}, distance {np.nanmean(distance):.4f}"
    )
    print("| method | strength | NDCG, same for all | distance | NDCG, each user's own | distance |\n|" + " --- |" * 6)
    for method, strengths in STRENGTHS.items():
        for base in strengths:
            row = []
            for strength in (
                np.full(len(accuracy), base),
                diversity.strength_of(found.breadth, base, float(np.nanmean(found.breadth))),
            ):
                relist = getattr(diversity, method)
                order = relist(found.items, found.scores, vectors, strength, LENGTH).order
                one, other = judged(found, order, vectors)
                near = 196 * (one - accuracy).std() / np.sqrt(len(one)) / accuracy.mean()
                row.append(f"{100 * (one.mean() / accuracy.mean() - 1):+.1f} ± {near:.1f}")
                row.append(f"{100 * (np.nanmean(other) / np.nanmean(distance) - 1):+.1f}")
            print(f"| {method} | {base} | " + " | ".join(row) + " |", flush=True)


def seconds(found: Cases, vectors: np.ndarray) -> None:
    items, scores = found.items[:512], found.scores[:512]
    for method, strengths in STRENGTHS.items():
        begun = time.perf_counter()
        getattr(diversity, method)(items, scores, vectors, np.full(len(items), strengths[2]), LENGTH)
        print(f"{method}: {len(items)} users, {CANDIDATES} candidates, {time.perf_counter() - begun:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--days", type=float, default=28.0)
    options = parser.parse_args()
    histories, facts = read_histories(options.folder)
    at_day = facts["at_day"] - options.days
    known, after = between(histories, -np.inf, at_day), between(histories, at_day, facts["at_day"])
    vectors, both = np.load(options.vectors), (known.lengths > 0) & (after.lengths > 0)
    for variant in facts["variants"]:
        model = night_model(known, vectors, at_day, load_settings().ranker, variant == "repeat")
        found = cases(take(known, both), take(after, both), model, at_day, variant == "repeat")
        curve(found, model.vectors, variant)
    seconds(found, model.vectors)


if __name__ == "__main__":
    main()
