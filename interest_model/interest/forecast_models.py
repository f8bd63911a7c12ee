"""The night's forecast models: fitted on what followed past cuts, and applied to users as of a night. No Spark."""

from itertools import takewhile
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from interest_model.interest import forecast_features as ff
from interest_model.interest import forecaster, returning
from interest_model.interest.forecaster import ShareForecast
from interest_model.interest.forecaster_training import TrainingSettings, train
from interest_model.interest.returning import Reach
from interest_model.interest.states_of_users import StateSettings
from interest_model.recommend.histories import Histories
from interest_model.recommend.popularity import ItemCounts, decayed

LEARNED_CUTS = 4  # a horizon seen after fewer past cuts: models lose to the rule (the sample shop's first 84 nights)

STRAY = 1e-3  # of the events may be older than the log: a clock that stood wrong must not make a young log an old one

ROWS_KEPT = 4  # times most_rows: what quantiles learn from are the windows of many events, one in some


class Topics(NamedTuple):
    """The tiers of a hierarchy, widest first. ids: of each tier (k,) str; parents: of each tier (k,) position in the
    tier above, -1 in the first; memberships: of each tier (n_items, k) CSR; counts: everybody's events."""

    ids: list[np.ndarray]
    parents: list[np.ndarray]
    memberships: list[sp.csr_matrix]
    counts: ItemCounts

    def populations(self, tier: int, at_day: float) -> np.ndarray:
        """(q, k) everybody's shares of a tier (from 0) by ff.POPULATION_HALF_LIVES; equal shares without events."""
        membership = self.memberships[tier]
        sums = membership.T @ decayed(self.counts, membership.shape[0], at_day, ff.POPULATION_HALF_LIVES)
        k = membership.shape[1]
        return np.where(sums.sum(axis=0) > 0, sums / np.maximum(sums.sum(axis=0), 1e-300), 1.0 / max(k, 1)).T


class Plan(NamedTuple):
    """What models are fitted on. horizons: days, ascending; cuts: of each horizon at most; step_days between them;
    warm_up_days: of the log before the first cut; return_ridge: see returning.fit_returns; lookback_days,
    history_length: what a night reads of a user, so many days and the latest events of them."""

    horizons: tuple[float, ...]
    cuts: int
    step_days: float
    warm_up_days: float
    return_ridge: float
    lookback_days: float
    history_length: int

    @property
    def reach_days(self) -> float:
        """How far back the cuts go."""
        return self.horizons[-1] + self.step_days * (self.cuts - 1)

    def reach(self, users: Histories, at_day: float) -> Reach:
        """users: all events that the cuts reach back to. The log begins where all but STRAY of them lie behind."""
        known = users.days[users.days < at_day]
        place = int(STRAY * len(known))
        first = np.partition(known, place)[place] if len(known) else at_day
        return Reach(float(first), self.lookback_days, self.history_length)


class UserForecasts(NamedTuple):
    """Forecasts of n users for one horizon: of each tier the touched topics' ShareForecast (expected shares add up over
    tiers) and quantiles (r, 5) at forecaster.LEVELS, NaN where no model gives them; came (n,): chance of any event;
    events (n,): expected number; both NaN without a model."""

    shares: list[ShareForecast]
    quantiles: list[np.ndarray]
    came: np.ndarray
    events: np.ndarray


