"""The console command's verbs that only read the tables."""

import argparse
import csv
import json
import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampNTZType, TimestampType

from interest_model.errors import CheckError, MissingTableError, UsageError
from interest_model.evaluation.report import nightly_rows, pooled_rows, text_table
from interest_model.history.known import items_known
from interest_model.job import Night
from interest_model.privacy import Keys, decrypt, keys_of_tables, pseudonym
from interest_model.session import start_session
from interest_model.storage import Storage, check_file_system, compare_frames, is_uri, local_path
from interest_model.tables import ALL, BY_NAME

_PSEUDONYM = re.compile(r"[0-9a-f]{32}")


def tables(options: argparse.Namespace) -> None:
    """Name, path, version and rows of each table that exists."""
    storage = _open(options.warehouse)
    rows = [
        {"name": name, "path": storage.path(name), "version": storage.version(name), "rows": storage.read(name).count()}
        for name in storage.existing()
    ]
    print(json.dumps(rows, indent=2) if options.json else text_table(rows))


def sql(options: argparse.Namespace) -> None:
    """One query; every table is a view of its own name."""
    storage = _open(options.warehouse)
    for name in storage.existing():
        storage.read(name).createOrReplaceTempView(name)
    try:
        _print(storage.spark.sql(options.query), options.rows)
    except PySparkException as error:  # a typo, a name that no table has, a value that the query cannot take
        told = str(error).split("\n\nJVM stacktrace")[0]
        raise UsageError(f"query: {told}", "docs/tables.md has the tables and their columns") from error


def show(options: argparse.Namespace) -> None:
    """One user's latest events and list, with titles and reasons."""
    storage = _open(options.warehouse)
    user = _pseudonym_of(storage, options.user)
    run_date = options.run_date or newest_run_date(storage)
    titles = _titles(storage, run_date)
    events = storage.read("events").where((F.col("user_id") == user) & (F.col("arrival_date") <= F.lit(run_date)))
    latest = events.join(titles, "item_id", "left").orderBy(F.desc("event_ts"), F.desc("event_id"))
    print(f"user {user}, as known on {run_date}\nlatest events")
    _print(latest.select("event_ts", "event_type", "item_id", "title", "value"), options.rows)
    listed = _lists_of(storage, run_date).where(F.col("user_id") == user)
    if listed.isEmpty():
        print("no list of their own: served from fallback_recommendations")
        listed = storage.read_day("fallback_recommendations", run_date).where("segment = 'all'")
    print("recommendations")
    columns = [
        name for name in ("rank", "item_id", "title", "score", "origin", "reason") if name in (*listed.columns, "title")
    ]
    _print(listed.join(titles, "item_id", "left").orderBy("rank").select(*columns), options.rows)


def export(options: argparse.Namespace) -> None:
    """One day's lists as Parquet or CSV; with --users the plain ids are joined back."""
    if options.format == "csv" and is_uri(local_path(options.out)):
        raise UsageError(f"--out {options.out}: CSV is written to this machine alone", "take --format parquet there")
    if Path(options.out).exists():
        raise UsageError(f"--out {options.out}: exists already", "choose another place or remove it")
    storage = _open(options.warehouse)
    lists = storage.read_day("daily_recommendations", options.run_date)
    if options.users:
        lists = _with_plain_ids(storage, lists, Path(options.users))
    ordered = lists.orderBy("user_id", "rank")
    if options.format == "parquet":
        ordered.write.parquet(options.out)
    else:
        _write_csv(ordered, Path(options.out))
    print(f"{options.out}: {lists.count():,} rows of run_date {options.run_date}")


