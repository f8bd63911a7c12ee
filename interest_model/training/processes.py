"""Several processes that train one model, each on its own users: gradients averaged over all. torch, no Spark.

Without an initialised torch.distributed group everything here is what it is for one process.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, distributed

Item = TypeVar("Item")


def count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """True in the one process that writes and reports."""
    return rank() == 0


def summed(numbers: Tensor) -> Tensor:
    """The sum over all processes; every one of them must ask."""
    if count() > 1:
        numbers = numbers.clone()
        distributed.all_reduce(numbers)
    return numbers


def stacked(one: Tensor) -> Tensor:
    """(processes, ...) the tensor of every process, in order of rank; every one of them must ask."""
    if count() == 1:
        return one[None]
    found = [torch.empty_like(one) for _ in range(count())]
    distributed.all_gather(found, one)
    return torch.stack(found)


def mean(total: float, weight: float) -> float:
    """The sum of all totals over the sum of all weights, 0.0 where there is no weight."""
    total, weight = summed(torch.tensor([total, weight], dtype=torch.float64)).tolist()
    return total / weight if weight else 0.0


def in_step(items: Iterable[Item]) -> Iterator[Item | None]:
    """The items, then None for as long as another process still has one: all take equally many steps."""
    iterator = iter(items)
    while True:
        item = next(iterator, None)
        if not int(summed(torch.tensor(int(item is not None)))):
            return
        yield item


def average_gradients(parameters: Iterable[Tensor], weight: int) -> None:
    """Each gradient becomes the mean over processes, by weight: the scored positions of a process's batch, 0 for none.

    With losses that are means over positions this is the gradient of one batch of all positions.
    """
    if count() == 1:
        return
    known = list(parameters)
    for one in known:
        one.grad = torch.zeros_like(one) if one.grad is None else one.grad
    flat = torch.cat([one.grad.flatten() for one in known] + [known[0].new_ones(1)]) * weight
    distributed.all_reduce(flat)
    parts = (flat[:-1] / flat[-1].clamp(min=1)).split([one.numel() for one in known])
    for one, part in zip(known, parts, strict=True):
        one.grad.copy_(part.view_as(one))
