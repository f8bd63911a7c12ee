"""Share forecasts of held-out cuts against their baselines: ratios of errors, coverage. For benchmarks/forecasts.py."""

import time
from typing import NamedTuple

import numpy as np
from forecast_logs import Log

from interest_model.evaluation.forecast_metrics import coverage_sums, point_sums, quantile_sums
from interest_model.interest import forecast_features as ff
from interest_model.interest import strength
from interest_model.interest.forecaster import (
    LEVELS,
    Forecaster,
    ShareForecast,
    dense,
    expected_shares,
    inputs_of,
    interval,
    parent_shares,
    quantile_shares,
    raw_quantiles,
    shares,
    sums,
)
from interest_model.interest.states_of_users import StateSettings, states
from interest_model.recommend.histories import take

STATE = StateSettings()
MIN_EVENTS = 5
OUTER = (0, 2, 4)  # of LEVELS: 10, 50 and 90 %, which the pinball loss is summed over
MIDDLE = 2
OWN = {"last state": ff.N_OWN - 1, "long-term mean": ff.HALF_LIVES.index(np.inf)}
OTHERS = ("everybody", "rule", "rule, no trend")


class Held(NamedTuple):
    """One held-out cut: features of n users, their realised shares (n, k), and point forecasts by name (n, k)."""

    at_cut: ff.Features
    truth: np.ndarray
    points: dict[str, np.ndarray]

    def touched(self, shares: np.ndarray) -> np.ndarray:
        return shares[self.at_cut.users, self.at_cut.topics]


def populations(log: Log, tier: int, cut: float) -> np.ndarray:
    """(q, k) everybody's shares at the cut."""
    known = log.histories.days < cut
    items, age = log.histories.items[known], cut - log.histories.days[known]
    n_items = log.tiers[tier].shape[0]
    totals = [
        log.tiers[tier].T @ np.bincount(items, strength.decay(age, one), n_items) for one in ff.POPULATION_HALF_LIVES
    ]
    return np.stack([(one + 1e-9) / (one + 1e-9).sum() for one in totals])


def hold_out(log: Log, tier: int, cut: float, horizon: float) -> Held:
    membership, everybody = log.tiers[tier], populations(log, tier, cut)
    _, events = ff.realised(log.histories, membership, cut, horizon)
    before = ff.counted(log.histories, membership, -np.inf, cut).lengths
    users = take(log.histories, (events >= MIN_EVENTS) & (before > 0))
    at_cut = ff.features(users, membership, everybody, cut, STATE)
    truth = ff.realised(users, membership, cut, horizon)[0].toarray()
    return Held(at_cut, truth, _points(users, membership, at_cut, cut, horizon))


def _points(users, membership, at_cut: ff.Features, cut: float, horizon: float) -> dict[str, np.ndarray]:
    empty = np.zeros((len(at_cut.acted), membership.shape[1]))
    points = {}
    for name, column in OWN.items() | {f"decayed {one:g}": i for i, one in enumerate(ff.HALF_LIVES[:-1])}.items():
        points[name] = empty.copy()
        points[name][at_cut.users, at_cut.topics] = at_cut.shares[:, column]
    found = states(users, membership, at_cut.populations[0], cut, STATE)
    strengths = strength.strengths(empty, at_cut.populations[0], STATE.prior_events)
    strengths[found.users, found.topics], trends = found.strength, empty.copy()
    trends[found.users, found.topics] = found.trend_per_day
    points["rule"] = strength.forecast_shares(strengths, trends, horizon)
    points["rule, no trend"] = strength.forecast_shares(strengths, trends, 0.0)
    points["everybody"] = empty + at_cut.populations[0]
    return points


def best_half_life(windows: ff.Windows, horizon: float) -> int:
    """Which of HALF_LIVES has the smallest mean absolute error on the judged rows of the training windows."""
    rows = _judged_rows(windows, horizon)
    errors = np.abs(windows.shares[rows, : len(ff.HALF_LIVES) - 1] - windows.truth[rows, None]).mean(axis=0)
    return int(np.argmin(errors))


def _judged_rows(windows: ff.Windows, horizon: float) -> np.ndarray:
    return ((windows.events >= MIN_EVENTS) & (windows.horizons == horizon))[windows.windows]


