"""A user's interests as the ranker sees them: shares of a candidate's topics, and where they are going. No Spark."""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.interest.states_of_users import States, StateSettings, states
from interest_model.interest.status import StatusRule
from interest_model.recommend.blend import ItemTopics, Model
from interest_model.recommend.histories import Histories

_FLOOR = 0.01
_LEAST_SHARE = 1e-6  # of a topic among everybody: what nobody else touched is rare, not infinitely so


def no_topics(n_items: int) -> ItemTopics:
    """Of a log without a hierarchy."""
    return ItemTopics(sp.csr_matrix((n_items, 0), dtype=np.float32), np.zeros(0, str), rule_numbers(StateSettings()))


def interest_states(histories: Histories, model: Model, at_day: float) -> States:
    """The states of all topics that users touched, at at_day: by the settings of table interest_states, from what the
    ranker reads, which is what a user consumed (no views or carts that the mapping does not call so), near or far."""
    return states(histories, model.topics.membership, model.topic_shares, at_day, rule_of(model.topics.rule))


class Named(NamedTuple):
    """The interest that each of r rows speaks to: topics (r,) position in the model's topics, -1 where the user never
    touched a topic of the item; shares, trends (r,) float64: of all the user's interests now, strength per day; status
    (r,) int8: code of status.STATUSES."""

    topics: np.ndarray
    shares: np.ndarray
    trends: np.ndarray
    status: np.ndarray


def named_interests(found: States, model: Model, n_users: int, users: np.ndarray, items: np.ndarray) -> Named:
    """Of each row's item the topic with the largest share among the user's interests, by membership; ties go to the
    first."""
    k = len(model.topic_shares)
    place = np.full(n_users * k, -1, dtype=np.int64)
    place[found.users * k + found.topics] = np.arange(len(found.users))
    topics = model.topics.membership[items]
    row = np.repeat(np.arange(len(items)), np.diff(topics.indptr))
    state = place[users[row] * k + topics.indices] if k else row
    row, weight, state = row[state >= 0], topics.data[state >= 0], state[state >= 0]
    order = np.lexsort((found.topics[state], -weight * found.share[state], row))
    rows, first = np.unique(row[order], return_index=True)
    chosen = np.full(len(items), -1, dtype=np.int64)
    chosen[rows] = state[order[first]]
    some = chosen >= 0
    named = Named(np.full(len(items), -1), *np.full((2, len(items)), np.nan), np.zeros(len(items), np.int8))
    for column, values in zip(named, (found.topics, found.share, found.trend_per_day, found.status), strict=True):
        column[some] = values[chosen[some]]
    return named


def rule_numbers(settings: StateSettings) -> np.ndarray:
    """(r,) the numbers of the settings that shares, trends and status are made by; `rule_of` is the inverse."""
    own = [getattr(settings, name) for name in _RULE]
    return np.array(own + [getattr(settings.status, name) for name in _STATUS_RULE], dtype=np.float64)


_RULE = (
    "half_life_days", "short_half_life_days", "long_half_life_days", "prior_events", "trend_prior_sd",
    "visit_gap_hours", "present_share",
)  # fmt: skip


_STATUS_RULE = tuple(one.name for one in dataclasses.fields(StatusRule))


def rule_of(numbers: np.ndarray) -> StateSettings:
    own, status = np.split(numbers, [len(_RULE)])
    named = {name: float(value) for name, value in zip(_RULE, own, strict=True)}
    rule = {name: float(value) for name, value in zip(_STATUS_RULE, status, strict=True)}
    return StateSettings(**named, status=StatusRule(**rule))


def lifts(found: States, model: Model, n_users: int) -> np.ndarray:
    """(n_users, k) share of each topic among the user's interests over everybody's share. Topics that the user never
    touched have what the prior leaves them."""
    numbers = rule_of(model.topics.rule)
    totals = np.bincount(found.users, found.evidence, n_users)
    lifted = np.repeat((numbers.prior_events / (totals + numbers.prior_events))[:, None], len(model.topic_shares), 1)
    lifted[found.users, found.topics] = found.share / np.maximum(model.topic_shares[found.topics], _LEAST_SHARE)
    return lifted


def of_items(found: States, model: Model, n_users: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(p, 3) of each pair of a user and an item: ln of the share of the item's topics among the user's interests over
    everybody's share, its trend per day, and ln of the short-term over the long-term share.

    Means over the item's topics, weighted by membership; zeros for an item without topics, and in trend and rise for
    topics that the user never touched.
    """
    values = np.zeros((n_users, 3, len(model.topic_shares)), dtype=np.float32)
    values[:, 0] = np.log(lifts(found, model, n_users))
    values[found.users, 1, found.topics] = found.trend_per_day
    rise = (found.short_share + _FLOOR) / (found.long_share + _FLOOR)
    values[found.users, 2, found.topics] = np.log(rise)
    topics = model.topics.membership[columns]
    pair = np.repeat(np.arange(len(columns)), np.diff(topics.indptr))
    said = values[rows[pair], :, topics.indices] * topics.data[:, None]
    return np.column_stack([np.bincount(pair, said[:, place], len(columns)) for place in range(3)])
