"""Status of an interest by stated tests: new, rising, stable, fading, gone, returning; and whether it moved at once.

A visit is one trial: it is about a topic (a hit) or not. Where nothing moved, a user's hits are exchangeable over the
visits, so the tests of silence are exact and need no estimate of a share. No Spark.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, gammaln, logit
from scipy.stats import norm

STATUSES = ("new", "rising", "stable", "fading", "gone", "returning")
NEW, RISING, STABLE, FADING, GONE, RETURNING = range(len(STATUSES))
SLOW_STEPS = 10  # Newton steps for a slow move


@dataclass(frozen=True)
class StatusRule:
    """What a status takes.

    level: chance that a constant interest is called anything but stable. Half of it goes to the trend (two-sided), a
    sixth to each test of silence (gone, new, returning), so that they hold together (Bonferroni).
    sudden_level: chance that a constant interest is flagged sudden.
    min_trend_per_day: logit per day; a smaller trend is stable however sure it is (0.01: odds x 1.32 in 28 days).
    silent_days: days without the topic before it can be gone, or can have been gone and return.
    new_days, returning_days, sudden_days: days back from the night in which the first visit, the visit that came back,
    or the step must lie.
    """

    level: float = 0.05
    sudden_level: float = 0.05
    min_trend_per_day: float = 0.01
    silent_days: float = 14.0
    new_days: float = 28.0
    returning_days: float = 28.0
    sudden_days: float = 28.0

    @property
    def log_silence_level(self) -> float:
        return math.log(self.level / 6)

    @property
    def log_returning_level(self) -> float:
        """As often as silences that ended within returning_days fit into them, there is a chance of error."""
        return self.log_silence_level - math.log(max(1.0, math.ceil(self.returning_days / self.silent_days)))

    @property
    def trend_z(self) -> float:
        """How many standard errors from zero a trend must lie."""
        return float(norm.isf(self.level / 4))


@dataclass(frozen=True, eq=False)
class Hits:
    """Which visits of n users were about which topic, for p pairs of a user and a topic.

    visit_indptr (n + 1,) int64: user k's visits are visit_indptr[k]:visit_indptr[k + 1], oldest first; visit_days
    (v,) float64: days since 1970-01-01 UTC; users (p,) int64: the user of each pair; indptr (p + 1,) int64: pair i's
    hits are visits[indptr[i]:indptr[i + 1]]; visits (h,) int64: positions in visit_days, ascending within a pair.
    """

    visit_indptr: np.ndarray
    visit_days: np.ndarray
    users: np.ndarray
    indptr: np.ndarray
    visits: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """(p,) hits of each pair."""
        return np.diff(self.indptr)

    @cached_property
    def pairs(self) -> np.ndarray:
        """(h,) the pair of each hit."""
        return np.repeat(np.arange(len(self.users)), self.counts)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(h,) how many visits the user had before the hit."""
        return self.visits - self.visit_indptr[self.users[self.pairs]]

    @cached_property
    def n_visits(self) -> np.ndarray:
        """(p,) visits of each pair's user."""
        return np.diff(self.visit_indptr)[self.users]

    @cached_property
    def keys(self) -> np.ndarray:
        """(h,) ascending numbers of (pair, visit)."""
        return self.key(self.pairs, self.visits)

    def key(self, pairs: np.ndarray, visits: np.ndarray) -> np.ndarray:
        """Number of (pair, visit); one larger than the last visit is allowed."""
        return pairs * (len(self.visit_days) + 1) + visits


def statuses(hits: Hits, trend: np.ndarray, trend_se: np.ndarray, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) int8 codes of STATUSES. The first that holds: gone, new, returning, rising, fading, stable.

    Gone comes first: it is about the topic's last days. New comes before returning: what is younger than new_days
    cannot have been away for long. trend, trend_se (p,): per day. A pair without hits is judged by its trend alone.
    """
    sure = (np.abs(trend) > rule.trend_z * trend_se) & (np.abs(trend) >= rule.min_trend_per_day)
    status = np.where(sure, np.where(trend > 0, RISING, FADING), STABLE)
    status[returning(hits, at_day, rule)] = RETURNING
    status[new(hits, at_day, rule)] = NEW
    status[gone(hits, at_day, rule)] = GONE
    return status.astype(np.int8)


def gone(hits: Hits, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) bool: silent for silent_days, and the latest visits without the topic are too many to be chance.

    With s silent visits at the end and c hits among the s visits before them (or all, where there are fewer), chance
    puts all hits before the silence in C(w, c) / C(w + s, c) of all orders, w the visits looked at before it. Looking
    back no further than the silence is long keeps a slow decline from being taken for an end.
    """
    some = hits.counts > 0
    last = hits.indptr[1:][some] - 1
    silent = (hits.n_visits[some] - 1) - hits.numbers[last]
    found = np.zeros(len(hits.users), dtype=bool)
    long = at_day - hits.visit_days[hits.visits[last]] >= rule.silent_days
    found[some] = long & (_log_chance_of_end(hits, last, silent) <= rule.log_silence_level)
    return found


