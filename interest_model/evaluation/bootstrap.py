"""Poisson bootstrap over users with weights from a hash of the user, so that sums merge by adding. No Spark.

Replicate r counts a user w times, w drawn from Poisson(1) by hash(user_id, seed, r). The same user has the same
weights in every partition, on every night and for every model: sums per replicate add up across all of them, nights of
one user stay together, and two models stay paired. (Chamandy et al. 2012, "Estimating Uncertainty for Massive Data
Streams".)
"""

import hashlib
import math

import numpy as np

_CUMULATIVE = np.cumsum([math.exp(-1.0) / math.factorial(count) for count in range(16)])


def weights(user_ids: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """(u, replicates) float64 Poisson(1) counts of each user in each replicate."""
    keys = [hashlib.blake2b(f"{seed}:{user}".encode(), digest_size=8).digest() for user in user_ids]
    start = np.frombuffer(b"".join(keys), dtype="<u8").astype(np.uint64)
    step = np.arange(1, replicates + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    uniform = _mixed(start[:, None] + step[None, :]) / 2.0**53
    return np.searchsorted(_CUMULATIVE, uniform, side="right").astype(np.float64)


def _mixed(state: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele et al. 2014), upper 53 bits as float64; arithmetic wraps modulo
    2**64."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(11)).astype(np.float64)


def interval(sums: np.ndarray, counts: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a mean from merged sums (r,) and user weights (r,) per replicate; NaN without any user."""
    return _percentiles(_means(sums, counts), level)


def paired_interval(first, second, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of mean(first) - mean(second), each a pair (sums (r,), counts (r,)) merged over the same
    users."""
    return _percentiles(_means(*first) - _means(*second), level)


def _means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
