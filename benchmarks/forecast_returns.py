"""Chance and number of returning events against a Poisson process and BG/NBD. For benchmarks/forecasts.py."""

import time
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from interest_model.evaluation.forecast_metrics import best_threshold, class_sums, point_sums
from interest_model.interest.returning import (
    RATE_HALF_LIVES,
    Reach,
    ReturnModel,
    ReturnWindows,
    fit_returns,
    merge_returns,
    return_windows,
    returns,
)
from interest_model.interest.strength import decay
from interest_model.recommend.histories import Histories, between

HORIZONS = np.array([1.0, 7.0, 28.0])
TRAINING_CUTS, WARM_UP_DAYS = 8, 21


class Fitted(NamedTuple):
    """What past windows teach: the model and the seconds it took to fit, the half life (days) of the decayed rate that
    served them best, the parameters of BG/NBD."""

    model: ReturnModel
    seconds: float
    half_life: float
    bg_nbd: np.ndarray


class Said(NamedTuple):
    """Of n users: chances and numbers of events by name, each (n, h); events (n, h): how many there were."""

    chances: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    events: np.ndarray


def print_returns(name: str, histories: Histories, until: float) -> None:
    """Judges windows after `until` by what those before it teach. Thresholds are of the latest window before it, said
    by what the windows that had ended when it began teach."""
    first, last = histories.days.min(), histories.days.max()
    cuts = [one for one in until - HORIZONS[-1] - 7.0 * np.arange(TRAINING_CUTS) if one >= first + WARM_UP_DAYS]
    test_cuts = np.arange(until, last - HORIZONS[-1], 7.0)
    earlier = fitted(histories, [one for one in cuts if one + HORIZONS[-1] <= cuts[0]])
    limits = thresholds(said(earlier, histories, cuts[:1]))
    learned = fitted(histories, cuts)
    now = said(learned, histories, test_cuts)
    print(f"{name}, returns: {len(now.events):,} users at {len(test_cuts)} cuts, {learned.seconds:.1f} s to fit")
    for column in range(len(HORIZONS)):
        print_horizon(now, limits, column)


def fitted(histories: Histories, cuts: list[float]) -> Fitted:
    """Of windows after the cuts, the latest first."""
    past = windows_of(histories, cuts)
    start = time.perf_counter()
    model = fit_returns(past, HORIZONS, whole_log(histories))
    seconds = time.perf_counter() - start
    half_life = best_rate([rates(histories, cuts, one) for one in RATE_HALF_LIVES], past)
    return Fitted(model, seconds, half_life, fit_bg_nbd(*recency_frequency(histories, cuts[0] + HORIZONS[-1])))


def whole_log(histories: Histories) -> Reach:
    """All events of all users are read at every cut."""
    return Reach(histories.days.min(), np.inf, histories.days.size + 1)


def windows_of(histories: Histories, cuts) -> ReturnWindows:
    reach = whole_log(histories)
    each = (return_windows(histories, reach.as_of(histories, cut), cut, HORIZONS, reach) for cut in cuts)
    return merge_returns(list(each))


def said(learned: Fitted, histories: Histories, cuts) -> Said:
    """Of the users of `return_windows` at all cuts."""
    windows = windows_of(histories, cuts)
    chance, number = returns(learned.model, windows.values)
    daily, rate = (rates(histories, cuts, learned.half_life, of_days)[:, None] * HORIZONS for of_days in (True, False))
    purchases = [recency_frequency(histories, cut) for cut in cuts]
    bg = [np.concatenate([bg_nbd_chance(learned.bg_nbd, *one, horizon) for one in purchases]) for horizon in HORIZONS]
    chances = {"model": chance, "Poisson": 1 - np.exp(-daily), "BG/NBD": np.stack(bg, axis=1)}
    return Said(chances, {"model": number, "by rate": rate}, np.cumsum(windows.events, axis=1))


def thresholds(validation: Said) -> dict[str, list[float]]:
    """Of each kind the chance at each horizon from which on to say that a user comes back: the largest F1."""
    came = validation.events > 0
    columns = range(len(HORIZONS))
    return {
        kind: [best_threshold(came[:, one], chance[:, one]) for one in columns]
        for kind, chance in validation.chances.items()
    }


