"""Chance and number of returning events against a Poisson process and BG/NBD. For benchmarks/forecasts.py."""

import time

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from interest_model.interest.returning import (
    RATE_HALF_LIVES,
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


def print_returns(name: str, histories: Histories, until: float) -> None:
    first, last = histories.days.min(), histories.days.max()
    cuts = [one for one in until - HORIZONS[-1] - 7.0 * np.arange(TRAINING_CUTS) if one >= first + WARM_UP_DAYS]
    test_cuts = np.arange(until, last - HORIZONS[-1], 7.0)
    past, now = (
        merge_returns([return_windows(histories, cut, HORIZONS) for cut in each]) for each in (cuts, test_cuts)
    )
    start = time.perf_counter()
    model = fit_returns(past, HORIZONS)
    seconds = time.perf_counter() - start
    chance, number = returns(model, now.values)
    half_life = best_rate([rates(histories, cuts, one) for one in RATE_HALF_LIVES], past)
    daily, rate = (rates(histories, test_cuts, half_life, of_days) for of_days in (True, False))
    parameters = fit_bg_nbd(*recency_frequency(histories, until))
    purchases = [recency_frequency(histories, cut) for cut in test_cuts]
    events = np.cumsum(now.events, axis=1)
    print(f"{name}, returns: {len(now.events):,} users at {len(test_cuts)} cuts, {seconds:.1f} s to fit")
    for column, horizon in enumerate(HORIZONS):
        came = events[:, column] > 0
        bg = np.concatenate([bg_nbd_chance(parameters, *one, horizon) for one in purchases])
        print(f"    {horizon:g} days: came back {came.mean():.3f}, mean chance {chance[:, column].mean():.3f}")
        others = {"model": chance[:, column], "Poisson": 1 - np.exp(-daily * horizon), "BG/NBD": bg}
        for kind, one in others.items():
            print(
                f"      {kind:8s} log loss {log_loss(came, one):.4f}  Brier {np.mean((one - came) ** 2):.4f}"
                f"  calibration error {calibration_error(came, one):.4f}"
            )
        error = [np.abs(one - events[:, column]).mean() for one in (number[:, column], rate * horizon)]
        print(
            f"      events {events[:, column].mean():.3f}, expected {number[:, column].mean():.3f}, by rate"
            f" {rate.mean() * horizon:.3f}; absolute error / by rate {error[0] / error[1]:.3f}"
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
