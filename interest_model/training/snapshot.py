"""What a model is trained on, as files: written once by Spark, read by any number of processes through petastorm.

    piece=0/*.parquet ...  flat rows, one per event, in files of one row group and equally many rows
    items.safetensors      first_days, prices (n,) float64 and text (n, w) float32 of the catalogue
    manifest.json          table versions, files with the rows of their footers, ids and attributes of the catalogue;
                           written last

Whole users lie in one file. Rows that only fill a file up have user -1. The list of files is frozen in the manifest: a
file that is not named there is never read, and one that is must hold the rows it had.
"""

import json
import math
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from petastorm import make_batch_reader
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from safetensors.numpy import load_file, save_file

from interest_model.errors import DataError
from interest_model.interest.item_tower import ItemFeatures
from interest_model.model_settings import FitSettings
from interest_model.recommend.attributes import ItemTraits, KnownItems
from interest_model.recommend.histories import PLACE, Histories
from interest_model.training.batches import Sequences
from interest_model.training.item_coding import coding, features

_MANIFEST, _ITEMS = "manifest.json", "items.safetensors"
_ROW_GROUP_BYTES = 2**30  # above any file: one row group each
_FILLER = {"user": "-1", "step": "0", "item": "0", "day": "0D", "weight": "0F", "positive": "0"}
_UNKNOWN = {"value": "float", "latitude": "float", "longitude": "float"}  # NaN where the log has none


class Snapshot(NamedTuple):
    """tables: name to Delta version; files: path below the folder to rows, fillers included; users, events: in all;
    rows_hash: of all rows, whatever their order; at_day: everything before it is in, days since 1970-01-01 UTC; items:
    the catalogue."""

    folder: Path
    tables: dict[str, int]
    files: dict[str, int]
    users: int
    events: int
    rows_hash: str
    at_day: float
    items: KnownItems

    @property
    def features(self) -> ItemFeatures:
        """The catalogue as a model trained on it reads it."""
        return features(self.items, coding(self.items.traits))


def write(folder: Path, consumption: DataFrame, items: KnownItems, cut: tuple, settings: FitSettings) -> Snapshot:
    """The snapshot of `consumption` (see consumption.consumed; nothing in it is as late as the cut).

    items: the catalogue. cut: at_day and the table versions that were read. The latest
    settings.history_length events of a user are kept; so many files that one holds about rows_per_part of them.
    """
    at_day, tables = cut
    flat = _flat(consumption, items.item_ids, settings.history_length)
    hashes = F.xxhash64(*flat.columns).cast("decimal(38,0)")
    events, total = flat.agg(F.count("*"), F.sum(hashes)).head()
    parts = settings.shards * max(math.ceil(events / settings.rows_per_part / settings.shards), 1)
    placed = flat.withColumn("part", F.pmod(F.xxhash64("user_id"), F.lit(parts)).cast("int")).persist()
    rows = _filled(placed, parts).withColumn("piece", F.col("part"))
    ordered = rows.repartition(parts, "piece").sortWithinPartitions("piece", "user", "step")
    writer = ordered.write.mode("overwrite").partitionBy("piece").option("parquet.block.size", _ROW_GROUP_BYTES)
    writer.parquet(folder.as_uri())
    users = placed.select("user_id").distinct().count()
    placed.unpersist()
    traits = items.traits
    save_file({"first_days": items.first_days, "text": items.texts, "prices": traits.prices}, folder / _ITEMS)
    content = {"tables": tables, "files": _footers(folder), "users": users, "events": events, "at_day": at_day}
    content["rows_hash"] = str(total)
    content["named"] = {name: values.tolist() for name, values in traits.named.items()}
    aside = folder / f"{_MANIFEST}.part"  # whole or not at all: a run may be killed while it writes
    aside.write_text(json.dumps(content | {"item_ids": items.item_ids.tolist()}, indent=1))
    os.replace(aside, folder / _MANIFEST)
    return load(folder)


def exists(folder: Path) -> bool:
    """True where a whole snapshot lies there: the manifest is written last."""
    return (folder / _MANIFEST).exists()


def load(folder: Path) -> Snapshot:
    """The snapshot that `write` left in the folder; DataError where a file is missing or holds other rows."""
    content = json.loads((folder / _MANIFEST).read_text())
    found = {name: rows for name, rows in _footers(folder).items() if name in content["files"]}
    if found != content["files"]:
        wrong = sorted(name for name, rows in content["files"].items() if found.get(name) != rows)
        raise DataError(f"snapshot {folder}: {wrong[0]} is missing or was changed", "remove the folder; train again")
    stored = load_file(folder / _ITEMS)
    names = np.array(content.pop("item_ids"), dtype=object)
    named = {name: np.array(values, dtype=object) for name, values in content.pop("named").items()}
    items = KnownItems(names, stored["first_days"], stored["text"], ItemTraits(stored["prices"], named))
    return Snapshot(folder=folder, items=items, **content)


def read(snapshot: Snapshot, shard: int = 0, shards: int = 1) -> Sequences:
    """The sequences of one of `shards` processes: its share of the files, whole users, ordered by file and user.

    Catalogue positions are those of the snapshot; user_ids say file and user. DataError: rows were lost or doubled on
    the way, or the files do not divide evenly.
    """
    if len(snapshot.files) % shards:
        raise DataError(f"snapshot {snapshot.folder}: {len(snapshot.files)} files for {shards} processes")
    urls = [f"file://{snapshot.folder / name}" for name in sorted(snapshot.files)]  # "=" must stay as it is
    options = {"cur_shard": shard, "shard_count": shards, "num_epochs": 1, "shuffle_row_groups": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # petastorm calls what pyarrow 14 still has
        with make_batch_reader(urls, workers_count=1, **options) as reader:
            batches = [batch._asdict() for batch in reader]
    columns = {name: np.concatenate([np.asarray(one[name]) for one in batches]) for name in batches[0]}
    _check(snapshot, columns["part"], shards)
    return _sequences({name: values[columns["user"] >= 0] for name, values in columns.items()})


def _flat(consumption: DataFrame, item_ids: np.ndarray, length: int) -> DataFrame:
    """One row per event of the catalogue: the latest `length` of each user, `step` from 1, oldest first."""
    names = pa.array(item_ids.tolist(), pa.string())
    positions = pa.table({"item_id": names, "item": np.arange(len(item_ids), dtype=np.int32)})
    positions = F.broadcast(consumption.sparkSession.createDataFrame(positions))
    newest = Window.partitionBy("user_id").orderBy(F.desc("event_ts"), F.desc("event_id"))
    latest = consumption.join(positions, "item_id").withColumn("back", F.row_number().over(newest))
    numbers = [_number(name, kind) for name, kind in _UNKNOWN.items()]
    step = (F.lit(length + 1) - F.col("back")).cast("int").alias("step")
    weight = F.col("weight").cast("float").alias("weight")
    positive = F.col("positive").cast("int").alias("positive")
    return latest.where(F.col("back") <= length).select("user_id", step, "item", "day", weight, positive, *numbers)


def _number(name: str, kind: str) -> Column:
    return F.coalesce(F.col(name).cast(kind), F.lit(math.nan).cast(kind)).alias(name)


def _filled(placed: DataFrame, parts: int) -> DataFrame:
    """The events with `user` counted within their part instead of user_id, and fillers: every part has equally many."""
    counts = dict.fromkeys(range(parts), 0) | {row["part"]: row["count"] for row in _counts(placed)}
    missing = [(part, max(counts.values()) - count) for part, count in counts.items() if count < max(counts.values())]
    user = F.dense_rank().over(Window.partitionBy("part").orderBy("user_id")) - 1
    rows = placed.withColumn("user", user).drop("user_id")
    short = placed.sparkSession.createDataFrame(missing, "part int, missing int")
    columns = {name: F.expr(value) for name, value in _FILLER.items()}
    columns |= {name: F.lit(math.nan).cast(kind) for name, kind in _UNKNOWN.items()}
    fillers = short.withColumn("nth", F.explode(F.expr("sequence(1, missing)"))).withColumns(columns)
    return rows.unionByName(fillers.select(*rows.columns))


def _counts(placed: DataFrame) -> list:
    return placed.groupBy("part").count().collect()


def _footers(folder: Path) -> dict[str, int]:
    """Rows of every Parquet file below the folder, from its footer; DataError where one has several row groups."""
    found = {}
    for file in sorted(folder.glob("piece=*/*.parquet")):
        footer = pq.read_metadata(file)
        if footer.num_row_groups != 1:
            raise DataError(f"snapshot {file}: {footer.num_row_groups} row groups", "lower training.rows_per_part")
        found[str(file.relative_to(folder))] = footer.num_rows
    return found


def _check(snapshot: Snapshot, parts: np.ndarray, shards: int) -> None:
    """DataError unless the rows read are those of the footers, file by file."""
    (rows,) = set(snapshot.files.values())
    found, counts = np.unique(parts, return_counts=True)
    if len(found) != len(snapshot.files) // shards or (counts != rows).any():
        expected = rows * len(snapshot.files) // shards
        raise DataError(f"snapshot {snapshot.folder}: {len(parts)} rows read, the footers say {expected}")


def _sequences(columns: dict[str, np.ndarray]) -> Sequences:
    order = np.lexsort((columns["step"], columns["user"], columns["part"]))
    columns = {name: values[order] for name, values in columns.items()}
    users = np.stack([columns["part"], columns["user"]], axis=1)
    new = np.flatnonzero(np.append(True, (np.diff(users, axis=0) != 0).any(axis=1))) if len(users) else np.zeros(0, int)
    names = np.array([f"{part}-{user}" for part, user in users[new].tolist()], dtype=object)
    kinds = {"item": np.int32, "day": np.float64, "weight": np.float32}
    flat = [columns[name].astype(kind) for name, kind in kinds.items()]
    places = np.stack([columns[name] for name in PLACE], axis=1).astype(np.float32)
    histories = Histories(names, np.append(new, len(users)).astype(np.int64), *flat, _or_none(places))
    return Sequences(histories, _or_none(columns["value"].astype(np.float32)), columns["positive"] == 1)


def _or_none(numbers: np.ndarray) -> np.ndarray | None:
    return None if np.isnan(numbers).all() else numbers