def new(hits: Hits, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) bool: first visit within new_days, and the visits before it are too many without the topic to be chance.

    The mirror image of `gone`: f visits before the first hit, c hits among the f visits from it on (or all).
    """
    some = hits.counts > 0
    first = hits.indptr[:-1][some]
    silent = hits.numbers[first]
    window = np.minimum(silent, hits.n_visits[some] - silent)
    inside = _hits_before(hits, first, hits.visits[first] + window) - first
    recent = hits.visit_days[hits.visits[first]] >= at_day - rule.new_days
    found = np.zeros(len(hits.users), dtype=bool)
    found[some] = recent & (_log_chance_of_silence(window, silent, inside) <= rule.log_silence_level)
    return found


def returning(hits: Hits, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) bool: within returning_days the topic came back from a silence in which it had been gone.

    The test of `gone` on the visits up to the return, at a smaller level (`log_returning_level`).
    """
    pairs = hits.pairs
    later = np.flatnonzero(pairs[1:] == pairs[:-1]) + 1
    days = hits.visit_days[hits.visits]
    back = days[later] >= at_day - rule.returning_days
    later = later[back & (days[later] - days[later - 1] >= rule.silent_days)]
    silent = hits.visits[later] - hits.visits[later - 1] - 1
    unlikely = _log_chance_of_end(hits, later - 1, silent) <= rule.log_returning_level
    found = np.zeros(len(hits.users), dtype=bool)
    found[pairs[later[unlikely]]] = True
    return found


def _log_chance_of_end(hits: Hits, last: np.ndarray, silent: np.ndarray) -> np.ndarray:
    """Log chance of `silent` visits without a hit after hit number `last`, given the hits in as many before them."""
    window = np.minimum(silent, hits.numbers[last] + 1)
    inside = last + 1 - _hits_before(hits, last, hits.visits[last] + 1 - window)
    return _log_chance_of_silence(window, silent, inside)