@threadpool_limits.wrap(limits=1)  # LAPACK on another number of threads gives other last bits
def fit(
    users: Histories, topics: Topics, at_day: float, plan: Plan, states: StateSettings, training: TrainingSettings
) -> dict[str, np.ndarray]:
    """Named arrays of all models, from events before at_day alone; a model that has too little to learn from is absent.

    users: all their events from plan.lookback_days before the first cut on, not only the latest.
    One share model per tier ("1/mix.w1", ...) for the horizons that it learned ("1/horizons"), one of returns
    ("returns/knots", ...).
    """
    reach = plan.reach(users, at_day)
    first = reach.first_day + plan.warm_up_days
    cuts = ff.training_cuts(at_day, plan.horizons, plan.cuts, plan.step_days, first)
    windows: list[list[ff.Windows]] = [[] for _ in topics.ids]
    seen = {}
    for cut, own in cuts.items():
        past = reach.as_of(users, cut)
        seen[cut] = returning.return_windows(users, past, cut, np.array(plan.horizons), reach, at_day)
        for tier, kept in enumerate(windows):
            made = _windows(past, users, topics, tier, (cut, own), states, training.seed)
            windows[tier] = _within_rows(kept + made, ROWS_KEPT * training.most_rows)
    arrays: dict[str, np.ndarray] = {}
    for tier, parts in enumerate(windows, start=1):
        arrays |= {f"{tier}/{name}": array for name, array in _share_arrays(parts, plan, training).items()}
    return arrays | {f"returns/{name}": one for name, one in _return_arrays(seen, cuts, reach, plan).items()}


def _return_arrays(
    seen: dict[float, returning.ReturnWindows], cuts: dict[float, list[float]], reach: Reach, plan: Plan
) -> dict[str, np.ndarray]:
    """The model of returns for the horizons seen after enough cuts: a young log has seen what follows in a week, not
    yet in a month; none where nobody had acted."""
    after = [horizon for cut, own in cuts.items() if len(seen[cut].events) for horizon in own]
    horizons = list(takewhile(lambda one: _learned(after.count(one), plan), plan.horizons))
    if not horizons:
        return {}
    merged = returning.merge_returns(list(seen.values()))
    known = merged._replace(events=merged.events[:, : len(horizons)])
    return returning.to_arrays(returning.fit_returns(known, np.array(horizons), reach, plan.return_ridge))


def _learned(cuts: int, plan: Plan) -> bool:
    """After so many past cuts, or all that the plan asks for, a horizon is seen often enough."""
    return cuts >= min(LEARNED_CUTS, plan.cuts)


def usable(arrays: dict[str, np.ndarray], plan: Plan) -> bool:
    """False as well for models of other settings of what a night reads of a user: their inputs would mean another."""
    asked = (plan.lookback_days, plan.history_length)
    return readable(arrays) and ("returns/reach" not in arrays or tuple(arrays["returns/reach"][1:]) == asked)


def readable(arrays: dict[str, np.ndarray]) -> bool:
    """False for stored models of a revision whose networks gave something else, or that knew less of what they read."""
    outputs = [len(array) for name, array in arrays.items() if name.endswith("/spread.b2")]
    whole = "returns/knots" not in arrays or "returns/reach" in arrays
    return whole and all(n == len(forecaster.LEVELS) for n in outputs)


def _share_arrays(parts: list[ff.Windows], plan: Plan, training: TrainingSettings) -> dict[str, np.ndarray]:
    """One tier's model and the horizons that it learned, from its windows; none where there is too little to learn."""
    if not parts:
        return {}
    windows = ff.merge(parts)
    learned = learned_horizons(windows, plan)
    if not len(learned) or not (windows.events >= training.min_events).any():
        return {}
    return forecaster.to_arrays(train(windows, training)) | {"horizons": learned}


def _within_rows(parts: list[ff.Windows], most: int) -> list[ff.Windows]:
    """The windows as they are, or one part of a sample of them, where they have more rows than `most`."""
    if sum(ff.rows_of(part).sum() for part in parts) <= most:
        return parts
    merged = ff.merge(parts)
    return [ff.take_windows(merged, ff.sampled(merged, merged.events > 0, most))]


def _windows(
    known: Histories,
    users: Histories,
    topics: Topics,
    tier: int,
    at: tuple[float, list[float]],
    states: StateSettings,
    seed: int,
) -> list[ff.Windows]:
    membership, (cut, horizons) = topics.memberships[tier], at
    at_cut = ff.features(known, membership, topics.populations(tier, cut), cut, states)
    return [ff.training_windows(users, membership, at_cut, cut, horizon, seed) for horizon in horizons]


def learned_horizons(windows: ff.Windows, plan: Plan) -> np.ndarray:
    """Those of the plan's horizons, ascending, with windows after LEARNED_CUTS past cuts or all that the plan asks for:
    a network says something of every horizon, and of one that it hardly saw nothing true."""
    cuts = [len(np.unique(windows.cuts[windows.horizons == one])) for one in plan.horizons]
    return np.array(plan.horizons)[[_learned(one, plan) for one in cuts]]


