"""What a forecast of shares reads: topics and users at a cut, and what came true after it. Arrays only, no Spark."""

import hashlib
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.interest.states_of_users import States, StateSettings, states, touches_of
from interest_model.interest.status import STATUSES
from interest_model.interest.strength import decay
from interest_model.recommend.histories import Histories, keep

HALF_LIVES = (2.0, 7.0, 28.0, 112.0, np.inf)  # days; of the user's own shares that a forecast mixes
POPULATION_HALF_LIVES = (28.0, 7.0)  # days; of everybody's shares
N_OWN = len(HALF_LIVES) + 1  # the last is the share of the user's last day
N_MIXED = N_OWN + len(POPULATION_HALF_LIVES)
_MIDDLE = 2  # the half life that others are compared with
_FLOOR = 0.02  # of shares within logs: two per cent of a user's events are noise


class Features(NamedTuple):
    """What is known at a cut about n users and the r pairs of a user and a topic touched before it.

    users, topics (r,) int64: by user, then topic; shares (r, N_MIXED) float32: the topic's share by each own half
    life, of the last day acted (UTC), and in the population: each own column sums to one over a user's rows;
    topic_values (r, f), user_values (n, g) float32: inputs of the networks; trend (r,): logit per day; acted (n,) bool:
    any event before the cut; populations (q, n_topics): everybody's shares at the cut.
    """

    users: np.ndarray
    topics: np.ndarray
    shares: np.ndarray
    topic_values: np.ndarray
    user_values: np.ndarray
    trend: np.ndarray
    acted: np.ndarray
    populations: np.ndarray


class Windows(NamedTuple):
    """n windows of horizon days after cuts, each with its r touched topics: what a forecaster is trained on.

    windows (r,) int64: the window of each row; shares, topic_values, trend: see Features; user_values (n, g);
    acted (n,); horizons (n,) days; cuts (n,) day of the cut; truth (r,): realised share of the window's events;
    events (n,): their number, above zero; rest_population (n, q): population's share of the topics without a row; draws
    (n,): from 0 to below 1, by seed, user and cut alone, see `sampled`.
    """

    windows: np.ndarray
    shares: np.ndarray
    topic_values: np.ndarray
    trend: np.ndarray
    user_values: np.ndarray
    acted: np.ndarray
    horizons: np.ndarray
    cuts: np.ndarray
    truth: np.ndarray
    events: np.ndarray
    rest_population: np.ndarray
    draws: np.ndarray


def features(
    histories: Histories, membership: sp.csr_matrix, populations: np.ndarray, cut_day: float, settings: StateSettings
) -> Features:
    """Features of one tier from the events before cut_day (days since 1970-01-01 UTC) alone.

    membership (n_items, n_topics): rows sum to one or are empty; populations (q, n_topics): everybody's shares at the
    cut with POPULATION_HALF_LIVES, each sums to one. Events without weight or topic do not count.
    """
    known = counted(histories, membership, -np.inf, cut_day)
    found = states(known, membership, populations[0], cut_day, settings)
    touches = touches_of(known, membership)
    own = [_shares(touches, _left(known, cut_day, half_life), known.n_users) for half_life in HALF_LIVES]
    own.append(_shares(touches, _on_last_day(known), known.n_users))
    shares = np.stack([*own, *populations[:, touches.topics]], axis=1)
    return Features(
        touches.users,
        touches.topics,
        shares.astype(np.float32),
        _topic_values(found, shares, cut_day).astype(np.float32),
        _user_values(known, touches.users, shares, cut_day).astype(np.float32),
        found.trend_per_day.astype(np.float32),
        known.lengths > 0,
        populations,
    )


def counted(histories: Histories, membership: sp.csr_matrix, start_day: float, end_day: float) -> Histories:
    """The same users with only the events in [start_day, end_day) that have weight and a topic."""
    has_topic = (np.asarray(abs(membership).sum(axis=1)).ravel() > 0)[histories.items]
    inside = (histories.days >= start_day) & (histories.days < end_day)
    return keep(histories, inside & has_topic & (histories.weights > 0))


