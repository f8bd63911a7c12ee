"""Reading and writing of the tables: the only file that knows where they lie."""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from interest_model.errors import ClaimError, ContractError, DataError, MissingTableError, SetupError
from interest_model.tables import ALL, BY_NAME, Table

Expand = Callable[[DataFrame], DataFrame]
STATE_DIR = "INTEREST_STATE_DIR"
_STATISTICS_TYPES = ("date", "timestamp", "int", "long", "double")


class Storage:
    """The tables below one root folder (local path or any URI that Spark reads).

    A table's version is resolved once, on its first reading, and kept until this object writes the table itself: all
    reads of one job see the same state. `commit_info` is recorded with every commit.
    """

    def __init__(self, spark: SparkSession, root: str, commit_info: dict | None = None):
        self.spark = spark
        self.root = local_path(root).rstrip("/")
        self.commit_info = dict(commit_info or {})
        self.versions_read: dict[str, int] = {}
        self.versions_written: dict[str, int] = {}
        self._resolved: dict[str, int] = {}

    @contextmanager
    def noting(self) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
        """The versions read and the versions written within; after it they are added to those of this object."""
        read, written = self.versions_read, self.versions_written
        self.versions_read, self.versions_written = {}, {}
        try:
            yield self.versions_read, self.versions_written
        finally:
            self.versions_read, read = read, self.versions_read
            self.versions_written, written = written, self.versions_written
            self.note_read(read)
            self.versions_written.update(written)

    def note_read(self, versions: dict[str, int]) -> None:
        """Adds versions that something now used was made of; where one is noted already, the first reading counts."""
        for name, version in versions.items():
            self.versions_read.setdefault(name, version)

    def path(self, name: str) -> str:
        return f"{self.root}/{BY_NAME[name].name}"

    def local_folder(self, name: str) -> Path:
        """A folder beside the tables for what is no table (claims, keys, the MLflow store). Where the tables lie on no
        local file system it is below INTEREST_STATE_DIR. SetupError where that is not set."""
        if not is_uri(self.root):
            return Path(self.root) / f"_{name}"
        if not os.environ.get(STATE_DIR):
            raise SetupError(
                f"--warehouse {self.root} is no local folder, and {STATE_DIR} is not set",
                f"set {STATE_DIR} to a folder that all machines see which start jobs: claims, checkpoints and the "
                "default MLflow store lie there",
            )
        # the hash tells apart what reads alike without its punctuation
        own = re.sub(r"[^A-Za-z0-9]+", "-", self.root) + "-" + hashlib.sha256(self.root.encode()).hexdigest()[:8]
        return Path(os.environ[STATE_DIR]).absolute() / own / f"_{name}"

    def exists(self, name: str) -> bool:
        return self._newest_version(name) >= 0

    def existing(self) -> list[str]:
        return [table.name for table in ALL if self.exists(table.name)]

    def version(self, name: str) -> int:
        """The version that this object reads; MissingTableError where there is no such table."""
        if name not in self._resolved:
            if not self.exists(name):
                raise MissingTableError(
                    f"table {name}: there is none at {self.path(name)}", "run the step that writes it"
                )
            self._resolved[name] = self._newest_version(name)
        return self._resolved[name]

    def table_id(self, name: str) -> str:
        """What tells this table from all others, whatever their versions: drawn by Delta when it was created."""
        return self._snapshot(name).metadata().id()

    def read(self, name: str) -> DataFrame:
        """The table as it stood at its first reading; an empty frame where it was never written."""
        if name not in self._resolved and not self.exists(name):
            return self.spark.createDataFrame([], schema_of(BY_NAME[name], nullable=True))
        self.versions_read.setdefault(name, self.version(name))
        return self.spark.read.format("delta").option("versionAsOf", self.version(name)).load(self.path(name))

    def read_day(self, name: str, day: date) -> DataFrame:
        """The rows of one run_date; MissingTableError where there are none."""
        rows = self.read(name).where(F.col("run_date") == F.lit(day))
        if rows.isEmpty():
            raise MissingTableError(f"table {name}: no rows for run_date {day}", f"run the night of {day} first")
        return rows

    def replace(self, name: str, frame: DataFrame, where: str, expand: Expand | None = None) -> int:
        """Replaces exactly the rows that `where` selects by those of `frame`; returns how many were written.

        expand: what makes the table's rows of the frame's, row by row, where those are many times as large. Then the
        frame's own rows are kept and gathered by partition, and the large ones made while they are checked and written.
        ContractError: columns missing, extra or of another type; null or duplicate keys; rows outside `where`.
        """
        table = BY_NAME[name]
        self._create(table)
        if expand is None:
            kept = ordered = fit_contract(table, frame).persist()
        else:
            kept = frame.hint("rebalance", *table.partition).sortWithinPartitions(*table.partition).persist()
            ordered = fit_contract(table, expand(kept))
        try:
            expected = _check_rows(table, ordered, where)
            # many days: gather each day's rows into few files, at the price of a shuffle
            self._commit(table, ordered, where, expected, gather=expand is None and where.count("DATE'") > 1)
        finally:
            kept.unpersist()
        self._note_version(name)
        return expected

    def replace_days(self, name: str, frame: DataFrame, days: Iterable[date]) -> int:
        """Replaces exactly the stated days of a table partitioned by one date column; none where no day is stated."""
        (column,) = BY_NAME[name].partition
        dates = sorted(set(days))
        return self.replace(name, frame, one_of(column, dates)) if dates else 0

    def insert_missing(self, name: str, frame: DataFrame) -> int:
        """Adds the rows whose key the table does not hold yet; rows once written never change. Returns rows added."""
        table = BY_NAME[name]
        self._create(table)
        ordered = fit_contract(table, frame).persist()
        try:
            if _check_rows(table, ordered) == 0:
                return 0
            before = self._newest_version(name)
            same = " and ".join(f"old.{key} = new.{key}" for key in table.key)
            target = DeltaTable.forPath(self.spark, self.path(name)).alias("old")
            target.merge(ordered.alias("new"), same).whenNotMatchedInsertAll().execute()
        finally:
            ordered.unpersist()
        self._note_version(name)
        version = self._newest_version(name)
        # a merge that adds nothing makes no commit
        return _rows_added(self._commit_info(name, version)) if version > before else 0

    def append(self, name: str, frame: DataFrame) -> None:
        """Adds rows to a table of records (`runs`): never used for dated tables."""
        table = BY_NAME[name]
        self._create(table)
        fit_contract(table, frame).coalesce(1).write.format("delta").mode("append").save(self.path(name))
        self._note_version(name)

    def _create(self, table: Table) -> None:
        if self.exists(table.name):
            return self._check_columns(table)
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table.name)).comment(table.grain)
        for column in table.columns:
            builder = builder.addColumn(column.name, column.type, nullable=column.nullable, comment=column.comment)
        for key, value in _properties(table).items():
            builder = builder.property(key, value)
        builder.partitionedBy(*table.partition).execute()
        for name, rule in table.checks.items():
            self.spark.sql(f"ALTER TABLE delta.`{self.path(table.name)}` ADD CONSTRAINT {name} CHECK ({rule})")

    def _check_columns(self, table: Table) -> None:
        """ContractError where the table was made by a revision that knew less of its columns."""
        held = set(self._snapshot(table.name).schema().fieldNames())
        missing = [f"{column.name} {column.type}" for column in table.columns if column.name not in held]
        if missing:
            raise ContractError(
                f"table {table.name}: has no {', '.join(missing)}: an earlier revision of this package made it",
                f"add them: interest-model sql --warehouse {self.root} "
                f'"alter table delta.\\`{self.path(table.name)}\\` add columns ({", ".join(missing)})"',
            )

    def _commit(self, table: Table, ordered: DataFrame, where: str, expected: int, gather: bool) -> None:
        writer = ordered.write.format("delta").mode("overwrite").option("replaceWhere", where)
        if gather:
            writer = writer.option("optimizeWrite", "true")
        info = self.commit_info | {"inputs": self.versions_read, "commit": uuid.uuid4().hex}
        before = self._newest_version(table.name)
        self._check_unmoved(table, before)
        writer.option("userMetadata", json.dumps(info, default=str)).save(self.path(table.name))
        written = self._rows_of(table.name, before, info["commit"])
        if written != expected:
            raise DataError(f"table {table.name}: {expected} rows to write, Delta wrote {written} ({where[:200]})")

    def _check_unmoved(self, table: Table, newest: int) -> None:
        """Days of history hold what several nights took in: one that read a day before another wrote it would take that
        night's rows away, which neither night would ever bring back."""
        read = self._resolved.get(table.name, newest)
        if table.kind == "history" and read != newest:
            raise ClaimError(
                f"table {table.name}: another run wrote version {newest} while this one worked on version {read}",
                "run again once the other run has ended: nights are run one after another",
            )

    def _newest_version(self, name: str) -> int:
        """The table's newest version, -1 where there is none. Asks Delta's own log: no Spark job, unlike history()."""
        return self._snapshot(name).version()

    def _snapshot(self, name: str):
        none = self.spark._jvm.scala.Option.empty()
        return self._delta_log(name).update(False, none, none)

    def _delta_log(self, name: str):
        return self.spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(name))

    def _rows_of(self, name: str, before: int, token: str) -> int:
        """Rows that the commit after version `before` with this token says it added: other processes may have written
        too. 0 where there is none: nothing to remove and nothing to write makes no commit."""
        for version in range(before + 1, self._newest_version(name) + 1):
            commit = self._commit_info(name, version)
            if token in commit.get("userMetadata", ""):
                return _rows_added(commit)
        return 0

    def _commit_info(self, name: str, version: int) -> dict:
        """What Delta's log says of one commit."""
        file = self.spark._jvm.org.apache.hadoop.fs.Path(f"{self.path(name)}/_delta_log/{version:020d}.json")
        actions = self._delta_log(name).store().read(file, self.spark._jsc.hadoopConfiguration())
        texts = (actions.apply(place) for place in range(actions.size()))
        return next(json.loads(text)["commitInfo"] for text in texts if '"commitInfo"' in text)

    def _note_version(self, name: str) -> None:
        self._resolved.pop(name, None)
        self.versions_written[name] = self.version(name)


