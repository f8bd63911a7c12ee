"""A challenger, the champion and a floor on the same users of a temporal split: the Spark face of promotion."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import torch
from pyspark.sql import DataFrame

from interest_model.config import Evaluation
from interest_model.evaluation import bootstrap, judging
from interest_model.evaluation.day import USERS_AT_ONCE, cases
from interest_model.evaluation.splits import Split
from interest_model.interest.model import SequenceModel
from interest_model.interest.shipped_model import model_here, shipped
from interest_model.on_executors import Batches, gather_rows, map_users, task_cpus
from interest_model.recommend.consumption import user_histories
from interest_model.recommend.histories import PLACE
from interest_model.training.batches import Sequences
from interest_model.training.promotion import Figure
from interest_model.training.ranking import CUTOFF, Cases, model_lists, ndcg, same_lists

_DDL = "name string, total double, n_users bigint, sums array<double>, weights array<double>"
Rankers = Mapping[str, SequenceModel | np.ndarray]


def contest(
    split: Split, item_ids: np.ndarray, rankers: Rankers, length: int, repeats: bool, settings: Evaluation
) -> dict[str, Figure]:
    """NDCG@10 of each ranker over the users of the split with events before the cut and something to find after it.

    rankers: name to a model, or to scores (n,) that are the same for everybody; both over the catalogue item_ids (n,).
    length: latest events of a user that are read, and that are left out of lists where people do not come back.
    """
    placed = any(one.settings.place_bias for one in rankers.values() if not isinstance(one, np.ndarray))
    histories = user_histories(split.known, item_ids, length, PLACE if placed else ())
    users = cases(split.truth, histories, None, item_ids)
    rows = map_users(users.where("items is not null"), _judge(users, rankers, split, repeats, settings), _DDL)
    found = {name: _no_figure(settings) for name in rankers}
    order = [(name, "ascending") for name in ("name", "n_users", "total")]  # sums in one order: the same bits
    for row in rows.toArrow().sort_by(order).to_pylist():
        more = Figure(row["total"], row["n_users"], np.array(row["sums"]), np.array(row["weights"]))
        found[row["name"]] = found[row["name"]] + more
    return found


def _judge(users: DataFrame, rankers: Rankers, split: Split, repeats: bool, settings: Evaluation):
    sent = {name: one if isinstance(one, np.ndarray) else shipped(one) for name, one in rankers.items()}
    shared = users.sparkSession.sparkContext.broadcast(sent)
    at_day = split.at_day

    def judge(batches: Batches) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(task_cpus())
        here = {name: one if isinstance(one, np.ndarray) else model_here(one) for name, one in shared.value.items()}
        for table in gather_rows(batches, USERS_AT_ONCE):
            given = judging.from_batch(table)
            those = Cases(Sequences(given.histories), given.truth_rows, given.truth_items, at_day, repeats)
            yield pa.RecordBatch.from_pylist([_figure(*one, those, settings) for one in here.items()])

    return judge


def _figure(name: str, ranker: SequenceModel | np.ndarray, those: Cases, settings: Evaluation) -> dict:
    is_model = not isinstance(ranker, np.ndarray)
    lists = (model_lists if is_model else same_lists)(ranker, those, CUTOFF)
    values, judged = ndcg(lists, those, ranker.tower.n_items if is_model else len(ranker))
    ids = those.sequences.histories.user_ids[judged]
    weights = bootstrap.weights(ids, settings.bootstrap_replicates, settings.seed)
    sums = {"sums": (values @ weights).tolist(), "weights": weights.sum(axis=0).tolist()}
    return {"name": name, "total": float(values.sum()), "n_users": len(judged)} | sums


def _no_figure(settings: Evaluation) -> Figure:
    nothing = np.zeros(settings.bootstrap_replicates)
    return Figure(0.0, 0, nothing, nothing)
