"""Raw files as frames: one row per line (or record) with its raw columns, before anything is judged.

Text files are read as lines and parsed line by line in the JVM: bytes that do not decode are seen, a line with a wrong
number of columns is seen, and every line has its number in the file, although large files are split between tasks.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from interest_model.errors import ConfigError, DataError
from interest_model.source import Reading

OWN = ("__file", "__line", "__raw", "__broken", "__day")
_CORRUPT = "__corrupt"
_SPLITS = "__path string, __start long, __base long, __file string, __day date"
# the CSV parser stops the job, not the line, at 20480 columns
_MOST_COLUMNS = 20_000
# above this many days one glob for any day is cheaper than naming each
_MOST_DAYS_BY_NAME = 100
# faults of machines and networks, which a later try may not meet: no word on the files
_PASSING = re.compile(
    "ExecutorLost|ExecutorDead|FetchFailed|No space left|OutOfMemory|SocketTimeout|SocketException|ConnectException"
    "|Connection (reset|refused)|UnknownHost|SlowDown|Service Unavailable|SparkContext (was|has been) (shut|stopped)"
)
_FILE_NAMED = re.compile(r"while reading file (\S+?)\.?(?:\s|$)")
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class RawFile:
    """One file: path as Hadoop knows it, name below the raw folder, day of its name (None: not dated), bytes, and when
    it was changed (milliseconds since 1970)."""

    path: str
    name: str
    day: date | None
    size: int
    changed: int


@dataclass(frozen=True)
class Records:
    """Lines that share one set of raw columns.

    frame: __file, __line (from 1, header included), __raw (binary), __broken (null, broken_encoding or wrong_columns:
    then all raw columns are null), __day (day of the file's name or null), and the raw `columns`.
    read: number of lines, headers not counted, by a count of its own.
    """

    frame: DataFrame
    columns: tuple[str, ...]
    read: int


def read_records(
    spark: SparkSession, reading: Reading, raw_path: str, after: date | None, run_date: date
) -> list[Records]:
    """Lines of the files that can hold what arrived in (after, run_date]; [] where the days have no file.

    DataError: the folder is not there, no file of any day fits the glob, or a file cannot be read. ConfigError: an
    encoding that Java does not know.
    """
    if not _known_charset(spark, reading.encoding):
        raise ConfigError(
            f"files '{reading.files}': Java knows no encoding '{reading.encoding}'", "correct the mapping"
        )
    files = list_files(spark, reading, raw_path, after, run_date)
    if not files:
        return []
    try:
        if reading.format in ("parquet", "delta"):
            return [_frame_records(spark, reading, files)]
        if reading.multiline:
            return [_multiline_records(spark, reading, files)]
        return _line_records(spark, reading, files)
    except DataError:
        raise
    except Exception as error:
        if _PASSING.search(str(error)):
            raise
        named = _FILE_NAMED.search(str(error))
        what = f"{unquote(named.group(1))}, of" if named else "one of"
        raise DataError(
            f"{what} files '{reading.files}' under {raw_path}, cannot be read: {_first_lines(error)}",
            "check that they are whole, of the stated format, and compressed as gz or bz2 if at all; of one that is "
            "still being written, wait for its end",
        ) from error


def _known_charset(spark: SparkSession, name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][\w.:+-]*", name, re.ASCII) is not None and bool(
        spark._jvm.java.nio.charset.Charset.isSupported(name)
    )


def list_files(
    spark: SparkSession, reading: Reading, raw_path: str, after: date | None, run_date: date
) -> list[RawFile]:
    """The files of a reading that hold something, sorted by name; of dated ones those with a day in (after, run_date].

    DataError: the folder is not there, no file of any day fits the glob, or no name of those that fit holds a day.
    """
    if _opened(spark, raw_path) is None:
        raise DataError(f"the raw folder {raw_path} is not there", "give the folder of the log's files with --raw")
    found = files_due(spark, reading, raw_path, after, run_date)
    if not found:
        fitting = _glob(spark, *_opened(spark, raw_path), reading, None)
        if not fitting:
            raise DataError(
                f"no file under {raw_path} fits '{reading.files}'", "compare the mapping's 'files' with the folder"
            )
        if reading.dated and not any(one.day for one in fitting):
            raise DataError(
                f"files under {raw_path} fit '{reading.files}', but none has a day in its name: {fitting[0].name}",
                f"compare the mapping's 'date_format' ({reading.date_format}) with the names",
            )
    return [one for one in found if one.size or reading.format == "delta"]


def files_due(
    spark: SparkSession, reading: Reading, raw_path: str, after: date | None, run_date: date
) -> list[RawFile]:
    """As list_files with the empty ones, and [] where there is none."""
    opened = _opened(spark, raw_path)
    if opened is None:
        return []
    found = _glob(spark, *opened, reading, _days(after, run_date) if reading.dated else None)
    if reading.dated:
        found = [one for one in found if one.day and one.day <= run_date and (after is None or one.day > after)]
    return sorted(found, key=lambda one: one.name)


def _opened(spark: SparkSession, raw_path: str) -> tuple | None:
    """The raw folder's file system and its path there; None: there is no such folder."""
    root = spark._jvm.org.apache.hadoop.fs.Path(raw_path)
    system = root.getFileSystem(spark._jsc.hadoopConfiguration())
    return (system, system.resolvePath(root)) if system.exists(root) else None


def _days(after: date | None, run_date: date) -> tuple[date, ...] | None:
    if after is None or (run_date - after).days > _MOST_DAYS_BY_NAME:
        return None
    return tuple(after + timedelta(days=i + 1) for i in range((run_date - after).days))


def _glob(spark, system, root, reading: Reading, days: tuple[date, ...] | None) -> list[RawFile]:
    if days == ():
        return []
    pattern = spark._jvm.org.apache.hadoop.fs.Path(f"{_escaped(root.toString())}/{reading.glob(days)}")
    found = []
    for status in system.globStatus(pattern) or ():
        if status.isDirectory() and reading.format != "delta":
            inside, above = system.listFiles(status.getPath(), True), len(status.getPath().toString()) + 1
            while inside.hasNext():
                one = inside.next()
                found.append((one, one.getPath().toString()[above:]))
        else:
            found.append((status, status.getPath().getName()))
    prefix = len(root.toString().rstrip("/")) + 1
    files = []
    for status, below in found:
        path = status.getPath().toString()
        name = path[prefix:]
        # what others are still writing lies in folders such as _temporary
        if not any(part.startswith(("_", ".")) for part in below.split("/")):
            day = reading.file_day(name) if reading.dated else None
            changed = _table_changed(system, status) if reading.format == "delta" else status.getModificationTime()
            files.append(RawFile(path, name or ".", day, status.getLen(), changed))
    return files


def _table_changed(system, status) -> int:
    """When a Delta table's log was last written to: what is appended does not touch the table's own folder."""
    log = status.getPath().suffix("/_delta_log")
    times = [one.getModificationTime() for one in system.listStatus(log)] if system.exists(log) else []
    return max([status.getModificationTime(), *times])


def _escaped(path: str) -> str:
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", path)


def _plain(path: str) -> str:
    """A path in one spelling: Spark writes file:///a%20b where Hadoop writes file:/a b."""
    return re.sub(r"^(\w+):/+", r"\1:/", path)


def _line_records(spark: SparkSession, reading: Reading, files: Sequence[RawFile]) -> list[Records]:
    """Lines of CSV and JSON files, one element per distinct header."""
    scan = _scan(spark, reading, files)
    splits = (
        scan.groupBy("__path", "__start")
        .agg(F.count("*").alias("n"), F.min("__id").alias("first"), F.min_by("value", "__id").alias("text"))
        .select("__path", "__start", "n", "first", F.when(F.col("__start") == 0, _decoded(F.col("text"), reading)))
        .collect()
    )
    with_header = reading.format == "csv" and reading.header
    groups = _number_lines(reading, files, splits, with_header)
    records = []
    for names, rows in groups.items():
        table = spark.createDataFrame([row[:-1] for row in rows], _SPLITS)
        numbered = (
            scan.join(F.broadcast(table), ["__path", "__start"])
            .withColumn("__line", F.col("__id") + F.col("__base"))
            .where(F.col("__line") > 1 if with_header else F.lit(True))
        )
        read = sum(row[-1] for row in rows) - (len({row[3] for row in rows}) if with_header else 0)
        records.append(Records(_parsed(numbered, reading, names), names, read))
    return records


def _scan(spark: SparkSession, reading: Reading, files: Sequence[RawFile]) -> DataFrame:
    """Lines with their file, the split they are in, and an id that counts up by one inside a split."""
    reader = spark.read.option("lineSep", "\n")
    if reading.encoding.upper().startswith("UTF-16"):
        reader = reader.option("encoding", reading.encoding)  # a line break is two bytes there
    return reader.text([_escaped(file.path) for file in files]).select(
        "value",
        F.col("_metadata.file_path").alias("__path"),
        F.col("_metadata.file_block_start").alias("__start"),
        F.monotonically_increasing_id().alias("__id"),
    )


def _number_lines(reading, files, splits, with_header) -> dict[tuple[str, ...], list[tuple]]:
    """Column names -> rows (path, start, base, file, day, lines): id + base is a line's number in its file."""
    by_path = {_plain(file.path): file for file in files}
    grouped = defaultdict(list)
    by_file = defaultdict(list)
    for split in splits:
        by_file[split[0]].append(split)
    for path, parts in by_file.items():
        file = by_path[_plain(unquote(path))]
        parts.sort(key=lambda part: part[1])
        names = _header(reading, file, parts[0][4]) if with_header else reading.names
        before = 0
        for _, start, n, first, _ in parts:
            grouped[names].append((path, start, before - first + 1, file.name, file.day, n))
            before += n
    return dict(grouped)


def _header(reading: Reading, file: RawFile, text: str | None) -> tuple[str, ...]:
    if text is None:
        raise DataError(
            f"{file.name}: line 1 should be the header and does not decode as {reading.encoding}",
            "state the file's encoding in the mapping's key 'encoding'",
        )
    text = text.lstrip("\ufeff").rstrip("\r")
    if len(reading.sep) > 1 or not reading.quote:
        names = text.split(reading.sep)
    else:
        names = next(csv.reader([text], delimiter=reading.sep, quotechar=reading.quote), [])
    if not "".join(names).strip():
        raise DataError(f"{file.name}: line 1 should be the header and is empty")
    return _distinct([name.strip() for name in names])


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names as Spark gives them: _c0 for an empty one, the position added to a repeated one."""
    lower = [name.lower() for name in names]
    named = [name if name and lower.count(name.lower()) == 1 else f"{name or '_c'}{i}" for i, name in enumerate(names)]
    return tuple(named)


def _parsed(numbered: DataFrame, reading: Reading, names: tuple[str, ...]) -> DataFrame:
    text = F.rtrim(_decoded(F.col("value"), reading), F.lit("\r"))
    text = F.when(F.col("__line") == 1, F.ltrim(text, F.lit("\ufeff"))).otherwise(text)
    schema = ", ".join(f"{_quoted(name)} string" for name in (*names, _CORRUPT))
    decoded = numbered.select(
        "__file", "__line", "__day", F.col("value").cast("binary").alias("__raw"), text.alias("__text")
    ).withColumn("__unread", _unreadable(reading))
    # inline, not field by field: the optimiser would put the parser into every expression that uses a column
    parsed = decoded.select("*", F.inline_outer(F.array(_record(reading, schema))))
    broken = F.coalesce("__unread", F.when(F.col(_CORRUPT).isNotNull(), "wrong_columns"))
    marked = parsed.withColumn("__broken", broken)
    return marked.select(
        *OWN, *[F.when(F.col("__broken").isNull(), F.col(_quoted(name))).alias(name) for name in names]
    )


def _unreadable(reading: Reading) -> Column:
    """The rule that a line breaks before it is parsed; null: none."""
    wrong = F.length("__text") == 0
    if reading.format == "csv":
        separators = F.length("__text") - F.length(F.replace(F.col("__text"), F.lit(reading.sep)))
        wrong = wrong | (separators >= _MOST_COLUMNS)
    return F.when(F.col("__text").isNull(), "broken_encoding").when(wrong, "wrong_columns")


def _decoded(value: Column, reading: Reading) -> Column:
    """The line as text; null where its bytes do not decode."""
    if reading.encoding.upper() in ("UTF-8", "UTF8"):
        return F.when(F.is_valid_utf8(value), value)
    text = F.decode(value.cast("binary"), reading.encoding)
    return F.when(~F.contains(text, F.lit(_REPLACEMENT)), text)


def _record(reading: Reading, schema: str) -> Column:
    options = {"columnNameOfCorruptRecord": _CORRUPT}
    readable = F.when(F.col("__unread").isNull(), F.col("__text"))
    if reading.format == "json":
        return F.from_json(readable, schema, options)
    return F.from_csv(
        readable, schema, options | {"sep": reading.sep, "quote": reading.quote, "escape": reading.escape}
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _multiline_records(spark: SparkSession, reading: Reading, files: Sequence[RawFile]) -> Records:
    """Records of CSV files whose quoted fields hold line breaks. The parser decodes: U+FFFD shows broken bytes."""
    paths = [_escaped(file.path) for file in files]
    reader = (
        spark.read.option("multiLine", True).option("header", reading.header).option("sep", reading.sep)
        .option("quote", reading.quote).option("escape", reading.escape).option("encoding", reading.encoding)
        .option("enforceSchema", False).option("columnNameOfCorruptRecord", _CORRUPT)
    )  # fmt: skip
    names = reading.names or tuple(reader.csv(paths[:1]).columns)
    schema = ", ".join(f"{_quoted(name)} string" for name in (*names, _CORRUPT))
    scan = (
        reader.schema(schema)
        .csv(paths)
        .select(
            "*",
            F.col("_metadata.file_path").alias("__path"),
            F.col("_metadata.file_block_start").alias("__start"),
            F.monotonically_increasing_id().alias("__id"),
        )
    )
    rows = scan.groupBy("__path", "__start").agg(F.count("*"), F.min("__id")).collect()
    table = _split_table(spark, files, rows, lead=2 if reading.header else 1)
    raw = F.coalesce(F.col(_CORRUPT), F.to_json(F.struct(*[F.col(_quoted(name)) for name in names])))
    undecoded = F.contains(
        F.concat_ws("", *[F.col(_quoted(name)) for name in names], F.col(_CORRUPT)), F.lit(_REPLACEMENT)
    )
    broken = F.when(undecoded, "broken_encoding").when(F.col(_CORRUPT).isNotNull(), "wrong_columns")
    frame = (
        scan.join(F.broadcast(table), ["__path", "__start"])
        .withColumns({"__line": F.col("__id") + F.col("__base"), "__raw": F.encode(raw, "UTF-8"), "__broken": broken})
        .select(*OWN, *[F.when(F.col("__broken").isNull(), F.col(_quoted(name))).alias(name) for name in names])
    )
    return Records(frame, names, sum(row[2] for row in rows))


def _frame_records(spark: SparkSession, reading: Reading, files: Sequence[RawFile]) -> Records:
    """Records of Parquet files and Delta tables, raw columns in their own types."""
    paths = [_escaped(file.path) for file in files]
    if len(paths) > 1 and reading.format == "delta":
        raise DataError(f"'{reading.files}' fits {len(paths)} Delta tables", "name one table per input of the mapping")
    frame = spark.read.format(reading.format).load(paths if reading.format == "parquet" else paths[0])
    names = tuple(frame.columns)
    columns = [F.col(_quoted(name)) for name in names]
    scan = frame.select(
        F.encode(F.to_json(F.struct(*columns)), "UTF-8").alias("__raw"),
        F.lit(None).cast("string").alias("__broken"),
        F.col("_metadata.file_path").alias("__path"),
        F.col("_metadata.file_block_start").alias("__start"),
        F.monotonically_increasing_id().alias("__id"),
        *columns,
    )
    rows = scan.groupBy("__path", "__start").agg(F.count("*"), F.min("__id")).collect()
    joined = scan.join(F.broadcast(_split_table(spark, files, rows, lead=1)), ["__path", "__start"])
    numbered = joined.withColumn("__line", F.col("__id") + F.col("__base"))
    return Records(numbered.select(*OWN, *columns), names, sum(row[2] for row in rows))


def _split_table(spark: SparkSession, files: Sequence[RawFile], rows: Sequence, lead: int) -> DataFrame:
    """Splits (path, start, records, first id) -> path, start, base, file, day; the first record is number `lead`.

    A file inside a listed folder (Delta) is named by the folder and itself.
    """
    by_path = {_plain(file.path): file for file in files}
    table, before = [], defaultdict(int)
    for path, start, n, first in sorted(rows, key=lambda row: row[:2]):
        plain = _plain(unquote(path))
        whole = plain if plain in by_path else next(one for one in by_path if plain.startswith(one + "/"))
        name = "/".join(part for part in (by_path[whole].name, plain[len(whole) + 1 :]) if part)
        table.append((path, start, lead + before[path] - first, name, by_path[whole].day))
        before[path] += n
    return spark.createDataFrame(table, _SPLITS)


def _first_lines(error: Exception) -> str:
    causes = re.findall(r"Caused by: (.*)", str(error)) or str(error).splitlines()[:1]
    return causes[-1][:500]
