"""Two processes on one model: the same weights in both, and those of one process on all users."""

import dataclasses
import shutil
from functools import partial
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


def _in_two(rank: int, folder: str, work) -> None:
    options = {"init_method": f"file://{folder}/meeting", "rank": rank, "world_size": 2}
    distributed.init_process_group("gloo", **options)
    torch.save(work(rank), f"{folder}/{rank}.pt")
    distributed.barrier()  # as in training: one that goes while the other still talks to it may end by abort
    distributed.destroy_process_group()


def in_two(folder, work) -> list:
    """What work(rank) gives in each of two processes."""
    multiprocessing.spawn(_in_two, (str(folder), work), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


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
    checkpoints = folder / "final-2"
    whole = trained(rank, settings, kind, folder)
    if rank == 0:
        shutil.rmtree(max(checkpoints.iterdir()))
    distributed.barrier()
    left = len(list(checkpoints.iterdir()))
    distributed.barrier()
    return {"left": left, "whole": whole["weights"], "again": trained(rank, settings, kind, folder)["weights"]}


def trained_in_small_batches(rank: int) -> dict:
    return trained(rank, dataclasses.replace(ONE_BATCH, batch_size=16))  # 2 and 3 batches: unequally many


def averaged(rank: int) -> dict:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0]) if rank == 0 else None
    processes.average_gradients([weight], 3 if rank == 0 else 1)
    steps = [item is None for item in processes.in_step(range(1 + 2 * rank))]
    both = processes.stacked(torch.tensor([rank, 7]))
    return {"grad": weight.grad, "steps": steps, "mean": processes.mean(float(rank), 2.0), "stacked": both}


@pytest.mark.slow
def test_gradients_are_averaged_by_weight_and_all_take_equally_many_steps(tmp_path):
    first, second = in_two(tmp_path, averaged)
    for one in (first, second):  # (3 x gradient + 1 x nothing) / 4
        assert one["grad"].tolist() == [0.75, 1.5] and one["mean"] == 0.25
        assert one["stacked"].tolist() == [[0, 7], [1, 7]]
    assert first["steps"] == [False, True, True] and second["steps"] == [False, False, False]


@pytest.mark.slow
def test_two_processes_fit_what_one_fits_on_all_users(tmp_path):
    first, second = in_two(tmp_path, trained)
    alone = trained(None)
    assert first["scores"] == second["scores"] == pytest.approx(alone["scores"], abs=0.05)
    for a, b, whole in zip(first["weights"], second["weights"], alone["weights"], strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, whole, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_processes_with_unequally_many_batches_end_alike(tmp_path):
    first, second = in_two(tmp_path, trained_in_small_batches)
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))


@pytest.mark.slow
def test_a_process_without_users_trains_along(tmp_path):
    first, second = in_two(tmp_path, partial(trained, first=0))
    alone = trained(None)
    for a, b, whole in zip(first["weights"], second["weights"], alone["weights"], strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, whole, rtol=0, atol=1e-3)


def test_counts_on_the_cpu_travel_beside_gradients_on_a_gpu():
    served = distributed.distributed_c10d.BackendConfig(backend(gpu=True)).get_device_backend_map()
    assert served == {"cpu": "gloo", "cuda": "nccl"} and backend(gpu=False) == "gloo"


@pytest.mark.slow
def test_two_processes_go_on_in_the_second_member_of_an_ensemble(tmp_path):
    first, second = in_two(tmp_path, partial(an_ensemble_twice, folder=tmp_path / "checkpoints"))
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