def rejected(options: argparse.Namespace) -> None:
    """Lines that a night refused, by file and line: rule, reason and the line itself, decrypted."""
    storage = _open(options.warehouse)
    key = _keys(storage).raw
    refused = storage.read("events_rejected").where(F.col("run_date") == F.lit(options.run_date))
    rows = refused.orderBy("file", "line").limit(options.rows + 1).collect()
    if not rows:
        print(f"no line was refused in the night of {options.run_date}")
        return
    told = ("rule", "reason", "file", "line")
    texts = [
        {name: row[name] for name in told} | {"raw": _printable(decrypt(key, row["raw_encrypted"]))}
        for row in rows[: options.rows]
    ]
    print(text_table(texts))
    if len(rows) > options.rows:
        print(f"(first {options.rows} lines)")


def _printable(raw: bytes) -> str:
    """On one line, whatever it holds: what does not decode or print is shown by its code."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def compare(options: argparse.Namespace) -> None:
    """Rows that differ between two warehouses, table by table; CheckError where any does."""
    left, right = _open(options.left), _open(options.right)
    unknown = sorted({name for name in options.tables.split(",") if name} - set(BY_NAME))
    if unknown:
        raise UsageError(f"--tables: no such table: {', '.join(unknown)}", f"known are: {', '.join(sorted(BY_NAME))}")
    names = [name for name in options.tables.split(",") if name] or [
        table.name for table in ALL if table.kind != "record"
    ]
    differing = 0
    for name in names:
        count, text = compare_table(left, right, name, options)
        differing += count
        print(text)
    if differing:
        raise CheckError(f"{differing} rows differ")


def compare_table(left: Storage, right: Storage, name: str, options: argparse.Namespace) -> tuple[int, str]:
    table = BY_NAME[name]
    a, b = left.read(name), right.read(name)
    if options.start is not None and table.kind == "issued":
        a, b = (frame.where(F.col("run_date") >= F.lit(options.start)) for frame in (a, b))
    ignored = [column.name for column in table.columns if column.random or (column.provenance and options.late)]
    found = compare_frames(table, a, b, ignored)
    count = found.count()
    text = f"{name}: {a.count():,} and {b.count():,} rows, {count:,} differ"
    shown = found.limit(5).collect() if count else []
    return count, "\n".join([text, *(f"  {row.asDict()}" for row in shown)])


def print_first_lists(night: Night, users: int = 3, ranks: int = 5) -> None:
    """The first users' first recommendations with titles, and where the tables are."""
    lists = _lists_of(night.storage, night.run_date).where(f"rank <= {ranks}")
    first = lists.select("user_id").distinct().orderBy("user_id").limit(users)
    named = lists.join(first, "user_id").join(_titles(night.storage, night.run_date), "item_id", "left")
    night.reporter.say(f"\nfirst recommendations of {night.run_date}, served from the next day on")
    rows = named.orderBy("user_id", "rank").collect()
    if not rows:
        days = night.settings.recommendations.active_days
        night.reporter.say(f"  none: nobody acted in the {days} days before (recommendations.active_days)")
    for row in rows:
        night.reporter.say(
            f"  {row['user_id'][:8]}  {row['rank']}. {row['title'] or row['item_id']}  [{row['reason']}]"
        )
    night.reporter.say(f"tables: {night.storage.root}\nnext: interest-model tables --warehouse {night.storage.root}")


def print_nightly_metrics(night: Night) -> None:
    """The figures that this night gave to earlier lists."""
    rows = nightly_rows(night.read("evaluation").where(F.col("run_date") == F.lit(night.run_date)))
    night.reporter.say(text_table(rows) if rows else f"{night.run_date}: no earlier list to judge")


def print_pooled_metrics(night: Night, days: Sequence[date]) -> None:
    """The figures of all these nights together, with bootstrap intervals over users."""
    judged = night.read("evaluation").where(F.col("run_date").isin(list(days)) & (F.col("protocol") == "replay"))
    rows = pooled_rows(judged)
    if rows:
        night.reporter.say(f"\nall nights together, judged {days[0]} to {days[-1]}\n{text_table(rows)}")


