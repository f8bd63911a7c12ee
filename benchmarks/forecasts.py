"""Forecasts of shares and returns on real logs against their baselines. Raw files, pandas and numpy; no Spark.

    INTEREST_DATA_DIR=... python benchmarks/forecasts.py [--logs NAME ...]

The first three quarters of a log's time train, the last quarter judges: cuts 7 days apart (horizon 7) or 14 (horizon
28) whose window ends with the log. Judged are the users with five events or more in the window and any before the cut.
"touched": all pairs of such a user and a topic touched before the cut; "all": times every topic of the tier.
The baselines' half life is the best of five on the training windows. "table": the baseline's quantiles are those of
the realised shares of training windows in 20 bins of its value.
"""

import argparse
import time

import numpy as np
from forecast_judging import STATE, hold_out, judge, populations, tiers_together
from forecast_logs import READERS, Log, read_log
from forecast_returns import print_returns

from interest_model.interest import forecast_features as ff
from interest_model.interest.forecaster import expected_shares, quantile_shares
from interest_model.interest.forecaster_training import TrainingSettings, train
from interest_model.recommend.histories import take

HORIZONS, JUDGED = (1.0, 7.0, 28.0), {7.0: 7.0, 28.0: 14.0}
TRAINING_CUTS, WARM_UP_DAYS = 10, 21
BATCH = 20_000


def training_windows(log: Log, tier: int, until: float) -> ff.Windows:
    """Windows that end by `until`, of weekly cuts."""
    plan = ff.training_cuts(until, HORIZONS, TRAINING_CUTS, 7.0, log.histories.days.min() + WARM_UP_DAYS)
    parts, membership = [], log.tiers[tier]
    for cut, horizons in plan.items():
        at_cut = ff.features(log.histories, membership, populations(log, tier, cut), cut, STATE)
        parts += [ff.training_windows(log.histories, membership, at_cut, cut, one) for one in horizons]
    return ff.merge(parts)


def seconds_of_a_batch(log: Log, tier: int, cut: float, model) -> tuple[int, float]:
    """Rows and seconds of BATCH users (the log's, again and again) from histories to quantiles of three horizons."""
    users = take(log.histories, np.arange(BATCH) % log.histories.n_users)
    everybody = populations(log, tier, cut)
    start = time.perf_counter()
    at_cut = ff.features(users, log.tiers[tier], everybody, cut, STATE)
    for horizon in HORIZONS:
        found = expected_shares(model, at_cut, horizon)
        quantile_shares(model, at_cut, horizon, found.expected)
    return len(at_cut.users), time.perf_counter() - start


def print_ratios(title: str, ratios: dict[str, dict[str, float]], own: dict[str, float]) -> None:
    print(title)
    print(f"    {'ratio to':25s}" + "".join(f"{name:>16s}" for name in ratios))
    for metric in next(iter(ratios.values())):
        figures = [ratios[name].get(metric) for name in ratios]
        print(f"    {metric:25s}" + "".join(f"{'' if one is None else format(one, '.3f'):>16s}" for one in figures))
    print("    " + "; ".join(f"{name} {value:,.3f}" for name, value in own.items()))


def run_log(name: str) -> None:
    log = read_log(name)
    first, last = log.histories.days.min(), log.histories.days.max()
    until = np.floor(first + 0.75 * (last - first))
    models, held = [], {}
    for tier, membership in enumerate(log.tiers):
        windows = training_windows(log, tier, until)
        title, start = f"{name}, tier of {membership.shape[1]}", time.perf_counter()
        models.append(train(windows, TrainingSettings()))
        print(f"{title}: {len(windows.events):,} windows, {time.perf_counter() - start:.1f} s to train")
        rows, seconds = seconds_of_a_batch(log, tier, until, models[-1])
        print(f"{title}: {BATCH:,} users, {rows:,} rows, three horizons: {seconds:.1f} s")
        for horizon, step in JUDGED.items():
            cuts = np.arange(until, last - horizon, step)
            held[tier, horizon] = [hold_out(log, tier, cut, horizon) for cut in cuts]
            figures = judge(held[tier, horizon], models[tier], windows, horizon)
            print_ratios(f"{title}, {horizon:g} days, {len(cuts)} cuts", *figures)
    if len(log.tiers) > 1:
        for horizon in JUDGED:
            figures = tiers_together(held[0, horizon], held[1, horizon], models, log, horizon)
            said = "; ".join(f"{key} {one:.3f}" for key, one in figures.items())
            print(f"{name}, tiers made to add up, {horizon:g} days: {said}")
    print_returns(name, log.histories, until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", nargs="+", default=list(READERS), choices=list(READERS))
    for name in parser.parse_args().logs:
        run_log(name)


if __name__ == "__main__":
    main()
