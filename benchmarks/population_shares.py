"""Forecasts of everybody's topic shares on real logs against the classics. Raw files, pandas and numpy; no Spark.

    INTEREST_DATA_DIR=... python benchmarks/population_shares.py [--logs NAME ...]

Cuts lie in the last quarter of a log, 7 days apart (14 for the long ones); the truth is the share of the events of the
next 7 or 28 days. Baselines are fitted to each topic alone: "last" is the share of the last window, "snaive" the mean
of the last seven days' shares, the others statsforecast's on daily shares (season 7) and on weekly shares, averaged
over the horizon. Each baseline stands with the form that is better on the judged windows themselves. AutoARIMA and
AutoETS of daily shares are left out of tiers above 100 topics (minutes).

MASE: sum of absolute errors over topics and cuts over the sum of the scales, a topic's scale being the mean absolute
difference of consecutive windows of the same length in the first three quarters. "mean of topics": errors scaled topic
by topic, then averaged; rare topics weigh as much as large ones. "floor": the error that binomial sampling of the
window's events alone would give the true shares; a guide, no bound: events of one basket are no independent draws, and
its departments vary less than binomial ones.
"""

import argparse
import time
import warnings

import numpy as np
import scipy.sparse as sp
from forecast_logs import READERS, Log, read_log
from statsforecast.models import AutoARIMA, AutoETS, AutoTheta

from interest_model.evaluation.forecast_metrics import coverage_sums, point_sums, scale_sums
from interest_model.interest import population

HORIZONS, WEEK = (7, 28), 7
STEPS = {"movietweetings": 7, "online_retail": 14, "complete_journey": 14}
MANY_TOPICS = 100
MODELS = {
    "arima": lambda season: AutoARIMA(
        season_length=season, max_p=2, max_q=2, max_P=1, max_Q=1, max_order=3, approximation=True, nmodels=12
    ),
    "ets": lambda season: AutoETS(season_length=season),
    "theta": lambda season: AutoTheta(season_length=season),
}


def daily_weights(log: Log) -> np.ndarray:
    """(days, topics of the deepest tier) events of each day."""
    days = np.floor(log.histories.days).astype(np.int64)
    days -= days.min()
    shape = (days.max() + 1, log.tiers[-1].shape[0])
    items = sp.csr_matrix((np.ones(len(days)), (days, log.histories.items)), shape)
    return np.asarray((items @ log.tiers[-1]).todense(), dtype=np.float64)


def windows(weights: np.ndarray, length: int) -> np.ndarray:
    """(windows, k) shares of consecutive windows that end with the last day; those without events are left out."""
    count = len(weights) // length
    sums = weights[len(weights) - count * length :].reshape(count, length, -1).sum(axis=1)
    sums = sums[sums.sum(axis=1) > 0]
    return sums / sums.sum(axis=1, keepdims=True)


def one_by_one(name: str, series: np.ndarray, season: int, steps: int) -> np.ndarray:
    """(steps, k) forecasts of each topic's series (n, k); a constant or a failing series keeps its mean."""
    sizes = series.mean(axis=0)  # the library's optimiser stops early on numbers far below one
    found = np.tile(sizes, (steps, 1))
    for topic in np.flatnonzero(np.ptp(series, axis=0) > 0):
        try:
            said = MODELS[name](season).forecast(y=series[:, topic] / sizes[topic], h=steps)["mean"]
        except Exception as error:  # the library raises plain exceptions where no model can be fitted
            print(f"    {name}: topic {topic} keeps its mean ({error})")
            continue
        found[:, topic] = sizes[topic] * said
    return found


