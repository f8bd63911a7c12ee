"""The state of every interest of a batch of users: events and topics of items in, one row per touched topic out."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.interest import status, strength
from interest_model.interest.hits import Hits
from interest_model.interest.status import StatusRule
from interest_model.recommend.histories import Histories, keep
from interest_model.recommend.popularity import ROUNDING_HOURS, ItemCounts, decayed

HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class StateSettings:
    """Half lives in days: of evidence, of the short and of the long share. prior_events: how many events the
    population's shares are worth. trend_prior_sd: logit per day. visit_gap_hours: a longer gap starts a new visit.
    present_share: a visit is about a topic when this part of its weight is.
    """

    half_life_days: float = 28.0
    short_half_life_days: float = 7.0
    long_half_life_days: float = 112.0
    prior_events: float = 2.0
    trend_prior_sd: float = 0.1
    visit_gap_hours: float = 0.5
    present_share: float = 0.25
    status: StatusRule = field(default_factory=StatusRule)


class States(NamedTuple):
    """One row per user and touched topic, by user, then topic; all arrays (rows,).

    users, topics int64: positions in the histories and in the tier; evidence: decayed weight; strength: ln of smoothed
    evidence; share, short_share, long_share: smoothed shares of the tier, over three half lives; trend_per_day,
    trend_se: strength per day; status int8: code of status.STATUSES; sudden bool: the share moved in one step;
    confidence in [0, 1), the same for all topics of a user; last_day: days since 1970-01-01 UTC of the latest visit
    about the topic, or, where none was about it, of the latest visit that touched it.
    """

    users: np.ndarray
    topics: np.ndarray
    evidence: np.ndarray
    strength: np.ndarray
    share: np.ndarray
    short_share: np.ndarray
    long_share: np.ndarray
    trend_per_day: np.ndarray
    trend_se: np.ndarray
    status: np.ndarray
    sudden: np.ndarray
    confidence: np.ndarray
    last_day: np.ndarray


def population_shares(
    membership: sp.csr_matrix, counts: ItemCounts, at_day: float, half_life_days: float
) -> np.ndarray:
    """(k,) each topic's share of everybody's events, decayed; equal shares where there are none."""
    weights = decayed(counts, membership.shape[0], at_day, (half_life_days,))[:, 0]
    totals = membership.T @ weights
    k = len(totals)
    return totals / totals.sum() if totals.sum() > 0 else np.full(k, 1.0 / max(k, 1))


class Touches(NamedTuple):
    """Touches of topics by events, and the p pairs of a user and a topic that they make.

    events, pairs (t,) int64: the event and the pair of each touch; shares (t,) float64: membership of the event's item;
    users, topics (p,) int64: the pairs, by user, then topic.
    """

    events: np.ndarray
    pairs: np.ndarray
    shares: np.ndarray
    users: np.ndarray
    topics: np.ndarray

    def sums(self, of_events: np.ndarray) -> np.ndarray:
        """(p,) sum of a number per event (m,) times membership."""
        return np.bincount(self.pairs, of_events[self.events] * self.shares, len(self.users)).astype(np.float64)


class Visits(NamedTuple):
    """Visits of n users: indptr (n + 1,); days (v,): of the visit's last event; weights (v,): decayed weight; about
    (p, v) CSR: decayed weight of each pair in each visit."""

    indptr: np.ndarray
    days: np.ndarray
    weights: np.ndarray
    about: sp.csr_matrix


def states(
    histories: Histories,
    membership: sp.csr_matrix,
    prior: np.ndarray,
    at_day: float,
    settings: StateSettings,
    factor: np.ndarray | None = None,
) -> States:
    """States of all touched topics of one tier at at_day (days since 1970-01-01 UTC).

    membership (n_items, n_topics): rows sum to 1, or are empty for an item without a topic; prior (n_topics,): the
    population's shares, sum 1; factor (m,): what distance and hour leave of each event, none: 1. Events that do not
    lie before at_day, have no weight or no topic do not count; a user without any has no rows. Raises ValueError where
    shapes do not fit.
    """
    membership = _checked(membership, prior, histories.items)
    known = _known(histories, membership, at_day, factor)
    touches = touches_of(known, membership)
    left = known.weights * strength.decay(at_day - known.days, settings.half_life_days)
    visits = visits_of(known, touches, left, settings.visit_gap_hours)
    hits = hits_of(visits, touches, settings.present_share)
    trend, trend_se = _trends(visits, touches, prior, at_day, settings)
    evidence = touches.sums(left)
    totals = _totals(touches, evidence)
    here = prior[touches.topics]
    return States(
        users=touches.users,
        topics=touches.topics,
        evidence=evidence,
        strength=strength.strengths(evidence, here, settings.prior_events),
        share=strength.shares_after(evidence, totals, here, 0.0, settings.half_life_days, settings.prior_events),
        short_share=_shares(known, touches, here, at_day, settings.short_half_life_days, settings.prior_events),
        long_share=_shares(known, touches, here, at_day, settings.long_half_life_days, settings.prior_events),
        trend_per_day=trend,
        trend_se=trend_se,
        status=status.statuses(hits, trend, at_day, settings.status),
        sudden=status.sudden(hits, at_day, settings.status),
        confidence=strength.confidence(totals, settings.prior_events),
        last_day=_last_days(visits, hits),
    )


def _checked(membership: sp.csr_matrix, prior: np.ndarray, items: np.ndarray) -> sp.csr_matrix:
    if membership.shape[1] != len(prior):
        raise ValueError(f"states: membership has {membership.shape[1]} topics, the prior {len(prior)}")
    if len(items) and items.max() >= membership.shape[0]:
        raise ValueError(f"states: item {items.max()} in a history, but membership has {membership.shape[0]} items")
    membership = sp.csr_matrix(membership, copy=True)
    membership.eliminate_zeros()
    return membership


def _known(histories: Histories, membership: sp.csr_matrix, at_day: float, factor: np.ndarray | None) -> Histories:
    """Only the events that count, with their weight times their factor."""
    weights = histories.weights.astype(np.float64)
    weights = weights if factor is None else weights * factor
    has_topic = (np.diff(membership.indptr) > 0)[histories.items]
    return keep(histories._replace(weights=weights), has_topic & (histories.days < at_day) & (weights > 0))


def touches_of(known: Histories, membership: sp.csr_matrix) -> Touches:
    """Every event times every topic of its item."""
    rows = membership[known.items]
    events = np.repeat(np.arange(len(known.items)), np.diff(rows.indptr))
    n_topics = membership.shape[1]
    keys = known.rows[events] * n_topics + rows.indices
    found, pairs = np.unique(keys, return_inverse=True)  # not a cell for each user and topic: tiers may have thousands
    return Touches(events, pairs, rows.data.astype(np.float64), found // n_topics, found % n_topics)


def visits_of(known: Histories, touches: Touches, left: np.ndarray, gap_hours: float) -> Visits:
    """Events of a user no more than gap_hours after the one before make one visit; left (m,): decayed weights.

    What is done in one sitting is one choice, not many: its events share a topic and are no independent trials.
    """
    starts = np.ones(len(known.days), dtype=bool)
    starts[1:] = np.diff(known.days) * HOURS_PER_DAY > gap_hours + ROUNDING_HOURS
    first = known.indptr[:-1]
    starts[first[first < len(starts)]] = True
    visit_of = np.cumsum(starts) - 1
    n_visits = int(starts.sum())
    indptr = np.concatenate([[0], np.cumsum(starts)])[known.indptr]
    last = np.append(np.flatnonzero(starts)[1:], len(starts)) - 1 if n_visits else np.zeros(0, dtype=np.int64)
    entries = (left[touches.events] * touches.shares, (touches.pairs, visit_of[touches.events]))
    about = sp.coo_matrix(entries, shape=(len(touches.users), n_visits)).tocsr()
    about.sort_indices()
    return Visits(indptr, known.days[last], np.bincount(visit_of, left, n_visits), about)


def hits_of(visits: Visits, touches: Touches, present_share: float) -> Hits:
    """The visits that are about a topic: present_share of their weight or more."""
    about = visits.about
    present = about.data >= present_share * visits.weights[about.indices] * (1 - 1e-9)
    indptr = np.concatenate([[0], np.cumsum(present)])[about.indptr]
    return Hits(visits.indptr, visits.days, touches.users, indptr, about.indices[present].astype(np.int64))


def _trends(visits: Visits, touches: Touches, prior: np.ndarray, at_day: float, settings: StateSettings):
    """Trend and standard error of each pair. Weights are scaled to sum to the effective number of visits (Kish):
    the trend must not depend on the unit of weights, nor take a heavy event for many."""
    rows = np.repeat(np.arange(len(visits.indptr) - 1), np.diff(visits.indptr))

    def per_user(values):
        return np.bincount(rows, values, len(visits.indptr) - 1)

    total = per_user(visits.weights)
    weights = visits.weights * _ratio(total, per_user(visits.weights**2))[rows]
    total = per_user(weights)
    mean_day = _ratio(per_user(weights * (visits.days - at_day)), total)
    away = (visits.days - at_day) - mean_day[rows]
    scaled = visits.about.multiply((weights / visits.weights)[None, :]).tocsr()
    share = (scaled.sum(axis=1).A1 + settings.prior_events * prior[touches.topics]) / (
        total[touches.users] + settings.prior_events
    )
    sums = per_user(weights * away**2)[touches.users], per_user((weights * away) ** 2)[touches.users]
    return strength.trends(scaled @ away, share, *sums, settings.trend_prior_sd)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.divide(over, under, out=np.zeros(len(over)), where=under > 0)


def _totals(touches: Touches, evidence: np.ndarray) -> np.ndarray:
    """(p,) evidence of the pair's user over all topics."""
    most = int(touches.users.max()) + 1 if len(touches.users) else 0
    return np.bincount(touches.users, evidence, most)[touches.users]


def _shares(known: Histories, touches: Touches, here, at_day: float, half_life_days: float, prior_events: float):
    evidence = touches.sums(known.weights * strength.decay(at_day - known.days, half_life_days))
    return strength.shares_after(evidence, _totals(touches, evidence), here, 0.0, half_life_days, prior_events)


def _last_days(visits: Visits, hits: Hits) -> np.ndarray:
    last = visits.about.indices[visits.about.indptr[1:] - 1].astype(np.int64)
    some = hits.counts > 0
    last[some] = hits.visits[hits.indptr[1:][some] - 1]
    return visits.days[last]