def _left(known: Histories, cut_day: float, half_life: float) -> np.ndarray:
    return known.weights * (1.0 if np.isinf(half_life) else decay(_age_of_user(known), half_life))


def _age_of_user(known: Histories) -> np.ndarray:
    """(m,) days from the event to its user's latest: a share does not depend on what all evidence has lost since."""
    return _of_last(known)[known.rows] - known.days


def _of_last(known: Histories) -> np.ndarray:
    """(n,) day of each user's latest event, -inf without any."""
    last = np.full(known.n_users, -np.inf)
    np.maximum.at(last, known.rows, known.days)
    return last


def _on_last_day(known: Histories) -> np.ndarray:
    return known.weights * (np.floor(known.days) == np.floor(_of_last(known))[known.rows])


def _shares(touches, weights: np.ndarray, n_users: int) -> np.ndarray:
    sums = touches.sums(np.asarray(weights, dtype=np.float64))
    return sums / np.bincount(touches.users, sums, n_users)[touches.users]


def _topic_values(found: States, shares: np.ndarray, cut_day: float) -> np.ndarray:
    logs = np.log(shares + _FLOOR)
    middle = logs[:, _MIDDLE]
    against = [logs[:, column] - middle for column in range(N_OWN) if column != _MIDDLE]
    codes = [found.status == code for code, name in enumerate(STATUSES) if name != "stable"]
    return np.stack(
        [
            middle,
            *against,
            logs[:, N_OWN],
            logs[:, N_OWN + 1] - logs[:, N_OWN],
            np.clip(found.trend_per_day / found.trend_se, -5.0, 5.0),
            np.log1p(cut_day - found.last_day),
            np.log1p(found.evidence),
            found.sudden,
            *codes,
        ],
        axis=1,
    )


def _user_values(known: Histories, row_users: np.ndarray, shares: np.ndarray, cut_day: float) -> np.ndarray:
    n = known.n_users
    last = _of_last(known)
    first = np.full(n, np.inf)
    np.minimum.at(first, known.rows, known.days)
    acted = np.isfinite(last)
    since, span = (np.where(acted, cut_day - day, 0.0) for day in (last, first))
    recent = [np.bincount(known.rows, decay(cut_day - known.days, days), n) for days in (7.0, 28.0)]
    unevenness = np.bincount(row_users, shares[:, _MIDDLE] ** 2, n)
    moved = np.bincount(row_users, np.abs(shares[:, 1] - shares[:, 3]), n) / 2
    logs = [np.log1p(one) for one in (known.lengths, _active_days(known), since, span, *recent)]
    return np.stack([*logs, unevenness, moved, np.bincount(row_users, minlength=n) ** 0.5], axis=1)


def _active_days(known: Histories) -> np.ndarray:
    """(n,) distinct UTC days with an event."""
    if not len(known.days):
        return np.zeros(known.n_users)
    days = np.floor(known.days)
    fresh = np.append(True, (np.diff(days) != 0) | (np.diff(known.rows) != 0))
    return np.bincount(known.rows, fresh, known.n_users)


def realised(
    histories: Histories, membership: sp.csr_matrix, cut_day: float, horizon_days: float
) -> tuple[sp.csr_matrix, np.ndarray]:
    """(n, n_topics) share of each topic in the weight of a user's events in [cut, cut + horizon), and (n,) the number
    of those events; a user without any has an empty row."""
    after = counted(histories, membership, cut_day, cut_day + horizon_days)
    weights = after.weights.astype(np.float64)
    total = np.bincount(after.rows, weights, after.n_users)
    shape = after.n_users, membership.shape[0]
    by_user = sp.csr_matrix((weights / total[after.rows], after.items, after.indptr), shape)
    return (by_user @ membership).tocsr(), after.lengths


