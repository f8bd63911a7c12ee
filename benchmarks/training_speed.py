"""Training samples per second: our transformer sequence model against RecTools' SASRec of the same shape, on the CPU.

    python benchmarks/training_speed.py FOLDER [--peers-python PYTHON] [--users N] [--rounds N] [--threads N]

FOLDER is a split as `jobs/backtest.py --split` writes it (see interest_model/evaluation/peers.py); PYTHON is the one of
the environment that `make peers` builds. Both share the sequences, the catalogue, the number of threads, the full
softmax over the next item at every position, and the sizes of conf/base.yaml: width, blocks, heads, dropout, sequence
length, batch; the feed-forward part is as wide as the embeddings, as theirs is. Ours keeps what it has by default
beside that: attention that knows the time, id dropout, cosines.

A sample is a position that is no padding and has a next item; both have the same number of them. Theirs pads every
session to its full length and scores the padding too; ours sorts sequences by length and scores samples only; "not
sorted" is ours without the sorting. A round is one epoch of each in turn; the first is not counted. Prints medians of
samples per second and ratios, by the clock and by the CPU seconds of the process: on a machine that others use too the
clock says little, and with --threads 1 the CPU time still compares (threads that wait for each other use it up).
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.dataset as ds
import torch

from interest_model.config import load_settings
from interest_model.interest.item_tower import ItemFeatures
from interest_model.interest.model import build
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.recommend.histories import Histories, from_arrow, keep, take
from interest_model.training.batches import Sequences, TrainingBatches
from interest_model.training.fit import TrainingData, fit

HERE = Path(__file__).resolve().parent
CLOCK = HERE / "peers" / "sasrec_clock.py"
PEERS_PYTHON = HERE.parent / ".venv-peers" / "bin" / "python"
SEED = 7


class Epoch(NamedTuple):
    seconds: float
    cpu_seconds: float
    samples: int
    items: int

    @property
    def rates(self) -> tuple[float, float]:
        """Samples per second by the clock, and per CPU second."""
        return self.samples / self.seconds, self.samples / self.cpu_seconds


def read_sequences(folder: Path, n_users: int, session: int) -> Histories:
    """Latest session + 1 events of n_users users (fewer where there are fewer) drawn by seed from those with two or
    more; items renumbered, so that the catalogue is what occurs."""
    rows = ds.dataset(folder / "histories", exclude_invalid_files=True).to_table().sort_by("user_id")
    histories = from_arrow(rows)
    usable = np.flatnonzero(histories.lengths >= 2)
    histories = take(histories, np.sort(np.random.default_rng(SEED).permutation(usable)[:n_users]))
    from_the_end = histories.indptr[1:][histories.rows] - np.arange(len(histories.items))
    histories = keep(histories, from_the_end <= session + 1)
    _, items = np.unique(histories.items, return_inverse=True)
    return histories._replace(items=items.astype(np.int32))


def our_settings(sorted_by_length: bool) -> tuple[ModelSettings, FitSettings]:
    """conf/base.yaml's, but for what both must share. Of session + 1 events ours reads the last one too, to no end."""
    settings = load_settings()
    model = dataclasses.replace(
        settings.model, encoder="transformer", dynamic="transformer", head="dot", loss="softmax",
        hidden=settings.model.embedding, max_length=settings.model.max_length + 1, bidirectional=False,
    )  # fmt: skip
    training = dataclasses.replace(
        settings.training, epochs=1, target="next", positions=0, bucketed=sorted_by_length, augment=0.0,
        adversarial_epsilon=0.0, long_histories="latest",
    )  # fmt: skip
    return model, training


def our_epochs(histories: Histories, kind: ModelSettings, settings: FitSettings) -> Callable[[], Epoch]:
    """Trains one model for an epoch at every call."""
    n_items = int(histories.items.max()) + 1
    model = build(kind, ItemFeatures(n_items), settings.seed)
    counts = torch.from_numpy(np.bincount(histories.items, minlength=n_items))
    data = TrainingData(TrainingBatches(Sequences(histories), kind, settings), item_counts=counts)
    samples = int(np.maximum(histories.lengths - 1, 0).sum())

    def epoch() -> Epoch:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        fit(model, settings, data)
        return Epoch(time.perf_counter() - begun, time.process_time() - begun_cpu, samples, n_items)

    return epoch


class Theirs:
    """RecTools in its own process, which trains for an epoch at every call and waits in between."""

    def __init__(self, command: list[str], shape: dict, histories: Histories, scratch: Path):
        file = scratch / "sequences.npz"
        np.savez(file, users=histories.rows, items=histories.items, days=histories.days)
        environment = os.environ | {"OMP_NUM_THREADS": str(shape["threads"])}
        environment.pop("PYTHONPATH", None)  # this environment's packages are not theirs
        self.process = subprocess.Popen(
            [*command, str(file), json.dumps(shape)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def __call__(self) -> Epoch:
        print("epoch", file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("{"):
                return Epoch(**json.loads(line))
        raise SystemExit("RecTools' process ended: its message is above")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(contenders: dict[str, Callable[[], Epoch]], rounds: int) -> dict[str, list[Epoch]]:
    """Epochs by round, in turn; one round before is not counted. ValueError: not all train on the same."""
    epochs: dict[str, list[Epoch]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        latest = {name: train() for name, train in contenders.items()}
        if len({(one.samples, one.items) for one in latest.values()}) > 1:
            raise ValueError(f"not the same samples and items: {latest}")
        if number:
            for name, one in latest.items():
                epochs[name].append(one)
    return epochs


def shared_shape(model: ModelSettings, training: FitSettings, threads: int) -> dict:
    """Our settings for peers/sasrec_clock.py; its sessions are one event shorter: the last one is only a target."""
    blocks, session = model.layers + model.dynamic_layers, model.max_length - 1
    return {
        "size": model.embedding, "blocks": blocks, "heads": model.heads, "session": session, "dropout": model.dropout,
        "batch": training.batch_size, "threads": threads,
    }  # fmt: skip


def print_rates(epochs: dict[str, list[Epoch]], theirs: str) -> None:
    for place, unit in enumerate(("second", "CPU second")):
        rates = {name: [one.rates[place] for one in each] for name, each in epochs.items()}
        for name, each in rates.items():
            median, rounds = statistics.median(each), ", ".join(f"{rate:,.0f}" for rate in each)
            ratio = median / statistics.median(rates[theirs])
            print(f"{name}: {median:,.0f} samples per {unit}, {ratio:.2f} times {theirs}'s (rounds {rounds})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kind, training = our_settings(sorted_by_length=True)
    shape = shared_shape(kind, training, options.threads)
    histories = read_sequences(options.folder, options.users, shape["session"])
    print(f"{histories.n_users:,} users, {len(histories.items):,} events, {histories.items.max() + 1:,} items; {shape}")
    with tempfile.TemporaryDirectory() as scratch:
        theirs = Theirs([str(options.peers_python), str(CLOCK)], shape, histories, Path(scratch))
        contenders = {
            "ours": our_epochs(histories, kind, training),
            "ours, not sorted": our_epochs(histories, *our_settings(sorted_by_length=False)),
            "RecTools": theirs,
        }
        print_rates(measure(contenders, options.rounds), "RecTools")
        theirs.close()


if __name__ == "__main__":
    main()
