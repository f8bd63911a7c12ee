"""Whether a user comes back within some days, and how many events that brings. numpy and scipy only, no Spark.

The time after a cut is split at the horizons. For each part one logistic regression says whether a user who has not
come back yet does so in it, and one Poisson regression how many events the part brings: chance and number can only grow
with the horizon. Both are fitted by penalised likelihood on windows after past cuts.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from interest_model.interest.strength import decay
from interest_model.recommend.histories import Histories, between, latest

RATE_HALF_LIVES = (1.0, 3.0, 7.0, 28.0, 112.0)  # days
_COUNTED_DAYS = 365.0  # counts are as of so many days
_LEAST_SEEN_DAYS = 1.0
_ROUNDING_DAYS = 1e-6
_KNOTS = 6  # of each smooth input at most
_NEWTON_STEPS = 30
_MOST_LOG_EVENTS = 12.0


class Reach(NamedTuple):
    """How far back a night reads of a user: to the log's first_day (days since 1970-01-01 UTC), lookback_days at most,
    the latest history_length events of them."""

    first_day: float
    lookback_days: float
    history_length: int

    def as_of(self, users: Histories, cut_day: float) -> Histories:
        """What a night at the cut would have read of the same users, had all events before it arrived by then and the
        items and topics been tonight's: late events count by their time, items last seen before tonight's lookback_days
        not at all. From what tonight reads of the users it could not be told: of who has more events than that, the
        fewer before the cut, the more came after it."""
        return latest(between(users, cut_day - self.lookback_days, cut_day), self.history_length)

    def seen_days(self, known: Histories, cut_day: float) -> np.ndarray:
        """(n,) days before the cut of which all events of each user are known; known: what was read at the cut."""
        seen = np.full(known.n_users, min(cut_day - self.first_day, self.lookback_days))
        full = known.lengths >= self.history_length
        seen[full] = np.minimum(seen[full], cut_day - known.days[known.indptr[:-1][full]])
        return np.maximum(seen, _LEAST_SEEN_DAYS)


class ReturnWindows(NamedTuple):
    """n users at past cuts: values (n, f), see `return_values`; events (n, h) float: events in each part of the time
    after the cut, parts end at the horizons; NaN: the part had not ended."""

    values: np.ndarray
    events: np.ndarray


class ReturnModel(NamedTuple):
    """horizons (h,) days, ascending; reach (3,): the fields of `Reach`; knots (f, k): corners of the piecewise linear
    inputs, by value; mean, scale (c,): of those inputs; hazard, log_events (h, c + 1): coefficients of each part, the
    intercept first."""

    horizons: np.ndarray
    reach: np.ndarray
    knots: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    hazard: np.ndarray
    log_events: np.ndarray


def return_values(histories: Histories, cut_day: float, seen_days: np.ndarray | float) -> np.ndarray:
    """(n, f) float64 inputs from each user's events before cut_day (days since 1970-01-01 UTC); zeros without any.

    Logs of: days since the latest event; decayed events and decayed days acted, by RATE_HALF_LIVES; events; days
    acted; silence in units of the user's mean gap. Then the part of the decayed days acted that fall on the weekday
    after the cut. A day is 24 hours, counted back from the cut.

    seen_days (n,) or one for all: the days before the cut that the events were read of. Decayed sums are as of a log
    without beginning (over 1 - 2^(-seen / half life)), counts as of _COUNTED_DAYS: as they stand they grow with the
    log, and what past cuts of a younger one teach would say too much tonight. Days since the first event are left out.
    """
    known = between(histories, -np.inf, cut_day)
    n, rows, days = known.n_users, known.rows, known.days
    age = cut_day - days
    day = np.ceil(age) - 1.0  # 0: the 24 hours before the cut, with what happened on their first instant
    fresh = np.append(True, (np.diff(day) != 0) | (np.diff(rows) != 0))[: len(days)]
    last, first = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(last, rows, age)
    np.maximum.at(first, rows, age)
    acted = np.isfinite(last)
    last = np.where(acted, last, 0.0)
    active = np.bincount(rows, fresh, n)
    gap = (first - last + 1.0) / np.maximum(active, 1.0)
    left = [decay(age, one) for one in RATE_HALF_LIVES]
    held = [1.0 - decay(seen_days, one) for one in RATE_HALF_LIVES]
    events, days_acted = ([np.bincount(rows, one * counted, n) for one in left] for counted in (1.0, fresh))
    rates = [total / part for total, part in zip(events + days_acted, held * 2, strict=True)]
    counts = [one * (_COUNTED_DAYS / seen_days) for one in (known.lengths, active)]
    logs = [np.log1p(one) for one in (last, *rates, *counts, last / gap)]
    month = RATE_HALF_LIVES.index(28.0)
    same_day = np.bincount(rows, left[month] * fresh * (day % 7 == 6), n)
    return np.stack([*logs, same_day / (days_acted[month] + 0.5)], axis=1) * acted[:, None]


def return_windows(
    histories: Histories,
    known: Histories,
    cut_day: float,
    horizons: np.ndarray,
    reach: Reach,
    until_day: float = np.inf,
) -> ReturnWindows:
    """Users with an event before the cut, and what they did in the parts of the time after it that end at the horizons.

    histories: all events of the users before until_day (and after it: they are not looked at); known: of the same users
    what reach.as_of the cut is read. Put parts together by `merge_returns`.
    """
    acted = known.lengths > 0
    edges = cut_day + np.concatenate([[0.0], horizons])
    parts = [
        between(histories, start, end).lengths
        if end <= until_day + _ROUNDING_DAYS
        else np.full(histories.n_users, np.nan)
        for start, end in zip(edges[:-1], edges[1:], strict=True)
    ]
    values = return_values(known, cut_day, reach.seen_days(known, cut_day))
    return ReturnWindows(values[acted], np.stack(parts, axis=1).astype(np.float64)[acted])


def merge_returns(parts: list[ReturnWindows]) -> ReturnWindows:
    """All windows of the parts. Raises ValueError for no parts."""
    if not parts:
        raise ValueError("merge_returns: no windows to put together")
    return ReturnWindows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def fit_returns(windows: ReturnWindows, horizons: np.ndarray, reach: Reach, ridge: float = 30.0) -> ReturnModel:
    """The regressions of all parts, each from the windows in which it had ended.

    reach: of the windows. ridge: penalty on squared coefficients of scaled inputs; of the numbers of events times their
    variance over their mean (quasi-likelihood, Wedderburn 1974): events of one basket are not independent.

    Raises ValueError without windows, or where the horizons do not ascend, or a part had ended in none of the windows.
    """
    if not len(windows.events) or np.any(np.diff(horizons) <= 0):
        raise ValueError(f"fit_returns: {len(windows.events)} windows, horizons {list(horizons)} (must ascend)")
    knots = _knots(windows.values)
    bent = _bent(windows.values, knots)
    mean, scale = bent.mean(axis=0), bent.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    inputs = _with_intercept((bent - mean) / scale)
    ended = np.isfinite(windows.events)
    if not ended.any(axis=0).all():
        raise ValueError(f"fit_returns: no window in which each part of the horizons {list(horizons)} had ended")
    away = np.cumsum(windows.events, axis=1) - windows.events == 0  # NaN where the part had not ended
    hazard, log_events = [], []
    for came, known, at_risk in zip(windows.events.T, ended.T, away.T, strict=True):
        hazard.append(_fit(inputs[at_risk], came[at_risk] > 0, ridge, _logistic))
        log_events.append(_fit(inputs[known], came[known], ridge * _dispersion(came[known]), _poisson))
    return ReturnModel(
        np.asarray(horizons, float), np.array(reach, float), knots, mean, scale, np.stack(hazard), np.stack(log_events)
    )


def of_users(model: ReturnModel, known: Histories, at_day: float) -> tuple[np.ndarray, np.ndarray]:
    """`returns` of users, of whom a night at at_day has read `known`."""
    reach = Reach(*model.reach)
    return returns(model, return_values(known, at_day, reach.seen_days(known, at_day)))


def returns(model: ReturnModel, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, h) chance of any event and (n, h) expected number of events within each horizon of the model.

    Both grow with the horizon; a number is never below its chance. values (n, f): see `return_values`; meaningless for
    a user without any event.
    """
    inputs = _with_intercept((_bent(values, model.knots) - model.mean) / model.scale)
    stays_away = np.exp(np.cumsum(log_expit(-inputs @ model.hazard.T), axis=1))
    number = np.cumsum(np.exp(np.minimum(inputs @ model.log_events.T, _MOST_LOG_EVENTS)), axis=1)
    chance = 1.0 - stays_away
    return chance, np.maximum(number, chance)