def training_cuts(
    until_day: float, horizons: tuple[float, ...], n_cuts: int, step_days: float, first_day: float
) -> dict[float, list[float]]:
    """Cuts to train on, each with its horizons: of every horizon the n_cuts latest, step_days apart, whose windows end
    by until_day; none before first_day. Days since 1970-01-01 UTC."""
    plan: dict[float, list[float]] = {}
    for horizon in horizons:
        for number in range(n_cuts):
            cut = until_day - horizon - step_days * number
            if cut >= first_day:
                plan.setdefault(cut, []).append(horizon)
    return plan


def training_windows(
    histories: Histories,
    membership: sp.csr_matrix,
    at_cut: Features,
    cut_day: float,
    horizon_days: float,
    seed: int = 0,
) -> Windows:
    """The windows of one cut and horizon: the users with an event in it, their rows at the cut and what came true.

    The histories must reach to the end of the window. Windows of several cuts, horizons and partitions of users are
    put together by `merge`. seed: of the draws.
    """
    truth, events = realised(histories, membership, cut_day, horizon_days)
    kept = events > 0
    rows = kept[at_cut.users]
    users, topics = at_cut.users[rows], at_cut.topics[rows]
    position = np.cumsum(kept) - 1
    touched = np.stack([np.bincount(users, one[topics], len(kept)) for one in at_cut.populations], axis=1)
    return Windows(
        position[users],
        at_cut.shares[rows],
        at_cut.topic_values[rows],
        at_cut.trend[rows],
        at_cut.user_values[kept],
        at_cut.acted[kept],
        np.full(kept.sum(), horizon_days, dtype=np.float32),
        np.full(kept.sum(), cut_day),
        _at(truth, users, topics),
        events[kept],
        np.maximum(1.0 - touched[kept], 0.0).astype(np.float32),
        _draws(histories.user_ids[kept], cut_day, seed),
    )


def _draws(user_ids: np.ndarray, cut_day: float, seed: int) -> np.ndarray:
    names = (f"{seed} {cut_day} {name}".encode() for name in user_ids.tolist())
    digests = b"".join(hashlib.blake2b(one, digest_size=8).digest() for one in names)
    return (np.frombuffer(digests, dtype="<u8") >> 11) / 2.0**53


def _at(matrix: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.asarray(matrix[rows, columns], dtype=np.float32).ravel() if len(rows) else np.zeros(0, np.float32)


def merge(parts: list[Windows]) -> Windows:
    """All windows of the parts, one after another. Raises ValueError for no parts."""
    if not parts:
        raise ValueError("merge: no windows to put together")
    before = np.cumsum([0, *(len(part.events) for part in parts)])
    shifted = [part._replace(windows=part.windows + start) for part, start in zip(parts, before, strict=False)]
    return Windows(*(np.concatenate(columns) for columns in zip(*shifted, strict=True)))


def rows_of(windows: Windows) -> np.ndarray:
    """(n,) rows of each window, one at least."""
    return np.maximum(np.bincount(windows.windows, minlength=len(windows.events)), 1)


def sampled(windows: Windows, usable: np.ndarray, most_rows: int) -> np.ndarray:
    """(n,) bool: the usable windows of the smallest draws whose rows (see `rows_of`) are most_rows at most.

    Whoever leaves out the others of some of the windows, then of all, is left with the same ones as whoever sees all at
    once, in whatever order: so windows can be sampled while they are made.
    """
    order = np.argsort(windows.draws, kind="stable")
    beyond = np.cumsum((rows_of(windows) * usable)[order]) > most_rows
    bound = windows.draws[order][beyond.argmax()] if beyond.any() else 1.0
    return usable & (windows.draws < bound)


def take_windows(windows: Windows, kept: np.ndarray) -> Windows:
    """Only the marked windows; kept (n,) bool."""
    rows = kept[windows.windows]
    of_rows = {"shares", "topic_values", "trend", "truth"}
    picked = {name: getattr(windows, name)[rows if name in of_rows else kept] for name in Windows._fields[1:]}
    return Windows(windows=(np.cumsum(kept) - 1)[windows.windows[rows]], **picked)
