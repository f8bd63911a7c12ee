"""Topics over all users: shares by day, change, trend and move, and forecasts of shares with an interval. No Spark.

Input everywhere: `weights` (days, k), the summed weight of the events of each day and topic, days contiguous and oldest
first, 0 where nothing happened, as `effective_events`: errors and priors take a unit of weight for an event.
`parents`: of each tier, widest first, (k,) positions in the tier above, -1 in the first (see forecast_models.Topics).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import expit, logit, softmax
from scipy.stats import norm, t

MOVES = ("falling", "stable", "rising")
MODELS = ("pooled", "arima")
LOW, HIGH = 0.1, 0.9
_WEEK = 7
_NEWTON_STEPS = 25
_ROWS_PER_BIN = 100


@dataclass(frozen=True)
class PopulationSettings:
    """change_days: length of the latest window and of the one before. level: chance that a constant topic is called
    rising or falling. trend_prior_sd: logit per day.

    half_lives: days, longest first, of the means that are pooled. credibility_events: expected events of a topic at
    which a mean counts half against the next longer one. ridge: pull of the pool's weights to equal ones. step_days:
    between past cuts; warm_up_days: before the first; max_cuts: the latest ones are used. min_cuts: fewer give no
    interval. arima_min_events, arima_min_weeks: a topic or a log with fewer is forecast by the pool; arima_topics: so
    are all but so many of the largest topics of a tier, None: no bound.
    """

    change_days: int = 28
    level: float = 0.05
    trend_prior_sd: float = 0.1
    half_lives: tuple[float, ...] = (112.0, 28.0, 7.0)
    credibility_events: float = 5.0
    ridge: float = 0.001
    step_days: int = 7
    warm_up_days: int = 56
    max_cuts: int = 104
    min_cuts: int = 5
    arima_min_events: float = 200.0
    arima_min_weeks: int = 16
    arima_topics: int | None = None


class Moves(NamedTuple):
    """Of k topics of a tier. share, share_before: of the latest change_days and of the same span before, NaN where
    nothing happened, the latter also where the log does not reach over both; change: their ratio, NaN where
    share_before is or where the topic had no event before; trend_per_day, trend_se: slope of
    log-odds over both spans, logit per day; move int8: code of MOVES."""

    share: np.ndarray
    share_before: np.ndarray
    change: np.ndarray
    trend_per_day: np.ndarray
    trend_se: np.ndarray
    move: np.ndarray


class PopulationForecast(NamedTuple):
    """Share of all events of the next days, of each tier (k,): expected shares, and the ends of the 80 % interval, NaN
    where the log is too young to know its errors. own (k,): true where the model that was asked for gave them, not the
    pool in its place. The pool's expected shares sum to one in a tier and add up over tiers; AutoARIMA's, of each topic
    on its own, do neither."""

    expected: list[np.ndarray]
    low: list[np.ndarray]
    high: list[np.ndarray]
    own: list[np.ndarray]


# Shares


def roll_up(leaves: np.ndarray, parents: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrays (..., topics of the tier), widest tier first, from those of the deepest tier, (..., k): sums of children.

    Raises ValueError where the number of leaves is not that of the tree.
    """
    if leaves.shape[-1] != len(parents[-1]):
        raise ValueError(f"population: {leaves.shape[-1]} columns of weights, the tree has {len(parents[-1])} leaves")
    tiers = [np.asarray(leaves, dtype=np.float64)]
    for tier in range(len(parents) - 1, 0, -1):
        up = np.zeros((len(parents[tier]), len(parents[tier - 1])))
        up[np.arange(len(up)), parents[tier]] = 1.0
        tiers.insert(0, tiers[0] @ up)
    return tiers


def effective_events(weights: np.ndarray, squares: float) -> np.ndarray:
    """The weights (days, k) in units of one event, whatever the unit they came in.

    squares: the sum of the squared weights of the events that they are sums of. What is returned adds up to Kish's
    (1965) effective number, (sum w)^2 / sum w^2: of equal events their number, of unequal ones fewer.
    """
    return weights * (weights.sum() / squares) if squares > 0 else weights


# Change


def moves(weights: np.ndarray, settings: PopulationSettings) -> Moves:
    """Of one tier's weights (days, k), see `roll_up`: what the last 2 x change_days say.

    A move is a trend whose t value, on the number of days with events less two degrees of freedom, is beyond the
    two-sided `level`; each topic is tested on its own, so that of many constant topics that share is called.
    """
    span, k = settings.change_days, weights.shape[1]
    latest, before = weights[-span:], weights[-2 * span : -span]
    share, share_before = _share(latest), _share(before)
    if len(weights) < 2 * span:  # a few days against four weeks would be no change of anything
        share_before = np.full(k, np.nan)
    happened = np.nan_to_num(share_before) > 0
    change = np.divide(share, share_before, out=np.full(k, np.nan), where=happened)
    recent = weights[-2 * span :]
    trend, error = _trends(recent, settings.trend_prior_sd)
    freedom = int((recent.sum(axis=1) > 0).sum()) - 2
    beyond = np.abs(trend) > t.isf(settings.level / 2, freedom) * error if freedom > 0 else np.zeros(k, bool)
    return Moves(share, share_before, change, trend, error, (1 + np.sign(trend) * beyond).astype(np.int8))


