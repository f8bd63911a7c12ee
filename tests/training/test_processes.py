"""Two processes on one model: the same weights in both, and those of one process on all users."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from interest_model.recommend.histories import take
from interest_model.training import processes
from interest_model.training.batches import Sequences
from interest_model.training.distributed import backend
from interest_model.training.sequence_model import Past, train
from tests.training.worlds import past, quick, small_model

KIND = small_model(id_dropout=0.0)
ONE_BATCH = quick(epochs=3, batch_size=1000, patience=0)


def _in_two(rank: int, folder: str) -> None:
    options = {"init_method": f"file://{folder}/meeting", "rank": rank, "world_size": 2}
    distributed.init_process_group("gloo", **options)
    torch.save({name: work(rank, Path(folder)) for name, work in WORKS.items()}, f"{folder}/{rank}.pt")
    distributed.barrier()  # as in training: one that goes while the other still talks to it may end by abort
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def in_two(tmp_path_factory) -> tuple[dict, dict]:
    """What each of WORKS gives in the first and in the second of two processes; starting them takes longest."""
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(_in_two, (str(folder),), nprocs=2)
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2))
    return first, second


@pytest.fixture(scope="module")
def alone() -> dict:
    return trained(None)


def trained(rank: int, settings=ONE_BATCH, kind=KIND, folder: Path | None = None, first: int = 20) -> dict:
    """Users 0 to 19 (or so many as first says) for the first process, the others for the second; rank None: all."""
    whole = past()
    users = {0: np.arange(first), 1: np.arange(first, 60), None: np.arange(60)}[rank]
    own = Past(Sequences(take(whole.sequences.histories, users)), *whole[1:])
    found = train(own, kind, settings, folder)
    return {"weights": [one.detach() for one in found.model.parameters()], "scores": found.search.scores}


def an_ensemble_twice(rank: int, folder: Path) -> dict:
    """Trained whole, and from what a kill in the last epoch of the second member leaves; dropout draws differently in
    each process."""
    settings, kind = dataclasses.replace(ONE_BATCH, ensemble=2), small_model(dropout=0.2)
    folder = folder / "checkpoints"
    checkpoints = folder / "final-2"
    whole = trained(rank, settings, kind, folder)
    if rank == 0:
        shutil.rmtree(max(checkpoints.iterdir()))
    distributed.barrier()
    left = len(list(checkpoints.iterdir()))
    distributed.barrier()
    return {"left": left, "whole": whole["weights"], "again": trained(rank, settings, kind, folder)["weights"]}


def trained_in_small_batches(rank: int, folder: Path) -> dict:
    return trained(rank, dataclasses.replace(ONE_BATCH, batch_size=16))  # 2 and 3 batches: unequally many


def averaged(rank: int, folder: Path) -> dict:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0]) if rank == 0 else None
    processes.average_gradients([weight], 3 if rank == 0 else 1)
    steps = [item is None for item in processes.in_step(range(1 + 2 * rank))]
    both = processes.stacked(torch.tensor([rank, 7]))
    return {"grad": weight.grad, "steps": steps, "mean": processes.mean(float(rank), 2.0), "stacked": both}


WORKS = {
    "averaged": averaged,
    "trained": lambda rank, folder: trained(rank),
    "small batches": trained_in_small_batches,
    "nobody in the first": lambda rank, folder: trained(rank, first=0),
    "ensemble": an_ensemble_twice,
}


@pytest.mark.slow
def test_gradients_are_averaged_by_weight_and_all_take_equally_many_steps(in_two):
    first, second = (one["averaged"] for one in in_two)
    for one in (first, second):  # (3 x gradient + 1 x nothing) / 4
        assert one["grad"].tolist() == [0.75, 1.5] and one["mean"] == 0.25
        assert one["stacked"].tolist() == [[0, 7], [1, 7]]
    assert first["steps"] == [False, True, True] and second["steps"] == [False, False, False]


@pytest.mark.slow
def test_two_processes_fit_what_one_fits_on_all_users(in_two, alone):
    first, second = (one["trained"] for one in in_two)
    assert first["scores"] == second["scores"] == pytest.approx(alone["scores"], abs=0.05)
    for a, b, whole in zip(first["weights"], second["weights"], alone["weights"], strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, whole, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_processes_with_unequally_many_batches_end_alike(in_two):
    first, second = (one["small batches"] for one in in_two)
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))


@pytest.mark.slow
def test_a_process_without_users_trains_along(in_two, alone):
    first, second = (one["nobody in the first"] for one in in_two)
    for a, b, whole in zip(first["weights"], second["weights"], alone["weights"], strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, whole, rtol=0, atol=1e-3)


def test_counts_on_the_cpu_travel_beside_gradients_on_a_gpu():
    served = distributed.distributed_c10d.BackendConfig(backend(gpu=True)).get_device_backend_map()
    assert served == {"cpu": "gloo", "cuda": "nccl"} and backend(gpu=False) == "gloo"


@pytest.mark.slow
def test_two_processes_go_on_in_the_second_member_of_an_ensemble(in_two):
    first, second = (one["ensemble"] for one in in_two)
    assert first["left"] == second["left"] > 0
    for weights in zip(first["whole"], second["whole"], first["again"], second["again"], strict=True):
        assert all(torch.equal(weights[0], one) for one in weights[1:])


def test_alone_nothing_is_different():
    assert processes.count() == 1 and processes.is_first() and processes.rank() == 0
    assert processes.stacked(torch.arange(2)).tolist() == [[0, 1]]
    assert (processes.mean(3.0, 2.0), processes.mean(1.0, 0.0)) == (1.5, 0.0)
    assert list(processes.in_step("ab")) == ["a", "b"]
    weight = torch.nn.Parameter(torch.zeros(1))
    processes.average_gradients([weight], 5)
    assert weight.grad is None
