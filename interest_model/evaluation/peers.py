"""Peers on the very same split: what they are given as files, and how the lists that they bring back are judged.

Other libraries' models live in an environment of their own (benchmarks/peers), so they meet this project in files only:

    histories/       one row per user: user_id, items (catalogue positions), days, weights; oldest first
    truth/           the users to list for: user_id (and truth, which a fair peer does not read)
    split.json       n_items, at_day, longest_days (of the truth), length, variants
    items.npz        what the night knew of items (see items_of), which benchmarks of the ranker itself read too
    lists/NAME-VARIANT.parquet   brought back: user_id, listed (catalogue positions, best first)
"""

import json
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from interest_model.config import Evaluation
from interest_model.errors import DataError
from interest_model.evaluation import judging
from interest_model.evaluation.day import summed
from interest_model.recommend.attributes import ItemAttributes
from interest_model.recommend.blend import ItemTopics, Model, matrix_arrays, matrix_of
from interest_model.recommend.daily import ItemViews


def write_split(folder: Path, histories: DataFrame, users: DataFrame, views: ItemViews, facts: dict) -> None:
    """The split's files below `folder`, in place of what a former split left there; lists of that split go too."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / "lists").glob("*.parquet"):
        old.unlink()
    histories.write.mode("overwrite").parquet(str(folder / "histories"))
    users.select("user_id", "truth").write.mode("overwrite").parquet(str(folder / "truth"))
    write_items(folder, views)
    (folder / "split.json").write_text(json.dumps(facts, indent=1))


def write_items(folder: Path, views: ItemViews) -> None:
    """items.npz: what a night knew of its items, by catalogue position; a sequence model does not travel."""
    topics, known = views.topics, views.attributes
    arrays = matrix_arrays("topics", topics.membership) | matrix_arrays("attributes", known.values)
    arrays |= {"topic_names": np.asarray(topics.names, dtype=str), "topic_rule": topics.rule}
    arrays |= {"prices": known.prices, "attribute_kinds": known.kinds}
    np.savez_compressed(folder / "items.npz", vectors=views.vectors, places=views.places, **arrays)


def items_of(folder: Path) -> ItemViews:
    """What write_items wrote."""
    with np.load(folder / "items.npz", allow_pickle=False) as arrays:
        names, kinds, n = arrays["topic_names"], arrays["attribute_kinds"], len(arrays["vectors"])
        topics = ItemTopics(matrix_of(arrays, "topics", (n, len(names))), names, arrays["topic_rule"])
        known = ItemAttributes(arrays["prices"], matrix_of(arrays, "attributes", (n, len(kinds))), kinds)
        return ItemViews(arrays["vectors"], arrays["places"], topics, known)


def check_split(folder: Path, facts: dict) -> None:
    """DataError: nobody has written a split below `folder`, or it was another one (other events, say): its lists name
    positions in another catalogue."""
    file, remedy = folder / "split.json", "write it with --split FOLDER, then let the peers list again"
    if not file.exists():
        raise DataError(f"{file}: there is no split for peers", remedy)
    written = json.loads(file.read_text())
    odd = ", ".join(
        f"{name} {written.get(name)} for {value}" for name, value in facts.items() if written.get(name) != value
    )
    if odd:
        raise DataError(f"{file}: the split of another log or moment: {odd}", remedy)


def judged_lists(folder: Path, users: DataFrame, model: Model, at_day: float, settings: Evaluation) -> judging.Sums:
    """Sums of all files of lists below `folder`, in one pass over the users; users: see day.cases.

    DataError: a file's name says no variant, it lists positions that the catalogue does not have, or one twice.
    """
    files = sorted(folder.glob("lists/*.parquet"))
    if not files:
        return judging.Sums()
    peers = [_peer(file) for file in files]
    lists = _lists(files, users.sparkSession, model.n_items)
    shared = users.sparkSession.sparkContext.broadcast(model)

    def judge(table: pa.Table) -> Iterator[judging.Sums]:
        cases = judging.from_batch(table)
        brought = [dict(one or ()) for one in table.column("lists").to_pylist()]
        lists = {peer: judging.padded([one.get(number) for one in brought]) for number, peer in enumerate(peers)}
        yield judging.judge_lists(lists, cases, shared.value, at_day, settings)

    return summed(users.join(lists, "user_id", "left"), judge, model.n_items)


def _peer(file: Path) -> tuple[str, str]:
    """Variant and name of a peer, as the name of its file says."""
    name, _, variant = file.stem.rpartition("-")
    if not name or variant not in ("novel", "repeat"):
        raise DataError(f"{file}: no peer's lists", "name it NAME-novel.parquet or NAME-repeat.parquet")
    return variant, name


def _lists(files: Sequence[Path], session: SparkSession, n_items: int) -> DataFrame:
    """One row per user: user_id, lists: the number of each file that lists for the user to its list."""
    frames = [
        session.read.parquet(str(file)).select(
            "user_id", F.struct(F.lit(number), F.col("listed").cast("array<int>").alias("listed")).alias("list")
        )
        for number, file in enumerate(files)
    ]
    together = reduce(DataFrame.unionByName, frames)
    outside = together.where(F.exists("list.listed", lambda one: (one < 0) | (one >= n_items))).head()
    if outside is not None:
        file = files[outside["list"][0]]
        raise DataError(f"{file}: lists items outside the catalogue", f"positions run from 0 to {n_items - 1}")
    twice = together.where(F.size(F.array_distinct("list.listed")) < F.size("list.listed")).head()
    if twice is not None:
        raise DataError(f"{files[twice['list'][0]]}: lists an item twice", "each copy would count as a hit")
    return together.groupBy("user_id").agg(F.map_from_entries(F.collect_list("list")).alias("lists"))
