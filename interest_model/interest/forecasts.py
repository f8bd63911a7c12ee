"""Forecasts over Spark: models fitted on a sample of users, and every active user's forecasts made where they are."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Forecast, Interest
from interest_model.errors import DataError
from interest_model.interest import forecast_models, forecaster
from interest_model.interest.forecast_models import Plan, Topics, UserForecasts
from interest_model.interest.forecaster_training import TrainingSettings
from interest_model.interest.states import state_settings
from interest_model.interest.states_of_users import StateSettings
from interest_model.on_executors import Batches, gather_rows, map_users, nullable
from interest_model.recommend import model_rows
from interest_model.recommend.consumption import user_histories
from interest_model.recommend.histories import Histories, from_arrow

REST = "rest"
_USERS_AT_ONCE = 5_000
_WHOLE = 2**30  # no history is so long
_QUANTILES = ("q10", "q50", "q90", "interval_low", "interval_high")
_SHARE_DDL = "user_id string, days_ahead int, tier int, topic_id string, share double, " + ", ".join(
    f"{name} double" for name in _QUANTILES
)
_RETURN_DDL = "user_id string, days_ahead int, return_probability double, expected_events double"


def training_histories(events: DataFrame, item_ids: np.ndarray, most: int, seed: int) -> Histories:
    """All events of the users that models are fitted on, in order of user_id; events, item_ids: see user_histories."""
    whole = user_histories(sampled_users(events, most, seed), item_ids, _WHOLE)
    return from_arrow(whole.orderBy("user_id").toArrow())


def sampled_users(frame: DataFrame, most: int, seed: int) -> DataFrame:
    """The rows of at most about `most` users, by hash of user_id: the same ones whatever the partitions."""
    users = frame.select("user_id").distinct().count()
    share = min(1.0, most / max(users, 1))
    return frame.where(F.pmod(F.xxhash64("user_id", F.lit(seed)), F.lit(1_000_000)) < share * 1_000_000)


def plan_of(settings: Forecast, interest: Interest) -> Plan:
    """What the settings of sections `forecast` and `interest` say of training."""
    return Plan(
        tuple(float(days) for days in settings.horizons_days), settings.training_cuts, settings.cut_step_days,
        settings.warm_up_days, settings.return_ridge, interest.lookback_days, interest.history_length,
    )  # fmt: skip


def fit_models(
    users: Histories, topics: Topics, at_day: float, settings: Forecast, interest: Interest
) -> dict[str, np.ndarray]:
    """forecast_models.fit with the settings of sections `forecast` and `interest`."""
    training = TrainingSettings(
        settings.hidden, settings.steps, settings.learning_rate, settings.weight_decay, settings.shrink_events,
        settings.min_events, settings.most_rows, settings.seed,
    )  # fmt: skip
    plan, states = plan_of(settings, interest), state_settings(interest)
    return forecast_models.fit(users, topics, at_day, plan, states, training)


def load_models(rows: DataFrame) -> tuple[dict[str, np.ndarray], str]:
    """Named arrays and version from the rows of one night of forecast_models; none and "rule" where there are none.

    DataError: they are of a revision whose models this one cannot apply."""
    table = rows.toArrow()
    if not table.num_rows:
        return {}, "rule"
    arrays, version = model_rows.from_rows(table), table.column("model_version")[0].as_py()
    if not forecast_models.readable(arrays):
        raise DataError(
            f"table forecast_models: {version} was made by another revision of this package",
            "run the step forecast_models, which fits them anew",
        )
    return arrays, version


def share_rows(
    histories: DataFrame, topics: Topics, at_day: float, settings: Forecast, states: StateSettings, arrays: dict
) -> DataFrame:
    """Rows of interest_forecasts, but for run_date and model_version, of every user of `histories`.

    A user's rows of a tier sum to one, and children to their parent: beside the touched topics stands a row "rest" for
    all that lies below no touched topic of tier 1, and "rest of TOPIC" for what lies below a touched topic of a tier
    above but below no touched child of it.
    """
    shared = histories.sparkSession.sparkContext.broadcast((topics, arrays))
    horizons = tuple(float(days) for days in settings.horizons_days)

    def rows(batches: Batches) -> Iterator[pa.RecordBatch]:
        hierarchy, models = shared.value
        for table in gather_rows(batches, _USERS_AT_ONCE):
            users = from_arrow(table)
            made = forecast_models.forecast(users, hierarchy, at_day, horizons, models, states)
            for days, found in zip(settings.horizons_days, made, strict=True):
                yield from _share_batches(found, hierarchy, users, days)

    return map_users(histories, rows, _SHARE_DDL)


def _share_batches(found: UserForecasts, topics: Topics, users: Histories, days: int) -> Iterator[pa.RecordBatch]:
    if not found.shares:
        return
    acted = np.flatnonzero(users.lengths > 0)
    held = np.bincount(found.shares[0].users, found.shares[0].expected, users.n_users)
    rests = [(acted, np.full(len(acted), REST, dtype=object), np.maximum(1.0 - held, 0.0)[acted], None)]
    for tier, (shares, quantiles) in enumerate(zip(found.shares, found.quantiles, strict=True)):
        if tier:
            rests.append(_rest_of_parents(found, topics, tier))
        yield _batch(users, days, tier, (shares.users, topics.ids[tier][shares.topics], shares.expected, quantiles))
        for rest in rests:
            yield _batch(users, days, tier, rest)


def _rest_of_parents(found: UserForecasts, topics: Topics, tier: int):
    """Of each touched parent, what its touched children do not hold."""
    children, above = found.shares[tier], found.shares[tier - 1]
    width = len(topics.ids[tier - 1])
    keys = above.users * width + above.topics
    places = np.searchsorted(keys, children.users * width + topics.parents[tier][children.topics])
    left = np.maximum(above.expected - np.bincount(places, children.expected, len(keys)), 0.0)
    names = np.array([f"{REST} of {name}" for name in topics.ids[tier - 1]], dtype=object)
    return above.users, names[above.topics], left, None


def _batch(users: Histories, days: int, tier: int, columns) -> pa.RecordBatch:
    rows, names, shares, quantiles = columns
    n = len(rows)
    given = [np.full(n, np.nan)] * len(_QUANTILES) if quantiles is None else _named(quantiles)
    arrays = {
        "user_id": pa.array(users.user_ids, pa.string()).take(pa.array(rows)),
        "days_ahead": pa.array(np.full(n, days, dtype=np.int32)),
        "tier": pa.array(np.full(n, tier + 1, dtype=np.int32)),
        "topic_id": pa.array(names, pa.string()),
        "share": pa.array(np.minimum(shares, 1.0), pa.float64()),
    }
    arrays |= {name: nullable(one) for name, one in zip(_QUANTILES, given, strict=True)}
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _named(quantiles: np.ndarray) -> list[np.ndarray]:
    """The columns _QUANTILES of (r, 5) quantiles at the forecaster's LEVELS."""
    return [quantiles[:, 0], quantiles[:, 2], quantiles[:, 4], *forecaster.interval(quantiles)]


def return_rows(histories: DataFrame, topics: Topics, at_day: float, settings: Forecast, arrays: dict) -> DataFrame:
    """Rows user_id, days_ahead, return_probability, expected_events of every user; null without a model."""
    own = {name: array for name, array in arrays.items() if name.startswith("returns/")}
    nothing = Topics([], [], [], topics.counts)
    horizons = tuple(float(days) for days in settings.horizons_days)

    def rows(batches: Batches) -> Iterator[pa.RecordBatch]:
        for table in gather_rows(batches, _USERS_AT_ONCE):
            users = from_arrow(table)
            made = forecast_models.forecast(users, nothing, at_day, horizons, own, StateSettings())
            for days, found in zip(settings.horizons_days, made, strict=True):
                arrays = [
                    pa.array(users.user_ids, pa.string()),
                    pa.array(np.full(users.n_users, days, dtype=np.int32)),
                    nullable(found.came),
                    nullable(found.events),
                ]
                names = ["user_id", "days_ahead", "return_probability", "expected_events"]
                yield pa.RecordBatch.from_arrays(arrays, names=names)

    return map_users(histories, rows, _RETURN_DDL)
