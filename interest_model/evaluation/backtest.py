"""The night's ranker under an offline protocol: refitted on what a split lets it know, beside members and floors."""

from pyspark.sql import DataFrame

from interest_model.config import Settings
from interest_model.evaluation.day import cases, judged, metric_rows
from interest_model.evaluation.splits import Split
from interest_model.recommend.consumption import catalogue, item_vectors, user_histories
from interest_model.recommend.daily import fit_ranker


def backtest(split: Split, embeddings: DataFrame, settings: Settings, repeats: bool) -> DataFrame:
    """Rows as `day.metric_rows`: every model on the split, fitted on split.known alone and asked at split.at_day.

    The blend's weights are learned on the nights before the cut, then its members are refitted up to it.
    embeddings: one row (item_id, embedding) per item; a text says what an item is, not who took it, so it may be of
    today.
    """
    ranker = settings.ranker
    items = catalogue(split.known, split.at_day, ranker.tuning_days)
    histories = user_histories(split.known, items.item_ids, ranker.seen_length).persist()
    vectors = item_vectors(embeddings, items.item_ids)
    model = fit_ranker(histories, items, vectors, split.at_day, ranker, repeats)
    users = cases(split.truth, histories, None, model)
    sums = judged(users, model, split.at_day, settings.evaluation, repeats, issued=False)
    histories.unpersist()
    return histories.sparkSession.createDataFrame(metric_rows(sums))
