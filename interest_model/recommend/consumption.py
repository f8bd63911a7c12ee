"""What the ranker reads of the events, as Spark frames: who consumed what, and counts per item and time."""

import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from interest_model.config import Ranker
from interest_model.recommend.attributes import ItemTraits, KnownItems
from interest_model.recommend.histories import PLACE
from interest_model.recommend.members import nowhere
from interest_model.recommend.popularity import ROUNDING_HOURS, ItemCounts

MICROS_PER_DAY = 86_400_000_000
_FINE_DAYS = 28  # so far back bins are hours


class Catalogue(NamedTuple):
    """Every item consumed so far. item_ids (n,) str, ascending; first_days (n,) days since epoch when first consumed;
    counts: consumptions per item and time bin."""

    item_ids: np.ndarray
    first_days: np.ndarray
    counts: ItemCounts


def end_of_day(run_date: datetime.date, zone: str) -> float:
    """The moment a run_date ends in the log's zone, as days since 1970-01-01 UTC: when lists are made."""
    midnight = datetime.datetime.combine(run_date + datetime.timedelta(days=1), datetime.time(), ZoneInfo(zone))
    return midnight.timestamp() / 86_400


def timed(events: DataFrame) -> DataFrame:
    """The events with `day`: event time as days since 1970-01-01 UTC."""
    return events.withColumn("day", F.unix_micros("event_ts") / F.lit(float(MICROS_PER_DAY)))


def recent(events: DataFrame, run_date: datetime.date, days: int) -> DataFrame:
    """The events of the `days` days up to run_date, as in `timed`."""
    return timed(events.where(F.col("event_date") > F.lit(run_date - datetime.timedelta(days=days))))


def consumed(events: DataFrame) -> DataFrame:
    """The events that consume an item, with `day` as in `timed`."""
    return timed(events.where("consumption"))


def catalogue(consumption: DataFrame, at_day: float, learning_days: int, counted: str = "true") -> Catalogue:
    """The catalogue from `consumed`. Collects one row per item and time bin: bounded by items and days, not by
    users. learning_days: how far back moments lie that the ranker learns from (see fit.first_lesson);
    counted: condition in SQL; events of which it is false add an item and its first day, but no count."""
    bins = consumption.groupBy("item_id", _bin(at_day, learning_days + _FINE_DAYS).alias("bin"))
    rows = bins.agg(F.count_if(F.expr(counted)).alias("count"), F.min("day").alias("first")).toArrow()
    names, items = np.unique(np.asarray(rows.column("item_id").to_pylist(), dtype=str), return_inverse=True)
    first_days = np.full(len(names), np.inf)
    np.minimum.at(first_days, items, np.asarray(rows.column("first")))
    order = np.lexsort((np.asarray(rows.column("bin")), items))  # sums in one order: the same bits whatever Spark did
    counts = ItemCounts(
        items[order].astype(np.int32),
        np.asarray(rows.column("bin"))[order],
        np.asarray(rows.column("count"))[order].astype(np.float64),
    )
    return Catalogue(names, first_days, counts)


def _bin(at_day: float, fine_days: float) -> Column:
    """Middle of an event's time bin; popularity.bin_day says the same in numpy."""
    hours = (F.lit(at_day) - F.col("day")) * 24 - ROUNDING_HOURS
    fine = F.when(hours <= fine_days * 24, F.ceil(hours) - 0.5).otherwise(24 * F.ceil(hours / 24) - 12.0)
    return F.lit(at_day) - fine / 24


def user_histories(consumption: DataFrame, item_ids: np.ndarray, length: int, more: tuple[str, ...] = ()) -> DataFrame:
    """One row per user: user_id, items (catalogue positions), days, weights; oldest first, the latest `length` events.

    Ordered by (event_ts, event_id). Items outside item_ids are left out. more: columns of events that come along, each
    as an array of its name.
    """
    session = consumption.sparkSession
    names = pa.array(item_ids.tolist(), pa.string())
    positions = pa.table({"item_id": names, "item": np.arange(len(item_ids), dtype=np.int32)})
    placed = consumption.join(F.broadcast(session.createDataFrame(positions)), "item_id")
    event = F.struct("event_ts", "event_id", "item", "day", "weight", *more)
    ordered = placed.groupBy("user_id").agg(F.sort_array(F.collect_list(event)).alias("whole"))
    start = F.greatest(F.size("whole") - length + 1, F.lit(1))
    latest = ordered.select("user_id", F.slice("whole", start, F.lit(length)).alias("latest"))
    return latest.select(
        "user_id",
        F.col("latest")["item"].alias("items"),
        F.col("latest")["day"].alias("days"),
        F.col("latest")["weight"].alias("weights"),
        *(F.col("latest")[name].alias(name) for name in more),
    )