def baselines(past: np.ndarray) -> dict[int, dict[str, np.ndarray]]:
    """Of each horizon, each baseline's (k,) forecast from past weights (days, k)."""
    daily, weekly = windows(past, 1), windows(past, WEEK)
    whole = past.shape[1] <= MANY_TOPICS
    found = {
        horizon: {"last": windows(past, horizon)[-1], "snaive": daily[-WEEK:].mean(axis=0)} for horizon in HORIZONS
    }
    for name in MODELS:
        by_week = one_by_one(name, weekly, 1, max(HORIZONS) // WEEK)
        by_day = one_by_one(name, daily, WEEK, max(HORIZONS)) if whole or name == "theta" else None
        for horizon in HORIZONS:
            found[horizon][f"{name} weekly"] = by_week[: horizon // WEEK].mean(axis=0)
            if by_day is not None:
                found[horizon][f"{name} daily"] = by_day[:horizon].mean(axis=0)
    return found


def judge(truth: np.ndarray, said: np.ndarray, past: np.ndarray) -> tuple[float, float]:
    """MASE pooled and mean of topics; truth, said (cuts, k), past (n, k) shares of training windows."""
    scale = np.abs(np.diff(past, axis=0)).mean(axis=0)
    pooled = point_sums(truth.ravel(), said.ravel()).mae / scale.mean()
    return pooled, scale_sums(truth.T, said.T, past.T).mase


def print_tier(title: str, weights: np.ndarray, parents: list[np.ndarray], tier: int, step: int) -> None:
    own = population.roll_up(weights, parents)[tier]
    until = int(np.floor(0.75 * (len(weights) - 1)))
    by_cut = {cut: baselines(own[:cut]) for cut in range(until, len(weights) - min(HORIZONS) + 1, step)}
    for horizon in HORIZONS:
        cuts = [cut for cut in by_cut if cut + horizon <= len(weights)]
        sums = np.array([own[cut : cut + horizon].sum(axis=0) for cut in cuts])
        cuts = [cut for cut, total in zip(cuts, sums.sum(axis=1), strict=True) if total > 0]
        sums = sums[sums.sum(axis=1) > 0]
        truth = sums / sums.sum(axis=1, keepdims=True)
        figures = {name: np.array([by_cut[cut][horizon][name] for cut in cuts]) for name in by_cut[until][horizon]}
        start = time.perf_counter()
        ours = [population.forecast(weights[:cut], parents, horizon) for cut in cuts]
        seconds = (time.perf_counter() - start) / len(cuts)
        figures["ours"] = np.array([one.expected[tier] for one in ours])
        past = windows(own[:until], horizon)
        scores = {name: judge(truth, said, past) for name, said in figures.items()}
        floor = np.sqrt(2 / np.pi * truth * (1 - truth) / sums.sum(axis=1, keepdims=True))
        print(f"{title}, {horizon} days, {len(cuts)} cuts, ours {seconds:.2f} s a cut")
        print_scores(scores, judge(floor, np.zeros_like(floor), past))
        low, high = (np.array([getattr(one, end)[tier] for one in ours]) for end in ("low", "high"))
        held = coverage_sums(truth.ravel(), low.ravel(), high.ravel())
        width = (high - low).sum(axis=1).mean()
        print(f"    80 % interval: coverage {held.coverage:.3f}, sum of widths {width:.3f}", flush=True)


def print_scores(scores: dict[str, tuple[float, float]], floor: tuple[float, float]) -> None:
    """One line per metric: every form, and ours over the best baseline."""
    for place, metric in enumerate(("MASE, pooled", "MASE, mean of topics")):
        others = {name: one[place] for name, one in scores.items() if name != "ours"}
        best = min(others, key=others.get)
        ours = scores["ours"][place]
        print(f"    {metric}: " + ", ".join(f"{name} {one:.3f}" for name, one in others.items()))
        print(f"        ours {ours:.3f} = {ours / others[best]:.3f} x best ({best}); floor {floor[place]:.3f}")


def run_log(name: str) -> None:
    log = read_log(name)
    weights, tiers = daily_weights(log), [one.shape[1] for one in log.tiers]
    parents = [np.full(tiers[0], -1)] + ([log.parents] if log.parents is not None else [])
    for tier, topics in enumerate(tiers):
        print_tier(f"{name}, tier of {topics}", weights, parents, tier, STEPS[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", nargs="+", default=list(READERS), choices=list(READERS))
    warnings.filterwarnings("ignore")  # the library warns of every series it finds hard
    for name in parser.parse_args().logs:
        run_log(name)


if __name__ == "__main__":
    main()
