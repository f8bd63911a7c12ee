"""The learned forecast of a user's shares: f(v, p, r) -> shares of the next window and their quantiles. numpy only.

A forecast is a mixture of share vectors (the user's own by several half lives, of the last day, everybody's), whose
weights a small network takes from the user's features, times a tilt per touched topic from the topic's features:

    m_j = sum_i w_i(user, H) s_ij,   p_j = m_j exp(g(topic j, user, H)) / sum_k m_k exp(g_k)

Every topic passes through the same networks, so that any number of topics of any log will do, and topics may come and
go. Topics that the user never touched share one tilt. Trained by `forecaster_training`.
"""

from typing import NamedTuple

import numpy as np

from interest_model.interest.forecast_features import N_OWN, Features, Windows

LEVELS = np.array([0.1, 0.2, 0.5, 0.8, 0.9])  # of the quantiles
_MOST_TILT = 5.0  # logit
_MOST_TREND = 3.0  # logit over the horizon
_MOST_DEVIATIONS = 4.0  # inputs are cut there: the networks never saw more


class Net(NamedTuple):
    """One hidden layer of tanh: w1 (inputs, hidden), b1 (hidden,), w2 (hidden, outputs), b2 (outputs,)."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray


class Scale(NamedTuple):
    """Mean and deviation of the networks' inputs: of topics (f + 1,), of users (g + 1,)."""

    topic_mean: np.ndarray
    topic_scale: np.ndarray
    user_mean: np.ndarray
    user_scale: np.ndarray


class Forecaster(NamedTuple):
    """Parameters of one tier: mix: user -> N_MIXED logits of weights and the tilt of untouched topics; tilt: topic and
    user -> tilt; spread: topic, user and expected share -> a number for each of the quantiles."""

    scale: Scale
    mix: Net
    tilt: Net
    spread: Net


class ShareForecast(NamedTuple):
    """Shares of the events of the next days: of r touched topics, and of all others as parts of everybody's shares.

    users, topics (r,): as in the features; expected (r,); rest (n, q): the share of an untouched topic j is
    rest[user] @ populations[:, j]; all shares of a user sum to one.
    """

    users: np.ndarray
    topics: np.ndarray
    expected: np.ndarray
    rest: np.ndarray


def to_arrays(model: Forecaster) -> dict[str, np.ndarray]:
    """The parameters by name ("mix.w1"), such as for safetensors or a table of arrays; `from_arrays` undoes it."""
    return {f"{part}.{name}": one for part in model._fields for name, one in getattr(model, part)._asdict().items()}


def from_arrays(arrays: dict[str, np.ndarray]) -> Forecaster:
    """Raises KeyError where a parameter is missing."""
    kinds = {"scale": Scale, "mix": Net, "tilt": Net, "spread": Net}
    return Forecaster(*(kind(*(arrays[f"{part}.{name}"] for name in kind._fields)) for part, kind in kinds.items()))


def expected_shares(model: Forecaster, at_cut: Features, horizon_days: float) -> ShareForecast:
    """Expected shares of the user's events in the horizon_days days after the cut."""
    inputs = inputs_of(model.scale, _as_windows(at_cut, horizon_days))
    expected, rest = shares(model.mix, model.tilt, inputs, np, sums)
    return ShareForecast(at_cut.users, at_cut.topics, expected, rest)


def quantile_shares(model: Forecaster, at_cut: Features, horizon_days: float, expected: np.ndarray) -> np.ndarray:
    """(r, 5) quantiles of the realised share at LEVELS, ascending, in [0, 1]; expected (r,): see `expected_shares`.

    They are of windows with as many events as the training asked for (`forecaster_training`, min_events): the share of
    a window with one event says little of an interest.
    """
    inputs = inputs_of(model.scale, _as_windows(at_cut, horizon_days))
    return np.clip(raw_quantiles(model.spread, inputs, expected, np), 0.0, 1.0)