def _rows_added(commit: dict) -> int:
    metrics = commit.get("operationMetrics", {})
    # a replaceWhere that writes nothing has no numOutputRows; an insert-only merge names it otherwise
    return int(metrics.get("numTargetRowsInserted", metrics.get("numOutputRows", 0)))


def local_path(place: str) -> str:
    """An absolute path where the place is on this machine, with file: or without; else the URI as it is.

    Spark would take a relative path for a table's name, and the JVM has a working folder of its own.
    """
    place = re.sub(r"^file:(//)?", "", place)
    return place if is_uri(place) else str(Path(place).absolute())


def check_file_system(spark: SparkSession, place: str, option: str) -> None:
    """SetupError where Spark would look for a path on another file system than this machine's own."""
    default = spark._jsc.hadoopConfiguration().get("fs.defaultFS", "file:///")
    if not is_uri(place) and not default.startswith("file:"):
        raise SetupError(
            f"{option} {place}: names no file system, and this session's own is {default}",
            f"name the place whole, as {default.rstrip('/')}{place}",
        )


def is_uri(place: str) -> bool:
    """True for what names a file system, as s3a://bucket/w and dbfs:/w do."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", place) is not None


def schema_of(table: Table, nullable: bool = False) -> StructType:
    """The contract as a Spark schema; with `nullable` every column may be null (a frame not yet checked)."""
    rules = ["" if column.nullable or nullable else " not null" for column in table.columns]
    ddl = ", ".join(f"`{column.name}` {column.type}{rule}" for column, rule in zip(table.columns, rules, strict=True))
    return StructType.fromDDL(ddl)


def fit_contract(table: Table, frame: DataFrame) -> DataFrame:
    """The frame's columns in contract order; ContractError where one is missing, extra or of another type."""
    missing = [name for name in table.names if name not in frame.columns]
    extra = [name for name in frame.columns if name not in table.names]
    if missing or extra:
        raise ContractError(f"table {table.name}: missing columns {missing}, extra columns {extra}")
    wanted = schema_of(table)
    wrong = [
        f"{field.name} is {frame.schema[field.name].dataType.simpleString()}, not {field.dataType.simpleString()}"
        for field in wanted.fields
        if frame.schema[field.name].dataType.simpleString() != field.dataType.simpleString()
    ]
    if wrong:
        raise ContractError(f"table {table.name}: {'; '.join(wrong)}")
    return frame.select(*table.names)