def table_quantiles(past: np.ndarray, truth: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(len(now), 3) quantiles of truth at the OUTER levels among the past rows in the same of 20 bins."""
    edges = np.unique(np.quantile(past, np.linspace(0, 1, 21)[1:-1]))
    bins = np.searchsorted(edges, past, side="right")
    each = [truth[bins == one] for one in range(len(edges) + 1)]
    levels = LEVELS[list(OUTER)]
    table = [np.quantile(one, levels) if len(one) else levels for one in each]
    return np.stack(table)[np.searchsorted(edges, now, side="right")]


def attainable(quantiles: np.ndarray) -> float:
    """Coverage of true quantiles with both ends counted in: where the lower one is zero nothing can lie below it."""
    return float(np.where(quantiles[:, 0] > 0, 0.8, 0.9).mean())


def randomised(past: tuple, now: tuple) -> float:
    """Coverage where a truth equal to an end counts in part, such that in the past a tenth lay beyond each end; per
    bin of the expected share. past, now: truth (r,), quantiles (r, 3), expected (r,)."""
    edges = np.unique(np.quantile(past[2], np.linspace(0, 1, 21)[1:-1]))
    bins = [np.searchsorted(edges, one[2], side="right") for one in (past, now)]

    def cut_off(beyond: np.ndarray, at: np.ndarray) -> np.ndarray:
        sums = [np.bincount(bins[0], one, len(edges) + 1) for one in (np.ones(len(beyond)), beyond, at)]
        return np.clip((0.1 * sums[0] - sums[1]) / np.maximum(sums[2], 1e-9), 0.0, 1.0)[bins[1]]

    y, q, _ = past
    low, high = cut_off(y < q[:, 0], y == q[:, 0]), cut_off(y > q[:, 2], y == q[:, 2])
    y, q, _ = now
    inside = (y >= q[:, 0]) & (y <= q[:, 2])
    return float((inside * np.maximum(1.0 - low * (y == q[:, 0]) - high * (y == q[:, 2]), 0.0)).mean())


def _of_windows(model: Forecaster, windows: ff.Windows, horizon: float) -> tuple:
    """Truth, quantiles and expected shares of the judged training rows."""
    windows = ff.take_windows(windows, (windows.events >= MIN_EVENTS) & (windows.horizons == horizon))
    inputs = inputs_of(model.scale, windows)
    expected, _ = shares(model.mix, model.tilt, inputs, np, sums)
    quantiles = np.clip(raw_quantiles(model.spread, inputs, expected, np), 0.0, 1.0)
    return windows.truth, quantiles[:, OUTER], expected


def judge(held: list[Held], model: Forecaster, windows: ff.Windows, horizon: float) -> tuple[dict, dict]:
    """Figures of one tier and horizon: ratios to each baseline, by baseline; and the model's own."""
    decayed = best_half_life(windows, horizon)
    columns = {**OWN, "decayed mean": decayed}
    said = forecast_all(model, held, horizon)
    ratios = {}
    for name in (*columns, *OTHERS):
        key = f"decayed {ff.HALF_LIVES[decayed]:g}" if name == "decayed mean" else name
        ratios[name] = _ratios(said, held, [one.points[key] for one in held])
        if name in columns:
            past = _judged_rows(windows, horizon)
            base = _touched(held, [one.points[key] for one in held])
            table = table_quantiles(windows.shares[past, columns[name]], windows.truth[past], base)
            ratios[name]["pinball, table"] = said.pinball / _pinball(said.truth, table)
    return ratios, {"users": sum(len(one.truth) for one in held), "half life": ff.HALF_LIVES[decayed]} | _own_figures(
        said, _of_windows(model, windows, horizon)
    )


class Said(NamedTuple):
    """What the model said of all held-out cuts: truth, expected (r,), quantiles (r, 5) of the touched pairs; whole,
    middle: expected shares and medians of all topics; seconds it took."""

    truth: np.ndarray
    expected: np.ndarray
    quantiles: np.ndarray
    whole: list[np.ndarray]
    middle: list[np.ndarray]
    seconds: float

    @property
    def pinball(self) -> float:
        return _pinball(self.truth, self.quantiles[:, OUTER])


def forecast_all(model: Forecaster, held: list[Held], horizon: float) -> Said:
    start = time.perf_counter()
    forecasts = [expected_shares(model, one.at_cut, horizon) for one in held]
    pairs = list(zip(held, forecasts, strict=True))
    quantiles = [quantile_shares(model, one.at_cut, horizon, f.expected) for one, f in pairs]
    seconds = time.perf_counter() - start
    return Said(
        _touched(held, [one.truth for one in held]),
        np.concatenate([one.expected for one in forecasts]),
        np.concatenate(quantiles),
        [dense(f, one.at_cut.populations) for one, f in pairs],
        [_spread_out(one, found[:, MIDDLE]) for one, found in zip(held, quantiles, strict=True)],
        seconds,
    )


def _ratios(said: Said, held: list[Held], points: list[np.ndarray]) -> dict[str, float]:
    base = _touched(held, points)
    truth = [one.truth for one in held]
    of_base, of_all = point_sums(said.truth, base), _mae(truth, points)
    return {
        "MAE touched, expected": point_sums(said.truth, said.expected).mae / of_base.mae,
        "MAE touched, q50": point_sums(said.truth, said.quantiles[:, MIDDLE]).mae / of_base.mae,
        "MAE all, expected": _mae(truth, said.whole) / of_all,
        "MAE all, q50": _mae(truth, said.middle) / of_all,
        "MSE touched, expected": point_sums(said.truth, said.expected).mse / of_base.mse,
        "pinball, point": said.pinball / _pinball(said.truth, np.stack([base] * 3, 1)),
    }


def _own_figures(said: Said, past: tuple) -> dict[str, float]:
    y, q = said.truth, said.quantiles[:, OUTER]
    above = q[:, 0] > 0
    low, high = interval(said.quantiles)
    return {
        "pairs": len(y),
        "MAE touched, expected": point_sums(y, said.expected).mae,
        "MAE touched, q50": point_sums(y, q[:, 1]).mae,
        "truth is zero": (y == 0).mean(),
        "interval covers": coverage_sums(y, low, high).coverage,
        "interval is zero": (high <= 0).mean(),
        "interval covers elsewhere": coverage_sums(y[high > 0], low[high > 0], high[high > 0]).coverage,
        "[q10, q90] covers": coverage_sums(y, q[:, 0], q[:, 2]).coverage,
        "coverage attainable": attainable(q),
        "coverage randomised": randomised(past, (y, q, said.expected)),
        "pairs with q10 > 0": above.mean(),
        "coverage where q10 > 0": coverage_sums(y[above], q[above, 0], q[above, 2]).coverage,
        "at or below q90": quantile_sums(y, said.quantiles, LEVELS).shares_below[-1],
        "rows per second": len(y) / said.seconds,
    }


def _pinball(y: np.ndarray, quantiles: np.ndarray) -> float:
    """Mean pinball loss, summed over the OUTER levels; quantiles (r, 3)."""
    return quantile_sums(y, quantiles, LEVELS[list(OUTER)]).losses.sum()


def _touched(held: list[Held], parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([one.touched(part) for one, part in zip(held, parts, strict=True)])


def _mae(truth: list[np.ndarray], parts: list[np.ndarray]) -> float:
    flat = (np.concatenate([one.ravel() for one in each]) for each in (truth, parts))
    return point_sums(*flat).mae


def _spread_out(held: Held, values: np.ndarray) -> np.ndarray:
    found = np.zeros_like(held.truth)
    found[held.at_cut.users, held.at_cut.topics] = values
    return found


def tiers_together(wide: list[Held], fine: list[Held], models, log: Log, horizon: float) -> dict[str, float]:
    """Errors of expected shares made to add up over those of each tier's own: the wide tier as the sum of the fine one,
    or the fine one scaled to the wide one."""
    errors = np.zeros(6)
    for one, other in zip(wide, fine, strict=True):
        own = expected_shares(models[0], one.at_cut, horizon)
        below = expected_shares(models[1], other.at_cut, horizon)
        added = parent_shares(below, log.parents, other.at_cut.populations, one.at_cut)
        scaled = scale_to_parents(below, added, own, log.parents, one.truth.shape[1])
        errors += [abs(one.touched(one.truth) - found).sum() for found in (added, own.expected)] + [
            *(((one.touched(one.truth) - found) ** 2).sum() for found in (added, own.expected)),
            *(abs(other.touched(other.truth) - found).sum() for found in (scaled, below.expected)),
        ]
    ratios = errors[::2] / errors[1::2]
    return dict(zip(("wide, sums / own: MAE", "wide, sums / own: MSE", "fine, scaled / own: MAE"), ratios, strict=True))


def scale_to_parents(
    children: ShareForecast, added: np.ndarray, own: ShareForecast, parents, n_wide: int
) -> np.ndarray:
    """(r,) children's shares times their parent's own forecast over their sum: the proportions of Gross and Sohl."""
    keys = own.users * n_wide + own.topics
    return (
        children.expected
        * (own.expected / added)[np.searchsorted(keys, children.users * n_wide + parents[children.topics])]
    )
