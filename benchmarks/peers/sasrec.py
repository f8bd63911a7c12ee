"""RecTools' SASRec as a peer: size and number of epochs searched on the inner slice, then refitted.

    python benchmarks/peers/sasrec.py FOLDER [--sizes 64 128] [--epochs 4 8 12 16] [--negatives 0]
                                                                in the environment that `make peers` builds

FOLDER and the inner slice: see models.py. On the CPU. Each size (of embeddings, attention and feed-forward alike) is
trained once and judged after each of the epochs, so that no fit has more than the last of them and the search no more
than as many for each size. Full softmax, or over so many --negatives where catalogue and users are too many for it;
sessions of 100 items, the rest as the library has it, but for smaller batches: a log of a few thousand users would else
take hardly any steps in an epoch.
"""

import argparse
import logging
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import search  # the file beside this one
from models import SEED, Log
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

SESSION = 100
BATCH = 32


class Search(NamedTuple):
    """What is tried: sizes, each after each of the epochs (ascending); negatives of each batch, 0: a full softmax."""

    sizes: list[int]
    epochs: list[int]
    negatives: int


def dataset(log: Log) -> Dataset:
    frame = pd.DataFrame({
        Columns.User: log.users, Columns.Item: log.items, Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(log.days, unit="D"),
    })  # fmt: skip
    return Dataset.construct(frame)


def trainer() -> Trainer:
    return Trainer(
        accelerator="cpu", devices=1, deterministic=True, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def untrained(size: int, negatives: int) -> SASRecModel:
    seed_everything(SEED)
    loss = {"loss": "sampled_softmax", "n_negatives": negatives} if negatives else {"loss": "softmax"}
    return SASRecModel(
        n_factors=size, n_blocks=2, n_heads=2, dropout_rate=0.2, session_max_len=SESSION, lr=1e-3,
        batch_size=BATCH, get_trainer_func=trainer, recommend_torch_device="cpu", **loss,
    )  # fmt: skip


def lister(made: SASRecModel, data: Dataset) -> search.Lister:
    def lists(users: np.ndarray, variant: str, length: int) -> np.ndarray:
        rows = made.recommend(users, data, length, filter_viewed=variant == "novel", on_unsupported_targets="ignore")
        found = np.full((len(users), length), -1)
        found[pd.Index(users).get_indexer(rows[Columns.User]), rows[Columns.Rank] - 1] = rows[Columns.Item]
        return found

    return lists


def candidates(asked: Search, log: Log) -> Iterator[tuple[tuple[int, int], search.Lister]]:
    """Every (size, epochs), the epochs of one size along one training."""
    data = dataset(log)
    for size in asked.sizes:
        made = untrained(size, asked.negatives)
        for done, epochs in zip((0, *asked.epochs), asked.epochs, strict=False):
            made.fit_partial(data, min_epochs=epochs - done, max_epochs=epochs - done)
            yield (size, epochs), lister(made, data)


def fit(asked: Search, log: Log, setting: tuple[int, int]) -> search.Lister:
    size, epochs = setting
    data, made = dataset(log), untrained(size, asked.negatives)
    made.fit_partial(data, min_epochs=epochs, max_epochs=epochs)
    return lister(made, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--epochs", type=int, nargs="+", default=[4, 8, 12, 16])
    parser.add_argument("--negatives", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of the libraries about each other
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    asked = Search(options.sizes, options.epochs, options.negatives)
    search.run(search.Peer("sasrec", partial(candidates, asked), partial(fit, asked)), options.folder)


if __name__ == "__main__":
    main()