def _check_rows(table: Table, frame: DataFrame, where: str = "true") -> int:
    """Number of rows; ContractError on null, broken constraint, row outside `where`, or two rows of one key."""
    required = [column.name for column in table.columns if not column.nullable]
    faults = {f"null {name}": F.col(name).isNull() for name in required}
    faults |= {f"against '{rule}'": ~F.expr(rule) for rule in table.checks.values()}
    faults[f"outside {where[:200]}"] = ~F.expr(where)
    totals = [F.count_if(condition).alias(name) for name, condition in faults.items()]
    found = list(frame.agg(F.count(F.lit(1)), *totals).head())
    rows, broken = found[0], {name: count for name, count in zip(faults, found[1:], strict=True) if count}
    if broken:
        raise ContractError(f"table {table.name}: of {rows} rows {broken}")
    twice = frame.groupBy(*table.key).count().where("count > 1").head() if rows > 1 else None
    if twice is not None:
        raise ContractError(f"table {table.name}: key {twice.asDict()} appears {twice['count']} times")
    return rows


def _properties(table: Table) -> dict[str, str]:
    # statistics in the log would outlive an erased user: only columns that name nobody are measured
    measured = [
        column.name
        for column in table.columns
        if column.type in _STATISTICS_TYPES and column.name not in table.partition
    ]
    if measured:
        return {"delta.dataSkippingStatsColumns": ",".join(measured)}
    return {"delta.dataSkippingNumIndexedCols": "0"}


