"""The night's ranker at past moments of a split, on one machine without Spark, and how good its lists are there.

    python benchmarks/past_moments.py FOLDER [--quantiles 0.78 0.84 0.9] [--days 1 7 25] [--set ranker.key=value ...]
                                      [--save FILE.npz] [--against FILE.npz]

FOLDER is a split as `jobs/backtest.py --split` writes it (see interest_model/evaluation/peers.py). Its truth is not
read: what is learned here is learned on the validation side. At each quantile of the known events by time the ranker is
fitted on what came before and judged by what users with history took in the days after, where the split knows so many.
Prints NDCG@10 of the ranker, of its trees and of its blend alone, pooled over the moments; with --against, what a
former run saved, the difference to it with 95 % of a paired bootstrap over users. Ablations are settings: no texts
content_dimensions=0; no features boosting_without=[...]; no member a prior weight of 0; no time slow half lives. Places
are in a split that was written with near_half_km set.
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
from interest_model.evaluation import bootstrap
from interest_model.evaluation.judging import PARTS, RANKER
from interest_model.evaluation.metrics import ndcg
from interest_model.evaluation.peers import items_of
from interest_model.recommend import audience, candidates, fit, scoring
from interest_model.recommend.blend import Collaborative, Mixture, Model
from interest_model.recommend.context import context_at
from interest_model.recommend.daily import ItemViews
from interest_model.recommend.histories import Histories, between, from_arrow, take
from interest_model.recommend.popularity import ItemCounts, bin_day

CUTOFF, REPLICATES, SEED = 10, 1_000, 1
USERS_A_LESSON = 1_000  # of one batch of tuning rows; bounds memory
USERS_AT_ONCE = 512


class Log(NamedTuple):
    """What a split lets models know. histories: of all users, by user_id; items: of the n_items of its catalogue;
    at_day: the moment up to which events are known; variants: novel, and repeat where the domain repeats."""

    histories: Histories
    items: ItemViews
    at_day: float
    variants: list[str]

    @property
    def n_items(self) -> int:
        return len(self.items.vectors)


class Judged(NamedTuple):
    """NDCG@10 of user-moments: users (u,) str; values: model (the ranker and its PARTS) to (u,)."""

    users: np.ndarray
    values: dict[str, np.ndarray]


def read_log(folder: Path) -> Log:
    rows = ds.dataset(folder / "histories", exclude_invalid_files=True).to_table().sort_by("user_id")
    facts = json.loads((folder / "split.json").read_text())
    return Log(from_arrow(rows), items_of(folder), facts["at_day"], facts["variants"])


def counts_of(known: Histories, at_day: float, settings: Ranker) -> ItemCounts:
    bins = bin_day(known.days, at_day, settings.learning_days + 28)
    pairs, sizes = np.unique(np.stack([known.items, bins]), axis=1, return_counts=True)
    return ItemCounts(pairs[0].astype(np.int32), pairs[1], sizes.astype(np.float64))


def night_model(known: Histories, log: Log, at_day: float, settings: Ranker) -> Model:
    """The night's ranker by the steps of daily.fit_ranker. known: events before at_day only."""
    views, n_items, counts = log.items, log.n_items, counts_of(known, at_day, settings)
    first_days = np.full(n_items, np.inf)
    np.minimum.at(first_days, known.items, known.days)

    def members_at(day: float) -> Collaborative:
        head = fit.ease_head(counts, n_items, day, settings.ease_max_items)
        rows = pa.Table.from_batches(fit.pair_batches(between(known, -np.inf, day), n_items, head, settings))
        return fit.collaborative(rows, n_items, head, settings)

    names, texts = np.arange(n_items).astype(str), fit.text_vectors(views.vectors, settings.content_dimensions)
    past = candidates.Past(counts, first_days)
    items = fit.Known(names, past, texts, views.places, views.topics, views.attributes)
    read = fit.Readers(
        members_at,
        lambda nights, limit: lessons(known, nights, limit, settings.seed),
        lambda asked: audience.of_users(known, asked),
    )
    return fit.night_model(items, read, at_day, settings, "repeat" in log.variants)


