"""The night's ranker under an offline protocol: refitted on what a split lets it know, beside floors and peers."""

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Settings
from interest_model.evaluation.day import cases, judged, metric_rows
from interest_model.evaluation.peers import judged_lists, write_split
from interest_model.evaluation.splits import Split
from interest_model.recommend.consumption import catalogue, item_vectors, user_histories
from interest_model.recommend.daily import fit_ranker


def backtest(
    split: Split, embeddings: DataFrame, settings: Settings, repeats: bool, peers: Path | None, fresh: bool
) -> DataFrame:
    """Rows as table evaluation without run_date and source: every model on the split.

    Models are fitted on split.known alone and asked at split.at_day. The blend's weights are learned on the nights
    before the cut, then its members are refitted up to it. embeddings: one row (item_id, embedding) per item; a text
    says what an item is, not who took it, so it may be of today. peers: folder below which the split's files lie, in
    <protocol>-<seed> (written where `fresh`), and the lists of other libraries' models (see evaluation.peers).
    """
    ranker = settings.ranker
    items = catalogue(split.known, split.at_day, ranker.tuning_days)
    histories = user_histories(split.known, items.item_ids, ranker.seen_length).persist()
    vectors = item_vectors(embeddings, items.item_ids)
    model = fit_ranker(histories, items, vectors, split.at_day, ranker, repeats)
    users = cases(split.truth, histories, None, model)
    folder = None if peers is None else peers / f"{split.protocol}-{split.seed}"
    if folder is not None and fresh:
        length, variants = max(settings.evaluation.cutoffs), ["novel", "repeat"] if repeats else ["novel"]
        facts = {"n_items": model.n_items, "at_day": split.at_day, "length": length, "variants": variants}
        write_split(folder, histories, users, facts)
    sums = judged(users, model, split.at_day, settings.evaluation, repeats, issued=False)
    if folder is not None:
        for found in judged_lists(folder, users, model, split.at_day, settings.evaluation).values():
            sums.merge(found)
    histories.unpersist()
    rows = histories.sparkSession.createDataFrame(metric_rows(sums))
    stamp = ("protocol", "seed", "horizon_days", "list_date")
    return rows.withColumns({name: F.lit(getattr(split, name)) for name in stamp})
