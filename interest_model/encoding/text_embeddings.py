"""Texts to vectors on executors, each distinct text once per encoder version."""

import os
from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model import tables
from interest_model.config import Encoder
from interest_model.encoding.model_files import encoder_version
from interest_model.errors import SetupError
from interest_model.on_executors import gather_rows, list_column, map_batches, task_cpus, task_device

_SCHEMA = ", ".join(f"{column.name} {column.type}" for column in tables.TEXT_EMBEDDINGS.columns)


def new_texts(texts: DataFrame, cache: DataFrame, encoder: str) -> DataFrame:
    """Rows (text_hash, text) still to be encoded: distinct, not blank, not in `cache` (text_embeddings) for `encoder`.

    `texts` has text and text_hash (sha2-256 of text), with repeats and nulls.
    """
    known = cache.where(F.col("encoder") == encoder).select("text_hash")
    wanted = texts.where(F.length(F.trim("text")) > 0).select("text_hash", "text").dropDuplicates(["text_hash"])
    return wanted.join(known, "text_hash", "left_anti")


def encode_frame(texts: DataFrame, settings: Encoder) -> DataFrame:
    """One row of table text_embeddings per row (text_hash, text); embedding is null where error says why.

    Rows are spread by hash over as many tasks as the session has shuffle partitions: even work, and few models to load.
    Sorted in each task, so that the same texts make the same batches and so the same bits, in whatever order a shuffle
    hands them over. Raises SetupError where a GPU is asked for and the cluster has none.
    """
    partitions = int(texts.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    spread = texts.select("text_hash", "text").repartition(partitions, "text_hash").sortWithinPartitions("text_hash")
    encode = partial(_encode_batches, settings=settings, version=encoder_version(settings))
    return map_batches(spread, encode, _SCHEMA, settings.gpu_per_task)


def with_embeddings(rows: DataFrame, cache: DataFrame, encoder: str) -> DataFrame:
    """`rows` (with text_hash) and the columns encoder and embedding from the cache; null where it has no vector."""
    vectors = cache.where(F.col("encoder") == encoder).select("text_hash", "embedding")
    return rows.join(vectors, "text_hash", "left").withColumn("encoder", F.lit(encoder))


def _encode_batches(batches: Iterable[pa.RecordBatch], settings: Encoder, version: str) -> Iterator[pa.RecordBatch]:
    """In a task. The model is loaded with the first row only: a task without rows costs nothing."""
    for table in gather_rows(batches, settings.window_texts):
        encoder = _task_encoder(settings, version)
        encoded = encoder.encode(table.column("text").to_pylist())
        columns = {
            "text_hash": table.column("text_hash").combine_chunks(),
            "encoder": pa.array([version] * table.num_rows),
            "error": pa.array(encoded.errors, pa.string()),
            "embedding": list_column(encoded.vectors, encoded.valid),
        }
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _task_encoder(settings: Encoder, version: str):
    """The worker's encoder. torch is imported here, on the executor; one thread per core of the task."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    from interest_model.encoding.text_encoder import encoder_for

    torch.set_num_threads(task_cpus())
    encoder = encoder_for(settings, task_device(settings.gpu_per_task))
    if encoder.version != version:
        message = f"this machine's encoder is {encoder.version}, the driver's {version}"
        raise SetupError(message, "install the same weights on every machine")
    return encoder
