"""From raw columns to the columns of an event or an item, by the mapping's expressions. Nothing is judged here.

Expressions of a mapping are analysed with Spark's ANSI mode off: what fails on a line is null on that line (and then
refused by a rule), where in ANSI mode one bad line would stop the night.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, TimestampType

from interest_model.errors import ConfigError
from interest_model.source import Reading, Source, states_zone
from interest_model.tables import ITEMS

_LENIENT = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.legacy.javaCharsets": "true",  # any charset Java knows
    "spark.sql.legacy.codingErrorAction": "true",  # bytes that do not decode become U+FFFD, which the reader looks for
}
# the columns of `items` that describe an item
ITEM_CONTENT = tuple(name for name in ITEMS.names if name not in ("item_id", "known_date", "file"))
ITEM_NUMBERS = ("price", "latitude", "longitude")
_BLANKS = " \t\r\n\u00a0"
_MICROSECONDS = 1_000_000
_LAST_SECOND = 253_402_300_799  # 9999-12-31 23:59:59 UTC
_ISO_WITH_ZONE = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"


@contextmanager
def lenient(spark: SparkSession) -> Iterator[None]:
    """Expressions analysed inside give null where they fail on a row."""
    before = {key: spark.conf.get(key) for key in _LENIENT}
    try:
        for key, value in _LENIENT.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)


def select_mapped(
    frame: DataFrame, kept: tuple[str, ...], expressions: Mapping[str, str], source: Source, key: str
) -> DataFrame:
    """`kept` columns and one column per expression, of the expression's own type.

    ConfigError names the mapping's file and the key of the expression that cannot be used.
    """
    with lenient(frame.sparkSession):
        try:
            return frame.select(*kept, *[F.expr(text).alias(name) for name, text in expressions.items()])
        except (AnalysisException, ParseException):
            for name, text in expressions.items():
                _check(frame, text, f"{source.file}: key '{key + '.' if key else ''}{name}'")
            raise


def _check(frame: DataFrame, text: str, where: str) -> None:
    try:
        frame.select(F.expr(text))
    except (AnalysisException, ParseException) as error:
        columns = ", ".join(name for name in frame.columns if not name.startswith("__"))
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{where}: {text!r} cannot be used: {reason}", f"columns here: {columns}") from error


def check_time_formats(spark: SparkSession, reading: Reading, where: str) -> None:
    """ConfigError where Spark cannot use one of the reading's time formats; where: the mapping's file and key."""
    for pattern in set(reading.time_formats) - {"iso", "epoch_seconds", "epoch_millis"}:
        try:
            spark.sql("SELECT try_to_timestamp('x', :pattern)", {"pattern": pattern}).collect()
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{where}.time_formats': {pattern!r} cannot be used: {reason}",
                "write it as Spark does: yyyy-MM-dd HH:mm:ss",
            ) from error


def as_text(frame: DataFrame, name: str) -> Column:
    """A mapped column as trimmed text; null where it is empty or missing. Time stamps are written with their zone."""
    if name not in frame.columns:
        return F.lit(None).cast("string").alias(name)
    text = _to_string(F.col(name), frame.schema[name].dataType)
    return F.nullif(F.trim(text, F.lit(_BLANKS)), F.lit("")).alias(name)


def _to_string(column: Column, type: DataType) -> Column:
    if isinstance(type, StringType):
        return column
    if isinstance(type, TimestampType):
        return F.date_format(column, _ISO_WITH_ZONE)
    return column.cast("string")


def as_number(text: Column) -> Column:
    """A finite number, or null."""
    number = text.try_cast("double")
    return F.when(~F.isnan(number) & (F.abs(number) < float("inf")), number)


def as_timestamp(text: Column, reading: Reading, source: Source, first_year: int = 1970) -> Column:
    """The instant (UTC) by the first of the reading's formats that fits.

    Null where none does, or outside first_year (default: no log is older) to 9999.
    """
    zone = source.zone_of(reading)
    instant = F.coalesce(*[_parse_time(text, one, zone) for one in reading.time_formats])
    return F.when(F.year(instant).between(first_year, 9999), instant)


def _parse_time(text: Column, time_format: str, zone: str) -> Column:
    if time_format in ("epoch_seconds", "epoch_millis"):
        number = text.try_cast("decimal(20,6)")
        seconds = number if time_format == "epoch_seconds" else number / 1000
        micros = F.when(seconds.between(0, _LAST_SECOND), (seconds * _MICROSECONDS).cast("bigint"))
        return F.timestamp_micros(micros)
    if time_format == "iso":
        # a time without a date would be read as today's
        dated = F.when(text.rlike(r"^\d{4}-\d{1,2}-\d{1,2}([T ]|$)"), text)
        instant = dated.try_cast("timestamp")
        # after the time of day Spark reads offsets (Z, +2, +02:00) and names (UTC, Europe/Berlin)
        return F.when(text.rlike(r"[T ][\d:.]*\s*[A-Za-z+-]"), instant).otherwise(_to_utc(instant, zone))
    parsed = F.try_to_timestamp(text, F.lit(time_format))
    return parsed if states_zone(time_format) else _to_utc(parsed, zone)


def _to_utc(local: Column, zone: str) -> Column:
    return local if zone == "UTC" else F.to_utc_timestamp(local, zone)


def local_date(instant: Column, source: Source) -> Column:
    """The day of an instant in the log's zone."""
    return F.to_date(instant if source.zone == "UTC" else F.from_utc_timestamp(instant, source.zone))


def content_columns(
    mapped: DataFrame, reading: Reading, source: Source, attributes: Sequence[str] = (), prefix: str = ""
) -> list[Column]:
    """The columns of `items` after its key, named prefix + name, from mapped columns of those names.

    What is not mapped is null. `attributes`: names of columns "attribute <name>".
    """
    title = as_text(mapped, f"{prefix}title")
    categories = _categories(mapped, f"{prefix}categories")
    if f"{prefix}text" in mapped.columns:
        text = as_text(mapped, f"{prefix}text")
    else:  # what the encoder reads by default: the name and what kind of thing it is
        joined = F.concat_ws(". ", title, F.array_join(categories, ", "))
        text = F.nullif(joined, F.lit(""))
    pairs = [part for name in attributes for part in (F.lit(name), as_text(mapped, f"attribute {name}"))]
    known = F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull()) if pairs else F.lit(None)
    numbers = {name: as_number(as_text(mapped, prefix + name)) for name in ITEM_NUMBERS}
    columns = {
        "title": title,
        "text": text,
        "text_hash": F.sha2(text, 256),
        "published_ts": as_timestamp(as_text(mapped, f"{prefix}published_ts"), reading, source, first_year=1),
        "categories": categories,
        "attributes": known.cast("map<string,string>"),
    } | numbers
    return [columns[name].alias(prefix + name) for name in ITEM_CONTENT]


def _categories(mapped: DataFrame, name: str) -> Column:
    """An array of trimmed, non-empty names; one name where the expression gives a string; null where none is left."""
    if name not in mapped.columns:
        return F.lit(None).cast("array<string>")
    given = F.col(name)
    if not isinstance(mapped.schema[name].dataType, ArrayType):
        given = F.array(given.cast("string"))
    named = F.filter(F.transform(given, lambda one: F.trim(one)), lambda one: one.isNotNull() & (one != ""))
    return F.when(F.size(named) > 0, named)
