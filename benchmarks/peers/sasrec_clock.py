"""Seconds of a training epoch of RecTools' SASRec, one epoch for each line on standard input.

    python benchmarks/peers/sasrec_clock.py SEQUENCES.npz SHAPE       in the environment that `make peers` builds

benchmarks/training_speed.py starts it. SEQUENCES.npz: users, items, days of events in order. SHAPE: JSON with size,
blocks, heads, session, dropout, batch, threads. Each epoch is answered with a line of JSON: seconds, samples (positions
that are no padding and have a next item), items, cpu_seconds of the process.
"""

import json
import logging
import sys
import time
import warnings

import numpy as np
import torch
from models import SEED, Log  # the file beside this one
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools.models import SASRecModel
from sasrec import dataset


class Clock(Callback):
    """Seconds from the start of the latest epoch, batches still to be made, to its end."""

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.begun, self.begun_cpu = time.perf_counter(), time.process_time()

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter() - self.begun, time.process_time() - self.begun_cpu


def trainer() -> Trainer:
    return Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Clock()],
    )  # fmt: skip


def untrained(shape: dict) -> SASRecModel:
    return SASRecModel(
        n_factors=shape["size"], n_blocks=shape["blocks"], n_heads=shape["heads"], dropout_rate=shape["dropout"],
        session_max_len=shape["session"], batch_size=shape["batch"], loss="softmax", get_trainer_func=trainer,
    )  # fmt: skip


def main() -> None:
    sequences, shape = np.load(sys.argv[1]), json.loads(sys.argv[2])
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(shape["threads"])
    users, items, days = (sequences[name] for name in ("users", "items", "days"))
    data = dataset(Log(users, items, days, int(users.max()) + 1, int(items.max()) + 1, float(days.max())))
    seed_everything(SEED)
    made = untrained(shape)
    for _ in sys.stdin:
        made.fit_partial(data, min_epochs=1, max_epochs=1)
        clock = next(one for one in made.fit_trainer.callbacks if isinstance(one, Clock))
        samples = sum(int((batch["y"] != 0).sum()) for batch in made.data_preparator.get_dataloader_train())
        n_items = len(made.data_preparator.get_known_item_ids())
        spent = {"seconds": clock.seconds, "cpu_seconds": clock.cpu_seconds}
        print(json.dumps(spent | {"samples": samples, "items": n_items}), flush=True)


if __name__ == "__main__":
    main()
