"""Items to vectors, through the cache of encoded texts."""

import datetime
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model import tables
from interest_model.encoding.model_files import encoder_version
from interest_model.encoding.text_embeddings import with_embeddings
from interest_model.history.arrivals import arrived_between
from interest_model.history.known import items_known

if TYPE_CHECKING:
    from interest_model.job import Night


def item_embeddings(items: DataFrame, cache: DataFrame, encoder: str) -> DataFrame:
    """One row of table item_embeddings per row of `items` that has a text, for encoder version `encoder`.

    `items` holds rows of table items (the night's); `cache` text_embeddings with the night's new texts already in it.
    Items without text have no row; embedding is null where the text could not be encoded.
    """
    with_text = items.where(F.length(F.trim("text")) > 0)
    return with_embeddings(with_text, cache, encoder).select(*tables.ITEM_EMBEDDINGS.names)


def items_to_encode(night: "Night", encoder: str) -> DataFrame:
    """The night's new rows of table items; where no vector before it is of this encoder version (it is another one
    since), all items, as known from tonight on."""
    items, run_date = night.read("items"), night.run_date
    if night.after is not None:
        before = night.read("item_embeddings").where(F.col("known_date") <= F.lit(night.after))
        if before.where(F.col("encoder") == encoder).isEmpty():
            return items_known(items, run_date).withColumn("known_date", F.lit(run_date))
    return items.where(arrived_between(night.after, run_date, "known_date"))


def embeddings_known(night: "Night", day: datetime.date, encoder: str | None = None) -> DataFrame:
    """One row of table item_embeddings per item: what was known of it on a day, by an encoder's version; None: by that
    of the settings."""
    encoded = F.col("encoder") == (encoder or encoder_version(night.settings.encoder))
    return items_known(night.read("item_embeddings").where(encoded), day)