def lessons(known: Histories, nights: list[candidates.Night], limit: int, seed: int) -> pa.Table:
    """Tuning rows of the users who acted in the windows after the nights, so many at random that `limit` user-nights
    hold them."""
    acted = [between(known, one.at_day, one.at_day + one.horizon_days).lengths > 0 for one in nights]
    chosen = np.random.default_rng(seed).random(known.n_users) < limit / max(np.sum(acted), 1)
    users = np.flatnonzero(np.any(acted, axis=0) & chosen)
    parts = np.array_split(users, -(-len(users) // USERS_A_LESSON) or 1)
    return pa.Table.from_batches([candidates.tuning_rows(take(known, part), nights) for part in parts])


def lists_of(known: Histories, model: Model, at_day: float, repeats: bool) -> dict[str, np.ndarray]:
    """(u, CUTOFF) catalogue positions by the ranker, its trees and its blend; -1 where a list is shorter."""
    mixture = model.mixture(repeats)
    asked: dict[str, Mixture] = {RANKER: mixture}
    asked |= {name: mixture._replace(share=np.array(share)) for name, share in PARTS.items()}
    found = {name: np.full((known.n_users, CUTOFF), -1) for name in asked}
    for start in range(0, known.n_users, USERS_AT_ONCE):
        some = take(known, np.arange(start, min(start + USERS_AT_ONCE, known.n_users)))
        best = scoring.best_candidates(context_at(some, model, at_day), model, CUTOFF, repeats)
        for name, mixed in asked.items():
            users, ranks, items, _ = scoring.mixed(best, mixed)
            listed = ranks <= CUTOFF
            found[name][users[listed] + start, ranks[listed] - 1] = items[listed]
    return found


def to_find(known: Histories, after: Histories, n_items: int, repeats: bool) -> np.ndarray:
    """Ascending user * n_items + item of what lists should hold. known, after: the same users, in one order."""
    truth = np.unique(after.rows * n_items + after.items)
    return truth if repeats else truth[~np.isin(truth, known.rows * n_items + known.items)]


def judged(log: Log, model: Model, at_day: float, repeats: bool, horizons: list[float]) -> dict[float, Judged]:
    """What a horizon's truth says of everybody's lists; a horizon that the split does not know whole is left out."""
    horizons = [days for days in horizons if at_day + days <= log.at_day]
    known, after = between(log.histories, -np.inf, at_day), between(log.histories, at_day, at_day + max(horizons))
    both = np.flatnonzero((known.lengths > 0) & (after.lengths > 0))
    known, n, found = take(known, both), model.n_items, {}
    lists = lists_of(known, model, at_day, repeats)
    for days in horizons:
        truth = to_find(known, take(between(log.histories, at_day, at_day + days), both), n, repeats)
        wanted = np.bincount(truth // n, minlength=len(both))
        asked, rows = wanted > 0, np.arange(len(both))[:, None] * n
        hits = {name: np.isin(rows + listed, truth) & (listed >= 0) for name, listed in lists.items()}
        values = {name: ndcg(one[asked], wanted[asked], CUTOFF) for name, one in hits.items()}
        found[days] = Judged(np.asarray(known.user_ids, dtype=str)[asked], values)
    return found


def moments(log: Log, quantiles: list[float]) -> list[float]:
    """Whole days at the quantiles of the known events by time."""
    days = np.sort(log.histories.days)
    return [float(np.floor(days[int(quantile * len(days))])) for quantile in quantiles]


def pooled(parts: list[Judged]) -> Judged:
    """The user-moments of several moments as one."""
    names = parts[0].values
    values = {name: np.concatenate([one.values[name] for one in parts]) for name in names}
    return Judged(np.concatenate([one.users for one in parts]), values)


def line(name: str, ours: np.ndarray, theirs: np.ndarray | None, weights: np.ndarray) -> str:
    """A model's mean and, where there is one, its difference to another with 95 % of a bootstrap over users."""
    text = f"  {name:7s} {ours.mean():.4f}"
    if theirs is None:
        return text
    counts = weights.sum(axis=0)
    low, high = bootstrap.paired_interval((ours @ weights, counts), (theirs @ weights, counts))
    return f"{text}  {ours.mean() - theirs.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantiles", type=float, nargs="+", default=[0.78, 0.84, 0.9])
    parser.add_argument("--days", type=float, nargs="+", default=[1.0, 7.0, 25.0])
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    log, settings = read_log(options.folder), load_settings(overrides=options.set).ranker
    found: dict[tuple[str, float], list[Judged]] = {}
    for at_day in moments(log, options.quantiles):
        if at_day + min(options.days) > log.at_day:
            print(f"day {at_day:.0f}: left out, the split knows none of these days after it whole")
            continue
        begun = time.perf_counter()
        model = night_model(between(log.histories, -np.inf, at_day), log, at_day, settings)
        shares = [f"{variant} {float(model.mixture(variant == 'repeat').share):g}" for variant in log.variants]
        print(
            f"day {at_day:.0f}: {time.perf_counter() - begun:.0f} s, share of the trees {', '.join(shares)}", flush=True
        )
        for variant in log.variants:
            for days, one in judged(log, model, at_day, variant == "repeat", options.days).items():
                found.setdefault((variant, days), []).append(one)
    report({key: pooled(parts) for key, parts in found.items()}, options.save, options.against)


def report(found: dict[tuple[str, float], Judged], save: Path | None, against: Path | None) -> None:
    """Prints a line per variant, horizon and model; writes to and compares with files of an earlier report."""
    arrays = {
        f"{variant} {days:g} {name}": one.values[name] for (variant, days), one in found.items() for name in one.values
    }
    arrays |= {f"{variant} {days:g} users": one.users for (variant, days), one in found.items()}
    former = dict(np.load(against, allow_pickle=False)) if against else {}
    for (variant, days), one in found.items():
        key = f"{variant} {days:g}"
        if former and not np.array_equal(former.get(f"{key} users"), one.users):
            raise SystemExit(f"{against}: judged other user-moments: give it the same folder, --quantiles and --days")
        print(f"{variant}, next {days:g} days, {len(one.users):,} user-moments")
        weights = bootstrap.weights(one.users, REPLICATES, SEED)
        for name, values in one.values.items():
            print(line(name, values, former.get(f"{key} {name}"), weights))
    if save:
        np.savez_compressed(save, **arrays)


if __name__ == "__main__":
    main()