def print_horizon(now: Said, limits: dict[str, list[float]], column: int) -> None:
    events, model = now.events[:, column], now.chances["model"][:, column]
    came = events > 0
    print(f"    {HORIZONS[column]:g} days: came back {came.mean():.3f}, mean chance {model.mean():.3f}")
    for kind, chance in now.chances.items():
        one, limit = chance[:, column], limits[kind][column]
        decided = class_sums(came, one, limit)
        print(
            f"      {kind:8s} log loss {log_loss(came, one):.4f}  Brier {np.mean((one - came) ** 2):.4f}"
            f"  calibration error {calibration_error(came, one):.4f}"
            f"  from {limit:.3f} on: accuracy {decided.accuracy:.3f}  precision {decided.precision:.3f}"
            f"  recall {decided.recall:.3f}  F1 {decided.f1:.3f}"
        )
    for kind, number in now.numbers.items():
        off = point_sums(events, number[:, column])
        print(
            f"      {kind:8s} events {events.mean():.3f}, expected {number[:, column].mean():.3f}"
            f"  MAE {off.mae:.3f}  RMSE {off.rmse:.3f}  R2 {off.r2:.3f}"
        )


def rates(histories: Histories, cuts, half_life: float, of_days: bool = True) -> np.ndarray:
    """Decayed days acted (or events) per day of the users of `return_windows` at all cuts."""
    found = []
    for cut in cuts:
        known = between(histories, -np.inf, cut)
        counts = _first_of_day(known) if of_days else 1.0
        weights = np.bincount(known.rows, counts * decay(cut - known.days, half_life), known.n_users)
        found.append(weights[known.lengths > 0] * np.log(2) / half_life)
    return np.concatenate(found)


def _first_of_day(known: Histories) -> np.ndarray:
    return np.append(True, (np.diff(np.floor(known.days)) != 0) | (np.diff(known.rows) != 0))


def best_rate(each: list[np.ndarray], windows: ReturnWindows) -> float:
    """The half life with the smallest log loss at 7 days on the training windows."""
    came = windows.events[:, :2].sum(axis=1) > 0
    return RATE_HALF_LIVES[int(np.argmin([log_loss(came, 1 - np.exp(-rate * 7.0)) for rate in each]))]


def log_loss(came: np.ndarray, chance: np.ndarray) -> float:
    chance = np.clip(chance, 1e-4, 1 - 1e-4)
    return float(-np.mean(np.where(came, np.log(chance), np.log1p(-chance))))


def calibration_error(came: np.ndarray, chance: np.ndarray) -> float:
    """Mean distance of chance and share in ten groups of equal size."""
    groups = np.array_split(np.argsort(chance, kind="stable"), 10)
    return float(np.mean([abs(chance[one].mean() - came[one].mean()) for one in groups]))


def recency_frequency(histories: Histories, cut: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x repeat days, t_x day of the last since the first, T days since the first: of users with an event before cut."""
    known = between(histories, -np.inf, cut)
    some = known.lengths > 0
    first, last = known.days[known.indptr[:-1][some]], known.days[known.indptr[1:][some] - 1]
    return np.bincount(known.rows, _first_of_day(known), known.n_users)[some] - 1.0, last - first, cut - first


def fit_bg_nbd(x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> np.ndarray:
    """ln (r, alpha, a, b) of largest likelihood, with a weak pull to zero (Fader, Hardie and Lee 2005)."""

    def cost(logs: np.ndarray) -> float:
        r, alpha, a, b = np.exp(logs)
        start = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        start += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        alive = -(r + x) * np.log(alpha + age)
        left = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x), -np.inf)
        return float(-(start + np.logaddexp(alive, left)).mean() + 1e-3 * (logs**2).sum())

    return minimize(cost, np.zeros(4), method="Nelder-Mead", options={"maxiter": 800}).x


def bg_nbd_chance(logs: np.ndarray, x, t_x, age, horizon: float) -> np.ndarray:
    """Chance of a purchase within the horizon: alive, and the rate's Gamma posterior leaves the horizon not empty."""
    r, alpha, a, b = np.exp(logs)
    odds = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x), 0.0)
    return (1 - ((alpha + age) / (alpha + age + horizon)) ** (r + x)) / (1 + odds)
