"""Do the own items that a row names carry it? Its score without them, against without as many of the user's others.

    python benchmarks/deletion.py FOLDER [--days 28] [--users 1000]

FOLDER is a split as `jobs/backtest.py --split` writes it; its truth is not read (see benchmarks/past_moments.py). The
ranker is fitted on what was known `days` days before the split's at_day. One row is asked of each of so many users with
history, drawn by the settings' seed. Prints, for each variant, the rows that name own items, and the share of the score
that is lost without the named events, without as many others, and their difference with 95 % of a bootstrap over users.
"""

import argparse
from pathlib import Path

import numpy as np
from past_moments import night_model, read_log

from interest_model.config import load_settings
from interest_model.evaluation import bootstrap
from interest_model.evaluation.deletion import Drops, score_drops
from interest_model.recommend import scoring
from interest_model.recommend.histories import between, take

LENGTH = 50  # of the lists that rows are drawn from
REPLICATES = 1_000


def said(drops: Drops, seed: int) -> str:
    """Mean losses, their difference and its interval; one row per user, so that rows are what is drawn."""
    weights = bootstrap.weights(np.arange(len(drops.named)), REPLICATES, seed)
    counts = weights.sum(axis=0)
    low, high = bootstrap.paired_interval((drops.named @ weights, counts), (drops.drawn @ weights, counts))
    named, drawn = drops.named.mean(), drops.drawn.mean()
    lost = f"without the named {named:.3f}, without others {drawn:.3f}"
    return f"{lost}, difference {named - drawn:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=float, default=28.0)
    parser.add_argument("--users", type=int, default=1_000)
    options = parser.parse_args()
    log, settings = read_log(options.folder), load_settings().ranker
    at_day = log.at_day - options.days
    known = between(log.histories, -np.inf, at_day)
    some = np.random.default_rng(settings.seed).permutation(np.flatnonzero(known.lengths > 0))[: options.users]
    asked = take(known, np.sort(some))
    model = night_model(known, log, at_day, settings)
    for variant in log.variants:
        repeats = variant == "repeat"
        lists = scoring.recommend(asked, model, at_day, LENGTH, repeats)
        drops = score_drops(asked, model, at_day, lists, repeats, settings.seed)
        named = (lists.because[:, 0] >= 0).mean()
        print(f"{variant}: {named:.0%} of {len(lists.items):,} rows name own items; {len(drops.named):,} users asked")
        print(f"    share of the score lost {said(drops, settings.seed)}" if len(drops.named) else "    nobody to ask")


if __name__ == "__main__":
    main()
