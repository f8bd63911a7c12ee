"""Status of an interest by stated tests: new, rising, stable, fading, gone, returning; and whether it moved at once.

A visit is one trial: it is about a topic (a hit) or not. Where nothing moved, a user's hits are exchangeable over the
visits, so the tests behind a status need no estimate of a share. No Spark.
"""

import math
from dataclasses import dataclass

import numpy as np

from interest_model.interest import moves
from interest_model.interest.hits import Hits, latest

STATUSES = ("new", "rising", "stable", "fading", "gone", "returning")
NEW, RISING, STABLE, FADING, GONE, RETURNING = range(len(STATUSES))


@dataclass(frozen=True)
class StatusRule:
    """What a status takes.

    level: chance that a constant interest is called anything but stable. 84 % of it go to the trend (both sides), 4 %
    each to gone and new, 8 % to returning, so that they hold together (Bonferroni). A silence leaves a plain mark and
    a gradual move a faint one: so the trend has the most.
    sudden_level: chance that a constant interest is flagged sudden.
    min_trend_per_day: logit per day; a smaller trend is stable however sure it is (0.01: odds x 1.32 in 28 days).
    silent_days: days without the topic before it can be gone, or can have been gone and return.
    new_days, returning_days, sudden_days: days back from the night in which the first visit, the visit that came back,
    or the step must lie.
    trend_days: days back from the night whose visits say whether an interest rises or fades (84: three half lives of
    evidence; what moved before and has stayed since is stable).
    """

    level: float = 0.05
    sudden_level: float = 0.05
    min_trend_per_day: float = 0.01
    silent_days: float = 14.0
    new_days: float = 28.0
    returning_days: float = 28.0
    sudden_days: float = 28.0
    trend_days: float = 84.0

    @property
    def trend_level(self) -> float:
        """Of each side: rising, fading."""
        return 0.42 * self.level

    @property
    def log_silence_level(self) -> float:
        return math.log(0.04 * self.level)

    @property
    def log_returning_level(self) -> float:
        """As often as silences that ended within returning_days fit into them, there is a chance of error."""
        return math.log(0.08 * self.level) - math.log(max(1.0, math.ceil(self.returning_days / self.silent_days)))

    @property
    def steepest(self) -> float:
        """Logit per day of a slow move at most: it takes sudden_days or longer from a tenth to nine tenths."""
        return 2 * math.log(9.0) / self.sudden_days


def statuses(hits: Hits, trend: np.ndarray, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) int8 codes of STATUSES. The first that holds: gone, new, returning, rising, fading, stable.

    Gone comes first: it is about the topic's last days. New comes before returning: what is younger than new_days
    cannot have been away for long. But rising and fading come before all three where a slow move explains the visits of
    the last trend_days better than the silence does (`silence_is_better`). trend (p,): per day. A pair without hits is
    stable.
    """
    recent = latest(hits, at_day - rule.trend_days)
    slow = rising_or_fading(recent, trend, rule)
    status = slow.copy()
    status[returning(hits, at_day, rule)] = RETURNING
    status[new(hits, at_day, rule)] = NEW
    status[gone(hits, at_day, rule)] = GONE
    both = np.flatnonzero((slow != STABLE) & (status != slow))
    slower = both[~silence_is_better(recent, both, status[both], rule)]
    status[slower] = slow[slower]
    return status.astype(np.int8)


def rising_or_fading(recent: Hits, trend: np.ndarray, rule: StatusRule) -> np.ndarray:
    """(p,) codes RISING, FADING or STABLE, from the visits of the last trend_days.

    The rank test (`moves.rank_chance`) decides; the trend must be of the same sign and large enough, so that no status
    contradicts trend_per_day.
    """
    late, chance = moves.lateness(recent)
    sure = (chance <= rule.trend_level) & (np.abs(trend) >= rule.min_trend_per_day) & (late * trend > 0)
    return np.where(sure, np.where(trend > 0, RISING, FADING), STABLE)


def silence_is_better(recent: Hits, pairs: np.ndarray, status: np.ndarray, rule: StatusRule) -> np.ndarray:
    """(c,) bool, for the stated pairs and their status GONE, NEW or RETURNING (c,): a silence is no worse an account of
    the visits than the best slow move, by Akaike's criterion.

    Both tests have refuted "one share all along"; this says which of two moves it was. A slow move has two parameters,
    level and slope; a silence at one end a share and a cut; one in between has two cuts, so its ratio must be larger by
    2. Without it users with few visits whose interest fades to a tenth are called gone: a late silence is likely then.
    """
    silence = moves.silence_ratio(recent, pairs, status == GONE)
    slow = moves.slow_ratio(recent, pairs, rule.steepest)
    return silence - slow >= np.where(status == RETURNING, 2.0, 0.0)


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
    found[some] = recent & (moves.log_chance_of_silence(window, silent, inside) <= rule.log_silence_level)
    return found


def returning(hits: Hits, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) bool: within returning_days the topic came back from a silence in which it had been gone.

    The test of `gone` on the visits up to the return, at a level of its own (`log_returning_level`).
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
    return moves.log_chance_of_silence(window, silent, inside)


def _hits_before(hits: Hits, of: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Position of the first hit of the same pair as hit number `of` that is not before the stated visit."""
    return np.searchsorted(hits.keys, hits.keys[of] - hits.visits[of] + visits)


def sudden(hits: Hits, at_day: float, rule: StatusRule) -> np.ndarray:
    """(p,) bool: the share moved in one step within the last sudden_days.

    The binomial likelihood ratio of "one share before the cut, another after it" against "one share", its maximum over
    all cuts (Worsley 1983, Biometrika 70). The ratio is convex in the cut between two hits, so only cuts beside a hit
    can be the best. All of these must hold: the maximum is significant (`moves.chance_of_maximum`); the best cut, of
    equal ones the latest, lies in the last sudden_days; and a slow move (`steepest`) is the worse account by Akaike's
    criterion: the step, with one parameter more, has a ratio larger by more than 2 than the best slow logistic move.
    """
    found = np.zeros(len(hits.users), dtype=bool)
    if not len(hits.visits):
        return found
    ratio, cuts = moves.scan(hits)
    recent = hits.visit_days[np.minimum(cuts, len(hits.visit_days) - 1)] >= at_day - rule.sudden_days
    best, best_recent = moves.largest(hits, ratio), moves.largest(hits, np.where(recent, ratio, -1.0))
    chance = moves.chance_of_maximum(np.sqrt(best), hits.n_visits)
    steps = np.flatnonzero((best_recent >= best) & (chance <= rule.sudden_level))
    slow = moves.slow_ratio(hits, steps, rule.steepest)
    found[steps] = best[steps] - slow > 2.0
    return found
