"""The night's ranker under an offline protocol: refitted on what a split lets it know, beside floors and peers."""

import datetime
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Evaluation, Ranker, Settings
from interest_model.evaluation.day import cases, judged, metric_rows
from interest_model.evaluation.peers import check_split, judged_lists, write_split
from interest_model.evaluation.splits import REFIT, Split, check_judgeable, is_drawn, night_splits, nights_before, split
from interest_model.recommend.blend import Model
from interest_model.recommend.consumption import Catalogue, catalogue, ranker_histories
from interest_model.recommend.daily import ItemViews, fit_ranker, views_known
from interest_model.runs import code_revision

if TYPE_CHECKING:
    from interest_model.job import Night

_STAMP = ("protocol", "seed", "horizon_days", "list_date")


def cuts(
    consumption: DataFrame, given: Namespace, run_date: datetime.date, zone: str, settings: Evaluation
) -> Iterator[tuple[str, list[Split]]]:
    """For each draw, or each night of a replay: which rows of table evaluation are its own, and its splits.

    consumption: see consumption.consumed, arrived by run_date. given: see job_arguments.add_backtest_arguments.
    """
    if given.protocol == "replay":
        nights = nights_before(run_date, given.nights, settings.horizons_days, given.last_night)
        check_judgeable(consumption, nights)
        for night in nights:
            splits = night_splits(consumption, night, run_date, settings.horizons_days, zone)
            yield f"protocol = '{REFIT}' and list_date = DATE'{night}'", splits
        return
    for seed in given.seeds if is_drawn(given.protocol) else [0]:
        where = f"run_date = DATE'{run_date}' and protocol = '{given.protocol}' and seed = {seed}"
        yield where, [split(consumption, given.protocol, settings.temporal_quantile, seed)]


def facts(given: Namespace, night: "Night") -> dict[str, object]:
    """What says which backtest this is, by name."""
    found = {"protocol": given.protocol, "source": night.source.name, "run_date": night.run_date}
    if given.protocol == "replay":
        found["nights"] = given.nights
    if is_drawn(given.protocol):
        found["seed"] = " ".join(map(str, given.seeds))
    if given.protocol.startswith("temporal"):
        found["quantile"] = night.settings.evaluation.temporal_quantile
    return found | {"revision": code_revision()}


def backtest(splits: Sequence[Split], night: "Night", peers: Path | None) -> DataFrame:
    """Rows as table evaluation: every model on the splits.

    splits: of one moment, that is with the same known events and at_day; one per horizon, shortest first. Models are
    fitted once, on known alone, and asked at at_day. The blend's weights are learned on the nights before the cut, then
    its members are refitted up to it. Of the items a past night has what it knew; else it may be of today, for a text
    or a topic says what an item is, not who took it. peers: folder below which write_splits wrote, and where the lists
    of other libraries' models lie now (see evaluation.peers), made once for the users of the longest horizon and judged
    on each.
    """
    first, settings, repeats = splits[0], night.settings, night.source.repeats
    items, histories = _known_by(first, settings.ranker)
    folder = None if peers is None else peers / first.folder
    if folder is not None:
        check_split(folder, _facts_of(splits, items, settings.evaluation, repeats))
    model = fit_ranker(histories, items, _views(night, first, items), first.at_day, settings.ranker, repeats)
    frames = [_rows(one, histories, model, settings, repeats, folder) for one in splits]
    histories.unpersist()
    stamp = {"source": F.lit(night.source.name), "run_date": first.judged_on(night.run_date)}
    return reduce(DataFrame.unionByName, frames).withColumns(stamp)


def write_splits(moments: Iterator[tuple[str, list[Split]]], night: "Night", peers: Path) -> None:
    """Writes what peers need of each moment of `cuts` into Split.folder below `peers`, and says where.

    No model is fitted: the ranker is judged beside the peers once their lists are there.
    """
    for _, splits in moments:
        items, histories = _known_by(splits[0], night.settings.ranker)
        users = cases(splits[-1].truth, histories, None, items.item_ids)
        folder = peers / splits[0].folder
        facts = _facts_of(splits, items, night.settings.evaluation, night.source.repeats)
        write_split(folder, histories, users, _views(night, splits[0], items), facts)
        histories.unpersist()
        night.reporter.say(f"written: {folder}")


def _facts_of(splits: list[Split], items: Catalogue, settings: Evaluation, repeats: bool) -> dict[str, object]:
    """What a split for peers is known by; longest_days: whoever acts in so many days is to be listed for."""
    length, variants = max(settings.cutoffs), ["novel", "repeat"] if repeats else ["novel"]
    days, at_day = max(one.horizon_days for one in splits), splits[0].at_day
    return {
        "n_items": len(items.item_ids), "at_day": at_day, "longest_days": days, "length": length, "variants": variants
    }  # fmt: skip


def _known_by(one: Split, settings: Ranker) -> tuple[Catalogue, DataFrame]:
    """The catalogue and the users' histories, kept, of what a split lets models read."""
    items = catalogue(one.known, one.at_day, settings.learning_days)
    return items, ranker_histories(one.known, items.item_ids, settings).persist()


def _views(night: "Night", one: Split, items: Catalogue) -> ItemViews:
    """What was known of the items at the split's night, or is known now where the cut is no night."""
    return views_known(night, one.night or night.run_date, one.model_day)(items)


def _rows(
    one: Split, histories: DataFrame, model: Model, settings: Settings, repeats: bool, folder: Path | None
) -> DataFrame:
    users = cases(one.truth, histories, None, model.item_ids).persist()
    sums = judged(users, model, one.at_day, settings.evaluation, repeats, issued=False)
    if folder is not None:
        sums.merge(judged_lists(folder, users, model, one.at_day, settings.evaluation))
    users.unpersist()
    rows = histories.sparkSession.createDataFrame(metric_rows(sums))
    return rows.withColumns({name: F.lit(getattr(one, name)) for name in _STAMP})
