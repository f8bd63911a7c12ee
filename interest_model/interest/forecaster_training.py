"""Training of the share forecaster on windows after past cuts. torch on the CPU, no Spark."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interest_model.interest.forecast_features import N_MIXED, Windows, sampled, take_windows
from interest_model.interest.forecaster import (
    LEVELS,
    Forecaster,
    Inputs,
    Net,
    Scale,
    inputs_of,
    raw_inputs,
    raw_quantiles,
    shares,
)


@dataclass(frozen=True)
class TrainingSettings:
    """hidden: units of each network; steps: of Adam, over all windows at once; learning_rate falls to zero by a cosine;
    weight_decay: of the networks' weights. most_rows: pairs of a window and a topic that a network learns from; of more
    whole windows are sampled. shrink_events: a window of so many events counts half in the likelihood. min_events:
    windows with fewer say nothing about quantiles.
    """

    hidden: int = 16
    steps: int = 120
    learning_rate: float = 0.02
    weight_decay: float = 0.3
    shrink_events: float = 5.0
    min_events: int = 5
    most_rows: int = 100_000
    seed: int = 7


class _Truth(NamedTuple):
    """truth (r,) and rest (n,): realised shares of rows and of all untouched topics; weights (n,), sum one."""

    truth: Tensor
    rest: Tensor
    weights: Tensor


def train(windows: Windows, settings: TrainingSettings) -> Forecaster:
    """A forecaster of expected shares and quantiles. Raises ValueError where no window has min_events events."""
    if not (windows.events >= settings.min_events).any():
        raise ValueError(f"train: no window of {len(windows.events)} has {settings.min_events} events or more")
    scale = scale_of(windows)
    generator = torch.Generator().manual_seed(settings.seed)
    with _one_thread():
        mix, tilt = train_shares(windows, scale, generator, settings)
        expected = _expected(mix, tilt, scale, windows)
        spread = train_spread(windows, scale, expected, generator, settings)
    return Forecaster(scale, *(Net(*(one.numpy() for one in net)) for net in (mix, tilt, spread)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """With several threads the last bits of sums, and so the model's version, change from run to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def scale_of(windows: Windows) -> Scale:
    """Mean and deviation of the inputs over the windows; a constant input gets deviation one."""
    parts = []
    for values in raw_inputs(windows):
        deviation = values.std(axis=0) if len(values) else np.zeros(values.shape[1])
        mean = values.mean(axis=0) if len(values) else np.zeros(values.shape[1])
        parts += [mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)]
    return Scale(*parts)


def train_shares(windows: Windows, scale: Scale, generator, settings: TrainingSettings) -> tuple[Net, Net]:
    """The networks `mix` and `tilt`: largest multinomial likelihood of the realised shares."""
    windows = take_windows(windows, sampled(windows, windows.events > 0, settings.most_rows))
    inputs, truth = _tensors(inputs_of(scale, windows)), _truth(windows, settings.shrink_events)
    n_users, n_topics = inputs.users.shape[1], inputs.topics.shape[1]
    mix = _net(n_users, settings.hidden, N_MIXED + 1, generator)
    tilt = _net(n_topics + n_users, settings.hidden, 1, generator)

    def loss() -> Tensor:
        expected, rest = shares(mix, tilt, inputs, torch, _sums)
        return _share_loss(expected, (rest * inputs.rest_population).sum(1), inputs.windows, truth)

    _minimise(loss, (mix, tilt), settings)
    return _detached(mix), _detached(tilt)


def _share_loss(expected: Tensor, rest: Tensor, rows: Tensor, truth: _Truth) -> Tensor:
    of_rows = truth.truth * torch.log(expected + 1e-6) * truth.weights[rows]
    of_rest = truth.rest * torch.log(rest + 1e-6) * truth.weights
    return -of_rows.sum() - of_rest.sum()


def train_spread(windows: Windows, scale: Scale, expected: np.ndarray, generator, settings: TrainingSettings) -> Net:
    """The network `spread`: smallest pinball loss of the quantiles held in [0, 1].

    That is Powell's censored quantile regression (1986, J. Econometrics 32): a realised share has mass at its bounds.
    """
    kept = sampled(windows, windows.events >= settings.min_events, settings.most_rows)
    expected = torch.from_numpy(expected[kept[windows.windows]].astype(np.float32))
    windows = take_windows(windows, kept)
    inputs, truth = _tensors(inputs_of(scale, windows)), torch.from_numpy(windows.truth)
    spread = _net(inputs.topics.shape[1] + 2 + inputs.users.shape[1], settings.hidden, len(LEVELS), generator)
    levels = torch.from_numpy(LEVELS.astype(np.float32))

    def loss() -> Tensor:
        error = truth[:, None] - _held(raw_quantiles(spread, inputs, expected, torch))
        return torch.maximum(levels * error, (levels - 1.0) * error).mean()

    _minimise(loss, (spread,), settings)
    return _detached(spread)


def _held(quantiles: Tensor) -> Tensor:
    """Held in [0, 1], with a hundredth of the slope outside, so that what was cut too far finds back."""
    return 0.99 * quantiles.clamp(0.0, 1.0) + 0.01 * quantiles


def _expected(mix: Net, tilt: Net, scale: Scale, windows: Windows) -> np.ndarray:
    with torch.no_grad():
        return shares(mix, tilt, _tensors(inputs_of(scale, windows)), torch, _sums)[0].numpy()


def _truth(windows: Windows, shrink_events: float) -> _Truth:
    touched = np.bincount(windows.windows, windows.truth, len(windows.events))
    weights = windows.events / (windows.events + shrink_events)
    rest = np.maximum(1.0 - touched, 0.0).astype(np.float32)
    return _Truth(
        torch.from_numpy(windows.truth),
        torch.from_numpy(rest),
        torch.from_numpy((weights / weights.sum()).astype(np.float32)),
    )


def _minimise(loss, nets: tuple[Net, ...], settings: TrainingSettings) -> None:
    parameters = [one for net in nets for one in net]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for _ in range(settings.steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        schedule.step()


def _net(inputs: int, hidden: int, outputs: int, generator: torch.Generator) -> Net:
    """A network that starts at zero: the mixture of equal weights, without tilt."""
    w1 = torch.randn(inputs, hidden, generator=generator) / inputs**0.5
    parts = w1, torch.zeros(hidden), torch.zeros(hidden, outputs), torch.zeros(outputs)
    return Net(*(one.requires_grad_() for one in parts))


def _detached(net: Net) -> Net:
    return Net(*(one.detach() for one in net))


def _tensors(inputs: Inputs) -> Inputs:
    kinds = [np.int64, *[np.float32] * 5]
    return Inputs(*(torch.from_numpy(np.ascontiguousarray(one, kind)) for one, kind in zip(inputs, kinds, strict=True)))


def _sums(rows: Tensor, values: Tensor, n: int) -> Tensor:
    return torch.zeros(n, dtype=values.dtype).index_add(0, rows, values)
