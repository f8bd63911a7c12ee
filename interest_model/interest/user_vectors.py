"""User vectors over Spark: a sequence model's states of users, computed where the users are."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch
from pyspark.sql import DataFrame

from interest_model.interest.model import SequenceModel
from interest_model.interest.shipped_model import model_here, shipped
from interest_model.interest.vectors_of_users import vectors
from interest_model.on_executors import Batches, gather_rows, list_column, map_users, task_cpus, task_device
from interest_model.recommend.histories import Histories, from_arrow

_USERS_AT_ONCE = 5_000  # sorted by length together
_DDL = "user_id string, days_ahead int, vector array<float>"


def vector_rows(
    histories: DataFrame, model: SequenceModel, at_day: float, days_ahead: tuple[int, ...], gpu_per_task: float = 0.0
) -> DataFrame:
    """Rows user_id, days_ahead, vector of every user of `histories`; vector is null for a user without events.

    histories: see consumption.user_histories, items are positions in the model's catalogue. at_day: days since
    1970-01-01 UTC, not before any event. SetupError where a GPU is asked for and the cluster has none.
    """
    sent = histories.sparkSession.sparkContext.broadcast(shipped(model))

    def rows(batches: Batches) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(task_cpus())
        for table in gather_rows(batches, _USERS_AT_ONCE):
            users, here = from_arrow(table), model_here(sent.value, task_device(gpu_per_task))
            yield _batch(users, days_ahead, vectors(here, users, at_day, days_ahead))

    return map_users(histories, rows, _DDL, gpu_per_task)


def _batch(users: Histories, days_ahead: tuple[int, ...], found: np.ndarray) -> pa.RecordBatch:
    n_users, n_times, width = found.shape
    every = np.repeat(np.arange(n_users), n_times)
    arrays = {
        "user_id": pa.array(users.user_ids, pa.string()).take(pa.array(every)),
        "days_ahead": pa.array(np.tile(np.array(days_ahead, dtype=np.int32), n_users)),
        "vector": list_column(found.reshape(-1, width), (users.lengths > 0)[every]),
    }
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