def interval(quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(r,), (r,): ends of the 80 % interval of the realised share from (r, 5) quantiles at LEVELS.

    It leaves a tenth out at either end. A bound that holds a tenth of the outcomes or more cannot be left out, as the
    share of zero of who does not come back to a topic: there the other end alone leaves a fifth out. Where zero alone
    holds more than four fifths, the interval is zero and covers as many.
    """
    q10, q20, _, q80, q90 = quantiles.T
    low, high = np.where((q90 >= 1.0) & (q10 > 0.0), q20, q10), np.where(q10 <= 0.0, q80, q90)
    return low, high


def parent_shares(
    children: ShareForecast, parents: np.ndarray, populations: np.ndarray, of_parents: Features
) -> np.ndarray:
    """(rows of of_parents,) expected share of each touched topic of the wider tier: the sum of all its children.

    parents (n_topics,): each child's position in the wider tier; populations (q, n_topics): of the children's tier.
    Events have a topic in both tiers or in none, so a touched child makes a touched parent.
    """
    n_parents = of_parents.populations.shape[1]
    keys = of_parents.users * n_parents + of_parents.topics
    places = np.searchsorted(keys, children.users * n_parents + parents[children.topics])
    own = np.bincount(places, children.expected, len(keys))
    untouched = np.stack(
        [
            np.bincount(parents, one, n_parents)[of_parents.topics]
            - np.bincount(places, one[children.topics], len(keys))
            for one in populations
        ],
        axis=1,
    )
    return own + (children.rest[of_parents.users] * np.maximum(untouched, 0.0)).sum(axis=1)


def dense(forecast: ShareForecast, populations: np.ndarray) -> np.ndarray:
    """(n, n_topics) expected shares of all topics; each row sums to one."""
    shares_of_all = forecast.rest @ populations
    shares_of_all[forecast.users, forecast.topics] = forecast.expected
    return shares_of_all


# Formulas shared by scoring (numpy) and training (torch): xp is either module


class Inputs(NamedTuple):
    """Scaled inputs of the networks for n windows and r rows."""

    windows: np.ndarray
    shares: np.ndarray
    topics: np.ndarray
    users: np.ndarray
    usable: np.ndarray
    rest_population: np.ndarray


def inputs_of(scale: Scale, windows: Windows) -> Inputs:
    topics, users = raw_inputs(windows)
    own = np.repeat(windows.acted[:, None], N_OWN, axis=1)
    everybody = np.ones((len(windows.acted), windows.shares.shape[1] - N_OWN), dtype=bool)
    return Inputs(
        windows.windows,
        windows.shares,
        _scaled(topics, scale.topic_mean, scale.topic_scale),
        _scaled(users, scale.user_mean, scale.user_scale),
        np.concatenate([own, everybody], axis=1).astype(np.float32),
        windows.rest_population,
    )


def raw_inputs(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """(r, f + 1) and (n, g + 1): topics' values and trend over the horizon; users' values and log horizon."""
    moved = np.clip(windows.trend * windows.horizons[windows.windows], -_MOST_TREND, _MOST_TREND)
    return (
        np.column_stack([windows.topic_values, moved]),
        np.column_stack([windows.user_values, np.log(windows.horizons)]),
    )


def shares(mix: Net, tilt: Net, inputs: Inputs, xp, sums):
    """Expected shares (r,) of rows and (n, q) of untouched topics per unit of population share."""
    out = xp.tanh(inputs.users @ mix.w1 + mix.b1) @ mix.w2 + mix.b2
    weights = xp.exp(xp.clip(out[:, :-1], -15.0, 15.0)) * inputs.usable
    weights = weights / weights.sum(1)[:, None]
    own = (inputs.shares * weights[inputs.windows]).sum(1) * _tilted(_of_rows(tilt, inputs, xp)[:, 0], xp)
    rest = weights[:, N_OWN:] * _tilted(out[:, -1], xp)[:, None]
    total = sums(inputs.windows, own, len(out)) + (rest * inputs.rest_population).sum(1)
    return own / total[inputs.windows], rest / total[:, None]


def raw_quantiles(spread: Net, inputs: Inputs, expected, xp):
    """(r, 5) quantiles before they are held in [0, 1]; distances are in units of the deviation of one event."""
    rows = inputs._replace(topics=xp.concatenate([inputs.topics, _expected_values(expected, xp)], axis=1))
    out = xp.clip(_of_rows(spread, rows, xp), -15.0, 15.0)
    unit = xp.sqrt(expected * (1.0 - expected) + 1e-4)  # deviation of one event, with a floor of one per cent
    q50 = expected + unit * out[:, 2]
    steps = [0.5 * unit * xp.log(1.0 + xp.exp(out[:, column])) for column in (0, 1, 3, 4)]
    q20, q80 = q50 - steps[1], q50 + steps[2]
    return xp.stack([q20 - steps[0], q20, q50, q80, q80 + steps[3]], 1)


def _expected_values(expected, xp):
    odds = xp.log((expected + 1e-3) / (1.0 - expected + 1e-3))
    return xp.stack([odds / 2.0, xp.sqrt(xp.clip(expected, 0.0, 1.0)) * 4.0 - 1.0], 1)


def _of_rows(net: Net, inputs: Inputs, xp):
    """The network on each row's topic and user; the user's part is worked out once."""
    width = inputs.topics.shape[1]
    users = inputs.users @ net.w1[width:] + net.b1
    return xp.tanh(inputs.topics @ net.w1[:width] + users[inputs.windows]) @ net.w2 + net.b2


def _tilted(logits, xp):
    return xp.exp(xp.clip(logits, -_MOST_TILT, _MOST_TILT))


def _scaled(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip((values - mean) / scale, -_MOST_DEVIATIONS, _MOST_DEVIATIONS).astype(np.float32)


def sums(rows: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(rows, values, n)


def _untouched(at_cut: Features) -> np.ndarray:
    n = len(at_cut.acted)
    touched = [np.bincount(at_cut.users, one[at_cut.topics], n) for one in at_cut.populations]
    return np.maximum(1.0 - np.stack(touched, axis=1), 0.0)


def _as_windows(at_cut: Features, horizon_days: float) -> Windows:
    n = len(at_cut.acted)
    return Windows(
        at_cut.users, at_cut.shares, at_cut.topic_values, at_cut.trend, at_cut.user_values, at_cut.acted,
        np.full(n, horizon_days, dtype=np.float32), np.zeros(n), np.zeros(0), np.zeros(0), _untouched(at_cut),
        np.zeros(n),
    )  # fmt: skip
