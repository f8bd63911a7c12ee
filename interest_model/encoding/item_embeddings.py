"""Items to vectors, through the cache of encoded texts."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model import tables
from interest_model.encoding.text_embeddings import with_embeddings


def item_embeddings(items: DataFrame, cache: DataFrame, encoder: str) -> DataFrame:
    """One row of table item_embeddings per row of `items` that has a text, for encoder version `encoder`.

    `items` holds rows of table items (the night's); `cache` text_embeddings with the night's new texts already in it.
    Items without text have no row; embedding is null where the text could not be encoded.
    """
    with_text = items.where(F.length(F.trim("text")) > 0)
    return with_embeddings(with_text, cache, encoder).select(*tables.ITEM_EMBEDDINGS.names)
