"""Metrics of forecasts and of classifiers as sums that merge by adding: per partition, night or user. numpy only.

A figure is made in two steps, so that partitions need no common memory: `*_sums` of any part of the rows, added with +,
then a property of the total. Weights count a row as so many rows.
"""

from dataclasses import dataclass, fields

import numpy as np


class _Sums:
    """Adds field by field."""

    def __add__(self, other):
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True)
class PointSums(_Sums):
    """Sums over rows of truth y and forecast f: weight, |y - f|, (y - f)^2, y, y^2."""

    weight: float
    absolute: float
    squared: float
    total: float
    total_squares: float

    @property
    def mae(self) -> float:
        """Mean absolute error, unit of y."""
        return self.absolute / self.weight if self.weight else np.nan

    @property
    def mse(self) -> float:
        """Mean squared error, unit of y squared."""
        return self.squared / self.weight if self.weight else np.nan

    @property
    def rmse(self) -> float:
        return float(np.sqrt(self.mse))

    @property
    def r2(self) -> float:
        """1 - squared error over the squared distance of y to its mean; NaN where y does not vary."""
        spread = self.total_squares - self.total**2 / self.weight if self.weight else 0.0
        return 1.0 - self.squared / spread if spread > 1e-12 * max(self.total_squares, 1e-300) else np.nan


def point_sums(y: np.ndarray, forecast: np.ndarray, weights: np.ndarray | float = 1.0) -> PointSums:
    """Sums of rows y (n,), forecast (n,), weights (n,) or one for all."""
    weights = np.broadcast_to(np.asarray(weights, dtype=np.float64), np.shape(y))
    error = y - forecast
    columns = (np.ones_like(error), np.abs(error), error**2, y, y**2)
    return PointSums(*(float((weights * column).sum()) for column in columns))


@dataclass(frozen=True)
class ScaleSums(_Sums):
    """Sums for MASE: weight and scaled absolute error."""

    weight: float
    scaled: float

    @property
    def mase(self) -> float:
        """Mean absolute scaled error (Hyndman and Koehler 2006): one is as good as the naive forecast in the past."""
        return self.scaled / self.weight if self.weight else np.nan


def scale_sums(y: np.ndarray, forecast: np.ndarray, past: np.ndarray, season: int = 1) -> ScaleSums:
    """MASE sums of one series each row: y, forecast (s, h), past (s, t) with t > season, the values before.

    Scaled by the mean absolute difference of `season` steps within the past; a series that never moved there is left
    out, since its scale is zero.
    """
    scale = np.abs(past[:, season:] - past[:, :-season]).mean(axis=1)
    moves = scale > 0
    scaled = np.abs(y - forecast)[moves] / scale[moves, None]
    return ScaleSums(float(scaled.size), float(scaled.sum()))


@dataclass(frozen=True)
class QuantileSums(_Sums):
    """Sums over rows for q quantile levels: weight, pinball loss (q,), rows at or below the quantile (q,)."""

    weight: float
    pinball: np.ndarray
    below: np.ndarray

    @property
    def losses(self) -> np.ndarray:
        """(q,) mean pinball loss of each level, unit of y."""
        return self.pinball / self.weight

    @property
    def shares_below(self) -> np.ndarray:
        """(q,) share of rows at or below the forecast quantile; calibrated where it equals the level."""
        return self.below / self.weight


def quantile_sums(y: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> QuantileSums:
    """Sums of rows y (n,) and their forecast quantiles (n, q) at the levels (q,) in (0, 1).

    Pinball loss (Koenker and Bassett 1978): level * (y - f) where y >= f, else (1 - level) * (f - y).
    """
    error = y[:, None] - quantiles
    loss = np.maximum(levels * error, (levels - 1.0) * error)
    return QuantileSums(float(len(y)), loss.sum(axis=0), (error <= 0).sum(axis=0).astype(np.float64))


@dataclass(frozen=True)
class CoverageSums(_Sums):
    """Rows, and rows whose truth lay within the interval, its ends included."""

    weight: float
    inside: float

    @property
    def coverage(self) -> float:
        return self.inside / self.weight if self.weight else np.nan


def coverage_sums(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> CoverageSums:
    return CoverageSums(float(len(y)), float(((y >= low) & (y <= high)).sum()))


@dataclass(frozen=True)
class ClassSums(_Sums):
    """Counts of a two-class decision: true and false positives, false and true negatives."""

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float

    @property
    def accuracy(self) -> float:
        return _ratio(self.true_positive + self.true_negative, sum(getattr(self, one.name) for one in fields(self)))

    @property
    def precision(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)


def class_sums(y: np.ndarray, score: np.ndarray, threshold: float) -> ClassSums:
    """Counts of rows y (n,) bool decided by score (n,) >= threshold."""
    said = score >= threshold
    return ClassSums(*(float(part.sum()) for part in (said & y, said & ~y, ~said & y, ~said & ~y)))


def best_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """The threshold with the largest F1 on rows y (n,) bool, score (n,): to be chosen on validation rows only.

    The largest of equals; infinity where no row is positive (nothing should be said then).
    """
    if not y.any():
        return np.inf
    order = np.argsort(-score, kind="stable")
    hits, said = np.cumsum(y[order]), np.arange(1, len(y) + 1)
    f1 = 2.0 * hits / (said + y.sum())
    last_of_tie = np.append(score[order][1:] != score[order][:-1], True)
    return float(score[order][np.argmax(np.where(last_of_tie, f1, -1.0))])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan
