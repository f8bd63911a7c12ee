"""Item files and items described by the events themselves -> rows of `items` whose content is new on a night."""

from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from interest_model.config import Limits
from interest_model.history.events import judge, map_lines, with_long_user
from interest_model.history.mapping import (
    ITEM_CONTENT,
    ITEM_NUMBERS,
    as_text,
    check_time_formats,
    content_columns,
    lenient,
    select_mapped,
)
from interest_model.history.raw import OWN, Records, read_records
from interest_model.source import ItemFile, Source
from interest_model.tables import ITEMS

# how the described items of a night are ordered: the last one holds
_ORDER = ("order_ts", "file", "line")


@dataclass(frozen=True)
class ItemLines:
    """Descriptions of items as mapped (columns of `items` without known_date, and _ORDER), refused lines, counts.

    refused: file, line, rule, arrival_date, raw. read = described + refused.
    """

    described: DataFrame
    refused: DataFrame
    read: int


def read_item_files(
    spark: SparkSession, source: Source, limits: Limits, raw_path: str, after: date | None, run_date: date
) -> ItemLines | None:
    """All lines of the mapping's item files (dated ones: of days in (after, run_date]); None where it names none.

    DataError: no such folder, no file at all, an unreadable file. ConfigError: an expression that cannot be used.
    """
    frames, read = [], 0
    for number, reading in enumerate(source.item_files):
        check_time_formats(spark, reading, f"{source.file}: key 'item_files[{number}]")
        with lenient(spark):
            groups = read_records(spark, reading, raw_path, after, run_date)
        for records in groups:
            frames.append(_map_file(records, source, reading, f"item_files[{number}]", limits))
            read += records.read
    if not frames:
        return None
    lines = reduce(DataFrame.unionByName, frames)
    refused = lines.where("rule is not null").select("file", "line", "rule", "arrival_date", "raw")
    return ItemLines(lines.where("rule is null").select("item_id", *ITEM_CONTENT, *_ORDER), refused, read)


def _map_file(records: Records, source: Source, reading: ItemFile, key: str, limits: Limits) -> DataFrame:
    attributes = {f"attribute {name}": text for name, text in reading.attributes.items()}
    mapped = select_mapped(records.frame, OWN, reading.columns, source, f"{key}.columns")
    if attributes:
        select_mapped(records.frame, (), reading.attributes, source, f"{key}.attributes")
        mapped = select_mapped(records.frame, OWN, reading.columns | attributes, source, key)
    content = content_columns(mapped, reading, source, tuple(reading.attributes))
    frame = mapped.select(
        F.col("__file").alias("file"), F.col("__line").alias("line"), F.col("__raw").alias("raw"),
        F.col("__day").alias("arrival_date"), F.col("__day").cast("timestamp").alias("order_ts"),
        "__broken", as_text(mapped, "item_id"), *content,
        *[as_text(mapped, name).alias(f"{name}_text") for name in ITEM_NUMBERS],
    )  # fmt: skip
    return frame.withColumn("rule", _rule(limits)).drop("__broken", *[f"{name}_text" for name in ITEM_NUMBERS])


def _rule(limits: Limits) -> Column:
    not_numbers = [F.col(f"{name}_text").isNotNull() & F.col(name).isNull() for name in ITEM_NUMBERS]
    latitude, longitude = F.col("latitude"), F.col("longitude")
    off_earth = F.coalesce((F.abs(latitude) > 90) | (F.abs(longitude) > 180), F.lit(False))
    return F.coalesce(
        F.concat(F.lit("item_"), F.col("__broken")),
        F.when(F.col("item_id").isNull(), "item_missing_item"),
        F.when(F.length("item_id") > limits.id_length, "item_long_id"),
        F.when(reduce(Column.__or__, not_numbers), "item_bad_type"),
        F.when(off_earth | (latitude.isNull() != longitude.isNull()), "item_bad_place"),
    )


def read_described_items(
    spark: SparkSession, source: Source, limits: Limits, raw_path: str, after: date | None, run_date: date
) -> DataFrame | None:
    """Items as the night's acceptable events describe them, one row per item; None where the mapping takes none.

    Each column holds its latest value that is not null, by (event_ts, file, line); file: of the latest event.
    """
    frames = []
    for number, reading in enumerate(source.inputs):
        if not reading.item_columns:
            continue
        with lenient(spark):
            groups = read_records(spark, reading, raw_path, after, run_date)
        frames += [map_lines(records, source, reading, f"inputs[{number}]", with_items=True) for records in groups]
    if not frames:
        return None
    lines = reduce(DataFrame.unionByName, frames).where(F.col("arrival_date") <= F.lit(run_date))
    if after is not None:
        lines = lines.where(F.col("arrival_date") > F.lit(after))
    fine = judge(with_long_user(lines, limits), source, limits).where("rule is null")
    order = F.struct("event_ts", "file", "line")
    latest = [
        F.max_by(f"item_{name}", F.when(F.col(f"item_{name}").isNotNull(), order)).alias(name) for name in ITEM_CONTENT
    ]
    return fine.groupBy("item_id").agg(*latest, F.max_by("file", order).alias("file"))


def changed_items(
    files: DataFrame | None, described: DataFrame | None, known_items: DataFrame, run_date: date
) -> DataFrame:
    """Rows of `items` for run_date: items whose content differs from their latest row before it.

    files: descriptions from item files (ItemLines.described), each whole: of several of one item the last by
    (order_ts, file, line) holds. described: from read_described_items; its nulls leave what was known, and where a
    file describes the same item tonight, the file holds. known_items: rows with known_date < run_date count.
    """
    before = (
        known_items.where(F.col("known_date") < F.lit(run_date))
        .groupBy("item_id")
        .agg(F.max_by(F.struct(*ITEM_CONTENT), "known_date").alias("before"))
    )
    parts = []
    if files is not None:
        newest = Window.partitionBy("item_id").orderBy(*[F.desc_nulls_last(name) for name in _ORDER])
        parts.append(
            files.withColumn("place", F.row_number().over(newest)).where("place = 1")
            .join(before, "item_id", "left").select("item_id", "file", *ITEM_CONTENT, "before")
        )  # fmt: skip
    if described is not None:
        if parts:
            described = described.join(parts[0].select("item_id"), "item_id", "left_anti")
        merged = [F.coalesce(F.col(name), F.col("before")[name]).alias(name) for name in ITEM_CONTENT]
        parts.append(described.join(before, "item_id", "left").select("item_id", "file", *merged, "before"))
    if not parts:
        return known_items.where("false").select(*ITEMS.names)
    rows = reduce(DataFrame.unionByName, parts)
    changed = F.col("before").isNull() | (_fingerprint() != _fingerprint("before."))
    return rows.where(changed).withColumn("known_date", F.lit(run_date)).select(*ITEMS.names)


def _fingerprint(prefix: str = "") -> Column:
    """One text per content. A map has no order and cannot be compared: its entries are sorted."""
    attributes = F.sort_array(F.map_entries(f"{prefix}attributes")).alias("attributes")
    others = [F.col(prefix + name).alias(name) for name in ITEM_CONTENT if name not in ("attributes", "text_hash")]
    return F.to_json(F.struct(*others, attributes))