def _hits_before(hits: Hits, of: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Position of the first hit of the same pair as hit number `of` that is not before the stated visit."""
    return np.searchsorted(hits.keys, hits.keys[of] - hits.visits[of] + visits)


def _log_chance_of_silence(window: np.ndarray, silent: np.ndarray, count: np.ndarray) -> np.ndarray:
    """ln [C(window, count) / C(window + silent, count)]: all hits fall into the window, none into the silent visits."""
    return (
        gammaln(window + 1)
        - gammaln(window - count + 1)
        - gammaln(window + silent + 1)
        + gammaln(window + silent - count + 1)
    )


def sudden(hits: Hits, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) bool: the share moved in one step within the last sudden_days.

    The binomial likelihood ratio of "one share before the cut, another after it" against "one share", its maximum over
    all cuts (Worsley 1983, Biometrika 70). The ratio is convex in the cut between two hits, so only cuts beside a hit
    can be the best. All of these must hold: the maximum is significant (`chance_of_maximum`); the best cut, of equal
    ones the latest, lies in the last sudden_days; and a slow move is the worse account by Akaike's criterion: the step,
    with one parameter more, has a ratio larger by more than 2 than the best slow logistic move. A move is slow where it
    takes sudden_days or longer from a tenth to nine tenths: a logit of 2 ln 9 / sudden_days a day at most.
    """
    found = np.zeros(len(hits.users), dtype=bool)
    if not len(hits.visits):
        return found
    ratio, cuts = scan(hits)
    recent = hits.visit_days[np.minimum(cuts, len(hits.visit_days) - 1)] >= at_day - rule.sudden_days
    best, best_recent = _most(hits, ratio), _most(hits, np.where(recent, ratio, -1.0))
    chance = chance_of_maximum(np.sqrt(best), hits.n_visits)
    steps = np.flatnonzero((best_recent >= best) & (chance <= rule.sudden_level))
    slow = slow_ratio(hits, steps, 2 * math.log(9.0) / rule.sudden_days)
    found[steps] = best[steps] - slow > 2.0
    return found


def scan(hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """(2 h,) likelihood ratio of the cut before and after each hit, and the first visit after that cut.

    A cut before the first or after the last visit is none: its ratio is zero.
    """
    pairs, logs = hits.pairs, _x_log_x(int(hits.n_visits.max()))
    count, visits = hits.counts[pairs], hits.n_visits[pairs]
    rank = np.arange(len(pairs)) - hits.indptr[pairs]
    whole = _fit(logs, hits.counts, hits.n_visits)[pairs]
    ratio = np.empty((len(pairs), 2))
    for side in (0, 1):
        hit, seen = rank + side, hits.numbers + side
        parts = _fit(logs, hit, seen) + _fit(logs, count - hit, visits - seen)
        ratio[:, side] = np.maximum(2 * (parts - whole), 0.0)
    return ratio.ravel(), (hits.visits[:, None] + [0, 1]).ravel()


def _most(hits: Hits, of_cuts: np.ndarray) -> np.ndarray:
    """(p,) largest of the (2 h,) numbers of each pair's cuts, zero for a pair without hits."""
    most = np.zeros(len(hits.users))
    some = np.flatnonzero(hits.counts)
    most[some] = np.maximum.reduceat(of_cuts, 2 * hits.indptr[some])
    return most


def slow_ratio(hits: Hits, pairs: np.ndarray, steepest: float) -> np.ndarray:
    """Likelihood ratio, for the stated pairs (c,), of the best logistic move no steeper than `steepest` (logit per day)
    against one share.

    Newton's method on level and slope, the slope held in its bounds, steps of at most two logits; the likelihood is
    concave and ten steps are enough; the best of all steps counts.
    """
    lengths = hits.n_visits[pairs]
    ends = np.cumsum(lengths)
    rows = np.repeat(np.arange(len(pairs)), lengths)
    visits = np.arange(len(rows)) + (hits.visit_indptr[hits.users[pairs]] - (ends - lengths))[rows]
    found = np.searchsorted(hits.keys, hits.key(pairs[rows], visits))
    hit = hits.keys[np.minimum(found, len(hits.keys) - 1)] == hits.key(pairs[rows], visits)
    days = hits.visit_days[visits]
    days = days - (np.bincount(rows, days, len(pairs)) / lengths)[rows]
    return _best_slow_fit(rows, days, hit.astype(np.float64), steepest)


def _best_slow_fit(rows: np.ndarray, days: np.ndarray, hit: np.ndarray, steepest: float) -> np.ndarray:
    n = int(rows[-1]) + 1 if len(rows) else 0
    share = np.bincount(rows, hit, n) / np.bincount(rows, minlength=n)
    level, slope = logit(np.clip(share, 1e-9, 1 - 1e-9)), np.zeros(n)
    one_share = best = None
    for _ in range(SLOW_STEPS):
        logits = level[rows] + slope[rows] * days
        fit = np.bincount(rows, hit * logits - np.logaddexp(0.0, logits), n)
        one_share = fit if one_share is None else one_share
        best = fit if best is None else np.maximum(best, fit)
        chance = expit(logits)
        noise = np.maximum(chance * (1 - chance), 1e-12)
        level, slope = _newton(rows, days, hit - chance, noise, (level, slope), steepest)
    return 2 * (best - one_share)


def _newton(rows, days, missed, noise, at, steepest: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of both parameters; of the level alone where the slope would leave its bounds."""
    level, slope = at
    n = len(level)
    by_level, by_slope = np.bincount(rows, missed, n), np.bincount(rows, missed * days, n)
    both, mixed, squared = (np.bincount(rows, noise * days**power, n) for power in (0, 1, 2))
    determinant = np.maximum(both * squared - mixed**2, 1e-12)
    wanted = slope + (both * by_slope - mixed * by_level) / determinant
    held = np.clip(wanted, -steepest, steepest)
    step = (by_level - mixed * (held - slope)) / both
    return level + np.clip(step, -2.0, 2.0), held


def _x_log_x(most: int) -> np.ndarray:
    values = np.arange(most + 1, dtype=np.float64)
    values[1:] *= np.log(values[1:])
    return values


def _fit(logs: np.ndarray, hits: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Highest binomial log likelihood of `hits` in `visits`; logs: x ln x of whole x."""
    return logs[hits] + logs[visits - hits] - logs[visits]


def chance_of_maximum(largest: np.ndarray, n_visits: np.ndarray) -> np.ndarray:
    """Chance that the largest of all cuts' signed roots (standard normal each) is at least `largest`, with no step.

    phi(b) (b - 1 / b) ln[(1 - e)^2 / e^2] + 4 phi(b) / b with e = 1 / n (Miller and Siegmund 1982, "Maximally selected
    chi square statistics", Biometrics 38). Below b = 1, where it does not hold, b = 1 is taken (chance 0.97).
    """
    root = np.maximum(largest, 1.0)
    span = 2 * np.log(np.maximum(n_visits - 1.0, 1.0))
    return np.minimum(norm.pdf(root) * ((root - 1 / root) * span + 4 / root), 1.0)