def one_of(column: str, dates: Sequence[date]) -> str:
    """SQL condition: the date column is one of these days."""
    literals = ", ".join(f"DATE'{day}'" for day in dates)
    return f"{column} in ({literals})"


def compare_frames(
    table: Table, left: DataFrame, right: DataFrame, ignore: Iterable[str] = (), tolerance: float = 1e-5
):
    """Rows of two states of one table that differ: a frame of the key, `side` and the columns that differ.

    Keys and all columns must be equal, doubles within `tolerance` relative. `ignore` names columns left out.
    """
    names = [name for name in table.names if name not in set(ignore)]
    values = [name for name in names if name not in table.key]
    a = left.select(*names).alias("a")
    b = right.select(*names).alias("b")
    on = [F.col(f"a.{key}").eqNullSafe(F.col(f"b.{key}")) for key in table.key if key in names]
    joined = a.withColumn("_a", F.lit(1)).join(b.withColumn("_b", F.lit(1)), on, "full_outer")
    side = F.when(F.col("_b").isNull(), "left only").when(F.col("_a").isNull(), "right only")
    differing = F.filter(F.array(*[_differs(table, name, tolerance) for name in values]), lambda one: one.isNotNull())
    both = F.col("_a").isNotNull() & F.col("_b").isNotNull()
    columns = F.when(both, differing).otherwise(F.array().cast("array<string>"))
    keys = [F.coalesce(F.col(f"a.{key}"), F.col(f"b.{key}")).alias(key) for key in table.key if key in names]
    found = joined.select(*keys, F.coalesce(side, F.lit("both")).alias("side"), columns.alias("differs"))
    return found.where((F.col("side") != "both") | (F.size("differs") > 0))


def _differs(table: Table, name: str, tolerance: float):
    a, b = F.col(f"a.{name}"), F.col(f"b.{name}")
    if table.column(name).type in ("array<float>", "array<double>"):
        close = F.forall(
            F.arrays_zip(a.alias("x"), b.alias("y")),
            lambda pair: (
                pair["x"].eqNullSafe(pair["y"])
                | (F.abs(pair["x"] - pair["y"]) <= tolerance * F.greatest(F.lit(1.0), F.abs(pair["x"])))
            ),
        )
        equal = (a.isNull() & b.isNull()) | ((F.size(a) == F.size(b)) & close)
    elif table.column(name).type == "double":
        scale = F.greatest(F.abs(a), F.abs(b))
        equal = a.eqNullSafe(b) | (F.abs(a - b) <= F.lit(tolerance) * scale)
    elif table.column(name).type.startswith("map") and table.column(name).type.endswith(("double>", "float>")):
        close = F.map_zip_with(a, b, lambda _, x, y: F.abs(x - y) <= F.lit(tolerance) * F.greatest(F.abs(x), F.abs(y)))
        equal = (a.isNull() & b.isNull()) | F.forall(F.map_values(close), lambda one: F.coalesce(one, F.lit(False)))
    elif table.column(name).type.startswith("map"):
        equal = F.sort_array(F.map_entries(a)).eqNullSafe(F.sort_array(F.map_entries(b)))
    else:
        equal = a.eqNullSafe(b)
    return F.when(~F.coalesce(equal, F.lit(False)), F.lit(name))