def _share(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights.sum(axis=0) / total if total > 0 else np.full(weights.shape[1], np.nan)


def _trends(weights: np.ndarray, prior_sd: float) -> tuple[np.ndarray, np.ndarray]:
    """Slopes (k,) of quasi-binomial logistic regressions of a day's share on the day, and standard errors.

    Trials are events. The variance is scaled by Pearson's statistic over its degrees of freedom (McCullagh and Nelder
    1989, 4.5), never below one: events of a day come in sittings and share what happened that day. Slope: prior
    N(0, prior_sd^2). Half an event of each topic, spread as all events, keeps the level of an absent topic finite.
    """
    trials = weights.sum(axis=1)
    if not trials.sum():
        return np.zeros(weights.shape[1]), np.full(weights.shape[1], prior_sd)
    spread = (trials / trials.sum())[:, None]
    y, n = weights + 0.5 * spread, trials[:, None] + spread
    x = np.arange(len(trials)) - float(spread[:, 0] @ np.arange(len(trials)))
    level, slope = logit(y.sum(axis=0) / n.sum()), np.zeros(weights.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = expit(level + x[:, None] * slope)
        noise, away = n * p * (1.0 - p), y - n * p
        s0, s1, s2 = noise.sum(axis=0), x @ noise, x**2 @ noise + prior_sd**-2.0
        g0, g1 = away.sum(axis=0), x @ away - slope * prior_sd**-2.0
        determinant = np.maximum(s0 * s2 - s1**2, 1e-300)
        # a step of one logit at most: from a flat start Newton overshoots for topics that appeared or vanished
        level = level + np.clip((s2 * g0 - s1 * g1) / determinant, -1.0, 1.0)
        slope = slope + np.clip((s0 * g1 - s1 * g0) / determinant, -prior_sd / 2, prior_sd / 2)
    pearson = np.divide(away**2, noise, out=np.zeros_like(noise), where=noise > 0).sum(axis=0)
    dispersion = np.maximum(pearson / max(int((trials > 0).sum()) - 2, 1), 1.0)
    return slope, np.sqrt(dispersion * s0 / determinant)


# Forecast


def forecast(
    weights: np.ndarray,
    parents: Sequence[np.ndarray],
    horizon: int,
    model: str = "pooled",
    settings: PopulationSettings | None = None,
) -> PopulationForecast:
    """Shares of the `horizon` days after the last day of the leaves' weights (days, k).

    "pooled": a log-linear pool of decayed means (see `log_shares`), its weights learned from all topics' past windows;
    intervals from the errors of the same past windows. "arima": AutoARIMA of each topic's own weekly shares, in wide
    tiers too, as it comes; topics with too few events keep the pool's forecast. Without events: equal leaves, no
    interval.
    Raises ValueError where horizon is no positive multiple of 7 or the model is unknown.
    """
    return forecasts(weights, parents, (horizon,), model, settings)[0]


def forecasts(
    weights: np.ndarray,
    parents: Sequence[np.ndarray],
    horizons: Sequence[int],
    model: str = "pooled",
    settings: PopulationSettings | None = None,
) -> list[PopulationForecast]:
    """`forecast` of each horizon; AutoARIMA, most of the time that it takes, is fitted once for all."""
    settings = settings or PopulationSettings()
    if not horizons or any(one <= 0 or one % _WEEK for one in horizons) or model not in MODELS:
        asked = ", ".join(map(str, horizons))
        raise ValueError(f"population forecast: horizon {asked} (whole weeks), model {model} (one of {MODELS})")
    weights = np.asarray(weights, dtype=np.float64)
    pooled = [_pooled(weights, parents, one, settings) for one in horizons]
    return pooled if model == "pooled" else _arima(weights, parents, horizons, pooled, settings)


def log_shares(weights: np.ndarray, cut: int, settings: PopulationSettings) -> np.ndarray:
    """(1 + half lives, k) log shares known after the first `cut` days: of all days, then of the half lives.

    Each mean is drawn to the one before it by Buehlmann's credibility, here of a gamma-Poisson rate: the share p
    becomes p (c + A) / (m + A), c the decayed weight, m what p let expect, A = credibility_events; then they are
    scaled to sum to one. A topic with few events so keeps its long-term share.
    """
    past, k = weights[:cut], weights.shape[1]
    ages = np.arange(len(past))[::-1]
    share = (past.sum(axis=0) + 1.0 / k) / (past.sum() + 1.0)
    rows = [np.log(share)]
    for half_life in settings.half_lives:
        seen = 0.5 ** (ages / half_life) @ past
        share = share * (seen + settings.credibility_events) / (seen.sum() * share + settings.credibility_events)
        share = share / share.sum()
        rows.append(np.log(share))
    return np.array(rows)


def pool_weights(known: np.ndarray, truth: np.ndarray, ridge: float) -> np.ndarray:
    """(q,) weights of a log-linear pool (Genest and Zidek 1986): share = softmax over topics of sum_q w_q log share_q.

    known (o, q, k) log shares at o past cuts; truth (o, k) what followed. Maximises the multinomial quasi-likelihood,
    every cut of weight 1 / o, less ridge / 2 times the squared distance to equal weights. Weights sum to one (else all
    large topics would be moved at once, an error that adds up in the wide tiers) and may be negative (a move that goes
    on). Concave: one maximum.
    """
    equal = np.full(known.shape[1], 1.0 / known.shape[1])
    if not len(known):
        return equal
    steps = known[:, 1:] - known[:, :1]

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        away = np.append(1.0 - free.sum(), free) - equal
        shares = softmax(known[:, 0] + np.einsum("q,oqk->ok", free, steps), axis=1)
        likelihood = (truth * np.log(np.maximum(shares, 1e-300))).sum() / len(truth)
        gradient = np.einsum("ok,oqk->q", truth - shares, steps) / len(truth)
        return ridge / 2 * away @ away - likelihood, ridge * (away[1:] - away[0]) - gradient

    free = minimize(loss, equal[1:], jac=True, method="L-BFGS-B").x
    return np.append(1.0 - free.sum(), free)


def _pooled(weights: np.ndarray, parents, horizon: int, settings: PopulationSettings) -> PopulationForecast:
    cuts = _past_cuts(weights, horizon, settings)
    known = np.array([log_shares(weights, cut, settings) for cut in [*cuts, len(weights)]])
    truth = np.array([_share(weights[cut : cut + horizon]) for cut in cuts]).reshape(len(cuts), weights.shape[1])
    pool = pool_weights(known[:-1], truth, settings.ridge)
    said = softmax(np.einsum("q,oqk->ok", pool, known), axis=1)
    # expected events: as many as in the span before the cut
    events = np.array([weights[max(cut - horizon, 0) : cut].sum() for cut in [*cuts, len(weights)]])
    expected, followed = roll_up(said, parents), roll_up(truth, parents)
    found = PopulationForecast([one[-1] for one in expected], [], [], [np.ones(len(one), bool) for one in parents])
    for tier, true in zip(expected, followed, strict=True):
        calibrated = len(cuts) >= settings.min_cuts
        low, high = interval(true, tier, events) if calibrated else np.full((2, tier.shape[1]), np.nan)
        found.low.append(low)
        found.high.append(high)
    return found


def _past_cuts(weights: np.ndarray, horizon: int, settings: PopulationSettings) -> list[int]:
    """Cuts whose window has ended, oldest first; windows without events teach nothing."""
    cuts = range(len(weights) - horizon, settings.warm_up_days - 1, -settings.step_days)
    active = [cut for cut in cuts if weights[cut : cut + horizon].sum() > 0 and weights[:cut].sum() > 0]
    return active[: settings.max_cuts][::-1]


def interval(truth: np.ndarray, said: np.ndarray, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (k,) of the 80 % interval of the last forecast from the errors of those before it.

    truth (o, k), said (o + 1, k) shares, events (o + 1,) expected in each window. Variance of an error:
    p (1 - p) (a / events + b p (1 - p)): sampling, overdispersed by a, and a moving log-odds of variance b. Errors over
    that deviation give the quantiles, in bins by the expected events of a topic, since small counts are skewed.
    """
    shape = np.maximum(said * (1.0 - said), 1e-12)
    inverse = 1.0 / np.maximum(events, 1.0)[:, None]
    terms = np.stack([np.broadcast_to(inverse, shape.shape), shape])
    past = terms[:, :-1].reshape(2, -1)
    error = (truth - said[:-1]).ravel()
    parts = _variance_parts(past, error**2 / shape[:-1].ravel())
    deviation = np.sqrt(shape * np.einsum("i,iok->ok", parts, terms) + 1e-18)
    counts = said * events[:, None]
    edges = _bin_edges(counts[:-1].ravel())
    of_past, of_last = np.searchsorted(edges, counts[:-1].ravel()), np.searchsorted(edges, counts[-1])
    scaled = error / deviation[:-1].ravel()
    ends = np.array([np.quantile(scaled[of_past == one], [LOW, HIGH]) for one in range(len(edges) + 1)])
    low = said[-1] + np.minimum(ends[of_last, 0], 0.0) * deviation[-1]
    high = said[-1] + np.maximum(ends[of_last, 1], 0.0) * deviation[-1]
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def _variance_parts(terms: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """(2,) a, b >= 0 by least squares, the second time over the variance of a square as first fitted."""
    parts, scale = np.ones(2), np.ones(len(squares))
    for _ in range(2):
        parts, _ = nnls((terms / scale).T, squares / scale)
        scale = np.maximum(parts @ terms, 1e-12)
    return parts


def _bin_edges(counts: np.ndarray) -> np.ndarray:
    """Inner edges, values of counts, of up to five bins of equal number of rows, none of them empty."""
    bins = int(np.clip(len(counts) // _ROWS_PER_BIN, 1, 5))
    edges = np.unique(np.quantile(counts, np.arange(1, bins) / bins, method="lower"))
    return edges[edges < counts.max()] if len(edges) else edges


# AutoARIMA


def _arima(weights: np.ndarray, parents, horizons: Sequence[int], pooled: list[PopulationForecast], settings) -> list:
    weeks = len(weights) // _WEEK
    if weeks < settings.arima_min_weeks or not weights.sum():
        return [one._replace(own=[np.zeros(len(tier), bool) for tier in parents]) for one in pooled]
    weekly = roll_up(weights[len(weights) - weeks * _WEEK :].reshape(weeks, _WEEK, -1).sum(axis=1), parents)
    steps = [horizon // _WEEK for horizon in horizons]
    fits = [_fits(tier, steps, settings) for tier in weekly]
    return [_in_place_of(one, [fit[:, at] for fit in fits]) for at, one in enumerate(pooled)]


def _in_place_of(pooled: PopulationForecast, fits: list[np.ndarray]) -> PopulationForecast:
    """fits: of each tier (2, k) mean and half width, NaN where the pool's forecast stays."""
    found = PopulationForecast([], [], [], [np.isfinite(width) for _, width in fits])
    for tier, (mean, width) in enumerate(fits):
        held = np.clip(mean, 0.0, 1.0)
        made = held, np.maximum(held - width, 0.0), np.minimum(held + width, 1.0)
        kept = pooled.expected[tier], pooled.low[tier], pooled.high[tier]
        for part, ours, pools in zip((found.expected, found.low, found.high), made, kept, strict=True):
            part.append(np.where(found.own[tier], ours, pools))
    return found


def _fits(weekly: np.ndarray, steps: Sequence[int], settings) -> np.ndarray:
    """(2, numbers of steps, k): see `_arima_of`; NaN where there is no fit."""
    totals = weekly.sum(axis=1)
    series = (weekly / np.maximum(totals, 1e-300)[:, None])[totals > 0]
    events = weekly.sum(axis=0)
    found = np.full((2, len(steps), len(events)), np.nan)
    for topic in np.argsort(-events, kind="stable")[: settings.arima_topics]:
        few = events[topic] < settings.arima_min_events or len(series) < settings.arima_min_weeks
        if few or np.ptp(series[:, topic]) < 1e-9:
            continue
        found[:, :, topic] = _arima_of(series[:, topic], steps)
    return found


def _arima_of(series: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """AutoARIMA of one series, orders up to (2, 2, 2): of each number of next steps the mean of their forecasts (first
    row), and half the width of its 80 % interval.

    The error at step h is the sum of psi_i e_{h - i}, so its variances give the psi_i^2, and the mean over the steps
    has the variance sum over shocks of (psi_0 + ... + psi_j)^2 / steps^2. psi_i is taken as positive: the interval is
    too wide, never too narrow, where shocks are followed by their opposite.
    """
    from statsforecast.models import AutoARIMA  # loads statsmodels and, where it is there, Spark: seconds

    model = AutoARIMA(max_p=2, max_q=2, max_order=3, seasonal=False, approximation=True, nmodels=12)
    size = series.mean()  # the library's optimiser stops early on numbers far below one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each model of the search that did not converge
        found = model.forecast(y=np.ascontiguousarray(series / size, dtype=np.float64), h=max(steps), level=[80])
    factor = norm.isf(LOW)
    variances = ((found["hi-80"] - found["lo-80"]) / (2 * factor)) ** 2
    psi = np.sqrt(np.maximum(np.diff(variances, prepend=0.0), 0.0))
    of_sums = np.cumsum(np.cumsum(psi) ** 2)
    means = [found["mean"][:count].mean() for count in steps]
    return size * np.array([means, [factor * np.sqrt(of_sums[count - 1]) / count for count in steps]])
