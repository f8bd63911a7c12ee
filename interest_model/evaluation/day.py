"""Earlier lists joined with what their users took since: the Spark face of judging."""

import datetime
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Evaluation
from interest_model.errors import MissingTableError, OtherCodeError
from interest_model.evaluation import judging
from interest_model.evaluation.metrics import UNKNOWN_ITEMS
from interest_model.history.known import events_known
from interest_model.on_executors import Batches, gather_rows, map_batches
from interest_model.recommend.blend import Model
from interest_model.recommend.consumption import consumed, end_of_day, ranker_histories
from interest_model.recommend.daily import load_model

if TYPE_CHECKING:
    from interest_model.job import Night

USERS_AT_ONCE = 5_000
_SUMS_DDL = (
    "variant string, model string, metric string, k int, segment string, total double, n_users bigint, "
    "boot_sums array<double>, boot_weights array<double>, listed binary"
)


def day_sums(night: "Night", known: DataFrame, list_date: datetime.date) -> judging.Sums:
    """What the days since list_date say about the lists of that day; nothing where maker_of has no model. known: the
    night's events."""
    lists = night.read("daily_recommendations").where(F.col("run_date") == F.lit(list_date))
    if (model := maker_of(lists, night, list_date)) is None:
        return judging.Sums()
    truth = truth_of(consumed(known), list_date, night.run_date)
    before = consumed(events_known(known, list_date)).join(truth.select("user_id"), "user_id", "left_semi")
    histories = ranker_histories(before, model.item_ids, night.settings.ranker)
    at_day, settings = end_of_day(list_date, night.source.zone), night.settings.evaluation
    return judged(cases(truth, histories, lists, model.item_ids), model, at_day, settings, night.source.repeats)


def maker_of(lists: DataFrame, night: "Night", list_date: datetime.date) -> Model | None:
    """The model that made the lists of a day; None, which is said, where there are none or it cannot be asked."""
    made_by = lists.select("model_version").head()
    if made_by is None:
        return None
    try:
        model, version = load_model(night.storage.read_day("ranker_models", list_date))
        if version == made_by[0]:
            return model
        why = f"model {made_by[0]} made them, table ranker_models has {version}: run that night again"
    except (MissingTableError, OtherCodeError) as error:
        why = str(error)
    night.reporter.say(f"{night.run_date}: the lists of {list_date} are not judged: {why}")
    return None


def truth_of(consumption: DataFrame, list_date: datetime.date, run_date: datetime.date) -> DataFrame:
    """Distinct (user_id, item_id) that counts as a hit: positive consumption after list_date and up to run_date."""
    days = (F.col("event_date") > F.lit(list_date)) & (F.col("event_date") <= F.lit(run_date))
    return consumption.where(days & F.col("positive")).select("user_id", "item_id").distinct()


def cases(truth: DataFrame, histories: DataFrame, lists: DataFrame | None, item_ids: np.ndarray) -> DataFrame:
    """One row per user of `truth`: user_id, items, days, weights (null: no history), truth and listed as positions.

    histories: see consumption.user_histories, as known when the lists were made; lists: rows of daily_recommendations,
    or None where none were issued: then listed is null. item_ids (n,): of the model's catalogue, by position.
    """
    session = truth.sparkSession
    n_items = len(item_ids)
    names = pa.table({"item_id": pa.array(item_ids.tolist(), pa.string()), "item": pa.array(range(n_items))})
    positions = F.broadcast(session.createDataFrame(names))
    unknown = F.pmod(F.xxhash64("item_id"), F.lit(UNKNOWN_ITEMS)) + n_items
    wanted = truth.join(positions, "item_id", "left").groupBy("user_id")
    wanted = wanted.agg(F.sort_array(F.collect_set(F.coalesce("item", unknown).cast("int"))).alias("truth"))
    known = wanted.join(histories, "user_id", "left")
    if lists is None:
        return known.withColumn("listed", F.lit(None).cast("array<int>"))
    judged_lists = lists.join(wanted.select("user_id"), "user_id", "left_semi")
    ranked = judged_lists.join(positions, "item_id").groupBy("user_id")
    ordered = ranked.agg(F.sort_array(F.collect_list(F.struct("rank", "item"))).alias("ordered"))
    listed = ordered.select("user_id", F.col("ordered")["item"].cast("array<int>").alias("listed"))
    return known.join(listed, "user_id", "left")


def judged(
    cases: DataFrame, model: Model, at_day: float, settings: Evaluation, repeats: bool, issued: bool = True
) -> judging.Sums:
    """Sums over all users of `cases` for lists made by `model` at the moment at_day; see judging.judge."""
    shared = cases.sparkSession.sparkContext.broadcast(model)

    def judge(table: pa.Table) -> Iterator[judging.Sums]:
        yield judging.judge(judging.from_batch(table), shared.value, at_day, settings, repeats, issued)

    return summed(cases, judge, model.n_items)


def summed(cases: DataFrame, judge: Callable[[pa.Table], Iterator[judging.Sums]], n_items: int) -> judging.Sums:
    """The sums that `judge` finds for many users of `cases` at a time, added up in one order whatever Spark did."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for table in gather_rows(batches, USERS_AT_ONCE):
            yield from (sums.to_arrow() for sums in judge(table))

    rows = map_batches(cases, run, _SUMS_DDL).toArrow()
    order = [(name, "ascending") for name in ("variant", "model", "metric", "k", "segment", "total", "n_users")]
    return judging.Sums.from_arrow(rows.sort_by(order), n_items)


def metric_rows(sums: judging.Sums) -> pa.Table:
    """One row per metric: variant, model, metric, k, segment, value, n_users, boot_sums, boot_weights."""
    rows = []
    for key in sorted(sums.values):
        _, n_users, boot, _ = sums.values[key]
        boot_sums, boot_weights = (None, None) if boot is None else (boot[0].tolist(), boot[1].tolist())
        rows.append((*key, sums.value(key), n_users, boot_sums, boot_weights))
    names = ("variant", "model", "metric", "k", "segment", "value", "n_users", "boot_sums", "boot_weights")
    types = (*[pa.string()] * 3, pa.int32(), pa.string(), pa.float64(), pa.int64(), *[pa.list_(pa.float64())] * 2)
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names=names)