def ranker_histories(consumption: DataFrame, item_ids: np.ndarray, settings: Ranker) -> DataFrame:
    """user_histories as the ranker reads them: with places where a sequence model is a member, which may know them."""
    return user_histories(consumption, item_ids, settings.seen_length, PLACE if settings.sequence else ())


def item_vectors(embeddings: DataFrame, item_ids: np.ndarray) -> np.ndarray:
    """(n, d) float32 from one row (item_id, embedding) per item; zero rows where an item has no vector."""
    rows = embeddings.where("embedding is not null").select("item_id", "embedding").toArrow()
    if not rows.num_rows:
        return np.zeros((len(item_ids), 1), dtype=np.float32)
    rows = rows.combine_chunks()
    width = len(rows.column("embedding")[0])
    matrix = np.asarray(rows.column("embedding").combine_chunks().flatten(), dtype=np.float32).reshape(-1, width)
    return _placed(np.zeros((len(item_ids), width), dtype=np.float32), rows, matrix, item_ids)


def item_places(items: DataFrame, item_ids: np.ndarray) -> np.ndarray:
    """(n, 2) latitude and longitude in degrees from one row (item_id, latitude, longitude) per item; NaN where an item
    has none."""
    rows = items.where("latitude is not null").select("item_id", "latitude", "longitude").toArrow()
    known = np.column_stack([np.asarray(rows.column(name)) for name in ("latitude", "longitude")])
    return _placed(nowhere(len(item_ids)), rows, known, item_ids)


def item_traits(items: DataFrame, item_ids: np.ndarray) -> ItemTraits:
    """From one row (item_id, price, attributes) per item."""
    described = items.where("price is not null or attributes is not null").select("item_id", "price", "attributes")
    rows, place = described.toArrow(), _positions(item_ids)
    prices, named = np.full(len(item_ids), np.nan), {}
    for item_id, price, attributes in zip(*(rows.column(name).to_pylist() for name in rows.column_names), strict=True):
        position = place.get(item_id)
        if position is None:
            continue
        prices[position] = np.nan if price is None else price
        for name, value in attributes or ():
            named.setdefault(name, np.full(len(item_ids), None))[position] = value
    return ItemTraits(prices, named)


def known_items(items: Catalogue, embeddings: DataFrame, described: DataFrame) -> KnownItems:
    """A catalogue with what is known of its items. embeddings, described: one row (item_id, embedding) and one of table
    items per item."""
    ids = items.item_ids
    return KnownItems(ids, items.first_days, item_vectors(embeddings, ids), item_traits(described, ids))


def _positions(item_ids: np.ndarray) -> dict[str, int]:
    return {name: position for position, name in enumerate(item_ids.tolist())}


def _placed(into: np.ndarray, rows: pa.Table, values: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
    """`into` (n, d), filled with values (r, d) of rows (column item_id) at their items' positions; items that are not
    in the catalogue are left out."""
    place = _positions(item_ids)
    found = np.array([place.get(name, -1) for name in rows.column("item_id").to_pylist()], dtype=np.int64)
    into[found[found >= 0]] = values[found >= 0]
    return into


def active_users(events: DataFrame, run_date: datetime.date, active_days: int) -> DataFrame:
    """The distinct user_id of users with any event in the `active_days` days up to run_date."""
    since = run_date - datetime.timedelta(days=active_days)
    return events.where(F.col("event_date") > F.lit(since)).select("user_id").distinct()


def item_titles(items: DataFrame, item_ids: np.ndarray) -> np.ndarray:
    """(n,) str: each item's title, or its id where it has none, from one row (item_id, title) per item."""
    rows = items.where("title is not null").select("item_id", "title").toArrow()
    titles = dict(zip(rows.column("item_id").to_pylist(), rows.column("title").to_pylist(), strict=True))
    return np.array([titles.get(name, name) for name in item_ids.tolist()], dtype=object)