def forecast(
    users: Histories, topics: Topics, at_day: float, horizons: tuple[float, ...], arrays: dict, states: StateSettings
) -> list[UserForecasts]:
    """Forecasts of all users for each horizon, from their events before at_day.

    Shares are forecast on the deepest tier and added up (measured: as good as each tier's own, and consistent); each
    tier's quantiles are its own model's. A tier without a model, or whose model has not learned the horizon, keeps the
    smoothed decayed share of today and has no quantiles.
    """
    at_cut = [
        ff.features(users, membership, topics.populations(tier, at_day), at_day, states)
        for tier, membership in enumerate(topics.memberships)
    ]
    models = [_model(arrays, f"{tier + 1}/", forecaster.from_arrays) for tier in range(len(at_cut))]
    came, events = _returns(users, at_day, horizons, _model(arrays, "returns/", returning.from_arrays))
    found = []
    for place, horizon in enumerate(horizons):
        able = [
            model if horizon in arrays.get(f"{tier}/horizons", ()) else None
            for tier, model in enumerate(models, start=1)
        ]
        shares = _shares_of_tiers(able, at_cut, topics, horizon, states.prior_events)
        quantiles = [
            forecaster.quantile_shares(model, features, horizon, one.expected) if model else _no_quantiles(one)
            for model, features, one in zip(able, at_cut, shares, strict=True)
        ]
        found.append(UserForecasts(shares, quantiles, came[:, place], events[:, place]))
    return found


def _returns(users: Histories, at_day: float, horizons: tuple[float, ...], model) -> tuple[np.ndarray, np.ndarray]:
    """(n, h) chance and (n, h) number; NaN for a horizon that the model does not know, and for users without events."""
    chance, number = np.full((2, users.n_users, len(horizons)), np.nan)
    if model is None:
        return chance, number
    found = returning.of_users(model, users, at_day)
    acted = users.lengths > 0
    for place, horizon in enumerate(horizons):
        known = np.flatnonzero(model.horizons == horizon)
        if len(known):
            chance[acted, place], number[acted, place] = (one[acted, known[0]] for one in found)
    return chance, number


def _model(arrays: dict, prefix: str, read):
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return read(own) if own else None


def _no_quantiles(shares: ShareForecast) -> np.ndarray:
    return np.full((len(shares.expected), len(forecaster.LEVELS)), np.nan)


def _shares_of_tiers(models, at_cut, topics: Topics, horizon: float, prior_events: float) -> list[ShareForecast]:
    """The deepest tier's forecast and, above it, its sums."""
    if not at_cut:
        return []
    deepest = at_cut[-1]
    found = [
        forecaster.expected_shares(models[-1], deepest, horizon) if models[-1] else rule_shares(deepest, prior_events)
    ]
    for tier in range(len(at_cut) - 2, -1, -1):
        below, above = at_cut[tier + 1], at_cut[tier]
        sums = forecaster.parent_shares(found[0], topics.parents[tier + 1], below.populations, above)
        found.insert(0, ShareForecast(above.users, above.topics, sums, found[0].rest))
    return found


def rule_shares(at_cut: ff.Features, prior_events: float) -> ShareForecast:
    """The rule where nothing could be learned: today's decayed share (half life 28 days), smoothed by everybody's.

    A user of n events leans on everybody's shares with weight prior_events / (n + prior_events).
    """
    events = np.expm1(at_cut.user_values[:, 0].astype(np.float64))
    own = events / (events + prior_events)
    middle = at_cut.shares[:, ff.HALF_LIVES.index(28.0)].astype(np.float64)
    everybody = at_cut.populations[0][at_cut.topics]
    weight = own[at_cut.users]
    rest = np.zeros((len(events), len(at_cut.populations)))
    rest[:, 0] = 1.0 - own
    return ShareForecast(at_cut.users, at_cut.topics, weight * middle + (1.0 - weight) * everybody, rest)
