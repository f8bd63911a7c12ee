"""User-windows put into words and turned into vectors, through the cache of encoded texts."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model import tables
from interest_model.config import Behaviour
from interest_model.encoding.text_embeddings import with_embeddings

_KEY = ("user_id", "window_kind", "window_start")
SEPARATOR = "; "


def behaviour_texts(windows: DataFrame, items: DataFrame, settings: Behaviour) -> DataFrame:
    """One row (user_id, window_kind, window_start, n_events, text, text_hash) per window of the stated kind.

    The text names the window's latest distinct items, "title; title; ...", latest first, so that a cut at max_tokens
    loses the oldest. `windows` holds rows of table windows, `items` one row per item as known on the night. An item
    without title goes by its text; items with neither are left out, and a window with none named has no row.
    """
    latest_first = F.array_distinct(F.reverse(F.filter("item_ids", lambda item: item.isNotNull())))
    chosen = windows.where(F.col("window_kind") == settings.window_kind).select(
        *_KEY, "n_events", F.posexplode(F.slice(latest_first, 1, settings.max_items)).alias("place", "item_id")
    )
    names = items.select("item_id", F.trim(F.coalesce("title", "text")).alias("name")).where(F.length("name") > 0)
    in_order = F.sort_array(F.collect_list(F.struct("place", "name")))
    text = F.array_join(F.transform(in_order, lambda one: one["name"]), SEPARATOR)
    named = chosen.join(names, "item_id").groupBy(*_KEY, "n_events").agg(text.alias("text"))
    return named.withColumn("text_hash", F.sha2("text", 256))


def behaviour_embeddings(texts: DataFrame, cache: DataFrame, encoder: str, run_date: date) -> DataFrame:
    """One row of table behaviour_embeddings per row of `texts` (from behaviour_texts), for encoder version `encoder`.

    `cache` is text_embeddings with the night's new texts already in it; embedding is null where it has no vector.
    """
    rows = with_embeddings(texts, cache, encoder).withColumn("run_date", F.lit(run_date))
    return rows.select(*tables.BEHAVIOUR_EMBEDDINGS.names)
