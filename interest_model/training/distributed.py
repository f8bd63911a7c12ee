"""A training in several processes by Spark's TorchDistributor: each reads its share of the snapshot's files."""

import os
import sys
from pathlib import Path

import torch
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession
from torch import distributed

import interest_model
from interest_model.interest import model as zoo
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.training import processes, snapshot
from interest_model.training.fit import Course
from interest_model.training.sequence_model import Past, Trained, train

_TOLD = "model"  # below the folder: what the first process hands over


def train_in_processes(
    spark: SparkSession, folder: Path, kind: ModelSettings, settings: FitSettings, log: tuple[bool, str]
) -> Trained:
    """As sequence_model.train on folder/snapshot, in settings.shards processes: on this machine where Spark is local,
    else in one task each. The folder must be one that all of them see; checkpoints lie there too. log: Past's repeats
    and zone.
    """
    local, gpu = spark.sparkContext.master.startswith("local"), torch.cuda.is_available()
    before, package = os.environ.get("PYTHONPATH"), str(Path(interest_model.__file__).parent.parent)
    os.environ["PYTHONPATH"] = package if before is None else f"{package}{os.pathsep}{before}"
    try:
        distributor = TorchDistributor(num_processes=settings.shards, local_mode=local, use_gpu=gpu)
        told = distributor.run(_train_share, str(folder), kind, settings, log)
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    search, finals = Course(*told["search"]), {name: Course(*one) for name, one in told["finals"].items()}
    return Trained(zoo.load(folder / _TOLD), search, finals, told["epochs"], told["n_validated"])


def _train_share(folder: str, kind: ModelSettings, settings: FitSettings, log: tuple[bool, str]) -> dict:
    """One process's part; what the first returns is what the caller gets."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group(backend(torch.cuda.is_available()))
    try:
        held = snapshot.load(Path(folder) / "snapshot")
        own = snapshot.read(held, distributed.get_rank(), distributed.get_world_size())
        past = Past(own, held.features, held.at_day, *log)
        found = train(past, kind, settings, Path(folder), _tell)
        if processes.is_first():
            zoo.save(found.model.to("cpu"), Path(folder) / _TOLD)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
    finals = {name: (one.losses, one.scores) for name, one in found.finals.items()}
    search = found.search.losses, found.search.scores
    return {"search": search, "finals": finals, "epochs": found.epochs, "n_validated": found.n_validated}


def backend(gpu: bool) -> str:
    """What carries tensors between processes. Counts and sums lie on the CPU also where the model does not, and NCCL
    takes none of those."""
    return "cpu:gloo,cuda:nccl" if gpu else "gloo"


def _tell(name: str, one) -> None:
    text = f"{name} epoch {one.epoch + 1}: loss {one.loss:.4f}, {one.samples_per_second:,.0f} positions/s"
    print(text, file=sys.stderr)