def to_arrays(model: ReturnModel) -> dict[str, np.ndarray]:
    """The parameters by name; `from_arrays` undoes it."""
    return model._asdict()


def from_arrays(arrays: dict[str, np.ndarray]) -> ReturnModel:
    """Raises KeyError where a parameter is missing."""
    return ReturnModel(*(arrays[name] for name in ReturnModel._fields))


def _knots(values: np.ndarray) -> np.ndarray:
    """(f, k) quantiles of each input; the outer ones bound it, so that no line runs on beyond what was seen."""
    return np.quantile(values, np.linspace(0.0, 1.0, _KNOTS), axis=0).T


def _bent(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """(n, f * (k - 1)): each input's way through each interval between knots, 0 below it and 1 above."""
    start, width = knots[:, :-1], np.diff(knots, axis=1)
    passed = np.clip(values[:, :, None] - start, 0.0, width)
    shares = np.divide(passed, width, out=np.zeros_like(passed), where=width > 0)
    return shares.reshape(len(values), start.size)


def _dispersion(counts: np.ndarray) -> float:
    return max(1.0, float(counts.var() / counts.mean())) if counts.any() else 1.0


def _with_intercept(inputs: np.ndarray) -> np.ndarray:
    return np.hstack([np.ones((len(inputs), 1)), inputs])


def _logistic(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, its derivative and -ln likelihood without the data's part: of the logistic regression."""
    mean = expit(linear)
    return mean, mean * (1.0 - mean), -log_expit(-linear)


def _poisson(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean = np.exp(np.minimum(linear, _MOST_LOG_EVENTS))
    return mean, mean, mean


def _fit(inputs: np.ndarray, y: np.ndarray, ridge: float, family) -> np.ndarray:
    """(c,) coefficients of largest penalised likelihood, by Newton's method; a step that does not help is halved.

    The intercept alone is not held back, beyond what keeps it finite where nothing or everything happened.
    """
    penalty = np.full(inputs.shape[1], ridge)
    penalty[0] = 1e-3
    beta = np.zeros(inputs.shape[1])

    def cost(at: np.ndarray) -> float:
        linear = inputs @ at
        return float(family(linear)[2].sum() - linear @ y + (penalty * at**2).sum() / 2)

    now = cost(beta)
    for _ in range(_NEWTON_STEPS):
        mean, slope, _ = family(inputs @ beta)
        gradient = inputs.T @ (mean - y) + penalty * beta
        curvature = (inputs * slope[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while (then := cost(beta - step)) > now and np.abs(step).max() > 1e-9:
            step = step / 2
        beta, gain, now = beta - step, now - then, then
        if gain <= 1e-9 * max(abs(now), 1.0):
            break
    return beta
