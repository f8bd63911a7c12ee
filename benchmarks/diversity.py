"""What diversity costs and gives: NDCG@10 and intra-list distance@10 over strengths, for DPP, MMR and MSD.

    python benchmarks/diversity.py FOLDER [--quantiles 0.78 0.84 0.9] [--days 25]

FOLDER is a split as `jobs/backtest.py --split` writes it; its truth is not read. At each quantile of the known events
by time the ranker is fitted on what came before (see benchmarks/past_moments.py); its lists are judged by what users
took in the `days` days after. Prints, for each variant, pooled over the moments, for strengths that are the same for
all and for each user's own, the change of both metrics against the lists as ranked, in percent, with 95% of the paired
difference of NDCG. Then the seconds of one chunk.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from past_moments import moments, night_model, read_log, to_find

from interest_model.config import load_settings
from interest_model.evaluation.metrics import intra_list_distance, ndcg
from interest_model.recommend import diversity, scoring
from interest_model.recommend.blend import Model
from interest_model.recommend.histories import Histories, between, take

CANDIDATES, LENGTH, CUTOFF = 75, 50, 10
STRENGTHS = {
    "dpp": (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
    "mmr": (0.06, 0.15, 0.3, 0.45, 0.6, 0.9, 1.5),
    "msd": (0.1, 0.2, 0.3, 0.45, 0.6, 0.9, 1.2),
}


class Cases(NamedTuple):
    """Judged users of one variant. items (u, c), scores (u, c): candidates, best first; hits (u, c) bool; n_truth (u,):
    items each user took; breadth (u,), see diversity.history_breadth."""

    items: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    n_truth: np.ndarray
    breadth: np.ndarray


def cases(known: Histories, after: Histories, model: Model, at_day: float, repeats: bool) -> Cases:
    """Candidates of the users with anything to be found after at_day. known, after: the same users, in one order."""
    n, users = model.n_items, np.arange(known.n_users)
    lists = scoring.recommend(known, model, at_day, CANDIDATES, repeats)
    items, scores = np.full((len(users), CANDIDATES), -1), np.zeros((len(users), CANDIDATES))
    items[lists.users, lists.ranks - 1], scores[lists.users, lists.ranks - 1] = lists.items, lists.scores
    truth = to_find(known, after, n, repeats)
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


def pooled(parts: list[Cases]) -> Cases:
    """The cases of several moments as one."""
    return Cases(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


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
    parser.add_argument("--quantiles", type=float, nargs="+", default=[0.78, 0.84, 0.9])
    parser.add_argument("--days", type=float, default=25.0)
    options = parser.parse_args()
    log = read_log(options.folder)
    parts: dict[str, list[Cases]] = {variant: [] for variant in log.variants}
    for at_day in moments(log, options.quantiles):
        if at_day + options.days > log.at_day:
            print(f"day {at_day:.0f}: left out, the split does not know the {options.days:g} days after it")
            continue
        known, after = between(log.histories, -np.inf, at_day), between(log.histories, at_day, at_day + options.days)
        both = (known.lengths > 0) & (after.lengths > 0)
        model = night_model(known, log, at_day, load_settings().ranker)
        for variant in log.variants:
            one = cases(take(known, both), take(after, both), model, at_day, variant == "repeat")
            parts[variant].append(one)
    if not parts["novel"]:
        parser.error(f"no moment with {options.days:g} known days after it: give --days or --quantiles")
    found = {variant: pooled(some) for variant, some in parts.items()}
    for variant, one in found.items():
        curve(one, model.vectors, variant)  # vectors are the log's: the same at every moment
    seconds(found["novel"], model.vectors)


if __name__ == "__main__":
    main()