def metrics(options: argparse.Namespace) -> None:
    """Figures of all nights of a range together: per variant, horizon and model, with 95 % intervals over users."""
    last = options.to or options.run_date
    judged = _open(options.warehouse).read("evaluation").where(F.col("protocol") == options.protocol)
    judged = judged.where(F.col("run_date").between(options.run_date, last))
    rows = pooled_rows(judged, options.segment, options.k)
    if not rows:
        what = f"protocol {options.protocol}, {options.run_date} to {last}, segment {options.segment}, k {options.k}"
        there = judged.where("metric = 'ndcg'").select("segment", "k").distinct().orderBy("segment", "k").collect()
        known = ", ".join(f"{row['segment']} at {row['k']}" for row in there)
        remedy = f"there are: {known}" if known else "run those nights, or jobs/backtest.py"
        raise MissingTableError(f"table evaluation: nothing judged ({what})", remedy)
    print(text_table(rows))


def newest_run_date(storage: Storage) -> date:
    newest = storage.read("daily_recommendations").agg(F.max("run_date")).head()[0]
    if newest is None:
        raise MissingTableError("table daily_recommendations: no night has been issued", "run a night first")
    return newest


def _pseudonym_of(storage: Storage, user: str) -> str:
    """Of a user as the log or as the tables name them: ids of a log may look like pseudonyms."""
    known = _PSEUDONYM.fullmatch(user) and not storage.read("events").where(F.col("user_id") == user).isEmpty()
    return user if known else pseudonym(_keys(storage).user, user)


def _lists_of(storage: Storage, run_date: date) -> DataFrame:
    return storage.read("daily_recommendations").where(F.col("run_date") == F.lit(run_date))


def _titles(storage: Storage, run_date: date) -> DataFrame:
    return items_known(storage.read("items"), run_date).select("item_id", "title")


def _with_plain_ids(storage: Storage, lists: DataFrame, file: Path) -> DataFrame:
    key = _keys(storage).user
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--users {file}: cannot be read: {error}", "give a text file, one user id a line") from error
    plain = dict.fromkeys(line.strip() for line in lines if line.strip())
    pairs = storage.spark.createDataFrame(
        [(pseudonym(key, one), one) for one in plain], "user_id string, plain_user_id string"
    )
    listed = lists.join(pairs, "user_id")
    without = len(plain) - listed.select("user_id").distinct().count()
    if without:
        print(f"{without} of {len(plain)} users have no list of their own")
    return listed


def _keys(storage: Storage) -> Keys:
    keys, _ = keys_of_tables(storage.local_folder("keys"), os.environ)
    return keys


def _write_csv(frame: DataFrame, path: Path) -> None:
    # rows come partition by partition: no day is ever whole in the driver's memory
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")  # what is cut off never stands under the name asked for
    try:
        with half.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(frame.columns)
            for row in frame.toLocalIterator(prefetchPartitions=True):
                writer.writerow(json.dumps(value) if isinstance(value, list) else value for value in row)
        half.rename(path)
    finally:
        half.unlink(missing_ok=True)


def _open(warehouse: str) -> Storage:
    storage = Storage(start_session("interest-model"), warehouse)
    check_file_system(storage.spark, storage.root, "--warehouse")
    if not storage.existing():
        raise MissingTableError(f"{warehouse}: no tables there", "give --warehouse the folder that a run wrote to")
    return storage


def _print(frame: DataFrame, rows: int) -> None:
    plain = frame.toDF(*(f"c{place}" for place in range(len(frame.columns))))  # names may be there twice
    times = [field.name for field in plain.schema if isinstance(field.dataType, TimestampType | TimestampNTZType)]
    texts = {name: F.col(name).cast("string") for name in times}  # pandas knows none before 1677
    found = (plain.withColumns(texts) if texts else plain).limit(rows + 1).toPandas().set_axis(frame.columns, axis=1)
    print(found.head(rows).to_string(index=False))
    if len(found) > rows:
        print(f"(first {rows} rows)")
