"""Raw lines -> accepted events, refused lines and counts that add up."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StringType

from interest_model import privacy
from interest_model.config import Limits
from interest_model.errors import ConfigError, DataError, InputChangedError
from interest_model.history.mapping import (
    ITEM_CONTENT,
    as_number,
    as_text,
    as_timestamp,
    check_time_formats,
    content_columns,
    lenient,
    local_date,
    select_mapped,
)
from interest_model.history.raw import OWN, Records, read_records
from interest_model.history.rules import DUPLICATE, REASONS
from interest_model.on_executors import Batches, map_batches
from interest_model.source import Input, Source
from interest_model.tables import EVENTS, EVENTS_REJECTED

_OBSERVATION_SECONDS = 5.0  # it comes with the end of the query, or never
_FEW = 100  # lines, of which most may be wrong on a quiet day
_TEXTS = ("value", "latitude", "longitude", "utc_offset_minutes", "place_id", "session_key", "text")
_LINE = "file string, line bigint, raw binary, broken string, refused string, arrival_date date"
_EVENT = "user_id string, item_id string, event_type string, event_ts timestamp, own_id string, " + ", ".join(
    f"{name} string" for name in _TEXTS
)
LINE_SCHEMA = f"{_LINE}, {_EVENT}"
_ID_COLUMNS = ("user_id", "item_id", "event_type", "event_ts", *_TEXTS)


@dataclass(frozen=True)
class Lines:
    """Lines that a night may take, as mapped, and how many lines were read.

    frame: LINE_SCHEMA; texts as in the log, trimmed, "" as null; arrival_date null where it cannot be told.
    read: lines in the files by a count of its own. whole: as frame, with the lines of other nights, marked `other`.
    observation: of whole, filled by the first action on `frame`; None: there are no files.
    """

    frame: DataFrame
    read: int
    whole: DataFrame
    observation: Observation | None
    after: date | None
    run_date: date


@dataclass(frozen=True)
class Accepted:
    """A night's lines, sorted: `events` and `rejected` as in tables.py; call `release` once both are written.

    counts: read = accepted + rejected + duplicates + other_days; beside them "rejected <rule>".
    """

    events: DataFrame
    rejected: DataFrame
    counts: dict[str, int]
    cached: DataFrame

    def release(self) -> None:
        self.cached.unpersist()


def read_lines(spark: SparkSession, source: Source, raw_path: str, after: date | None, run_date: date) -> Lines:
    """Lines that arrived in (after, run_date] (after None: up to run_date) or whose arrival cannot be told.

    DataError: no such folder, no file at all, an unreadable file. ConfigError: an expression that cannot be used.
    """
    frames, read = [], 0
    for number, reading in enumerate(source.inputs):
        check_time_formats(spark, reading, f"{source.file}: key 'inputs[{number}]")
        with lenient(spark):
            groups = read_records(spark, reading, raw_path, after, run_date)
        for records in groups:
            frames.append(map_lines(records, source, reading, f"inputs[{number}]"))
            read += records.read
    if not frames:
        nothing = spark.createDataFrame([], LINE_SCHEMA)
        return Lines(nothing, 0, nothing, None, after, run_date)
    arrival = F.col("arrival_date")
    other = F.coalesce(arrival > F.lit(run_date), F.lit(False))
    if after is not None:
        other = other | F.coalesce(arrival <= F.lit(after), F.lit(False))
    observation = Observation()
    whole = reduce(DataFrame.unionByName, frames).withColumn("other", other)
    observed = whole.observe(observation, *_seen())
    return Lines(observed.where("not other").drop("other"), read, whole, observation, after, run_date)


def _seen() -> tuple[Column, Column]:
    return F.count("*").alias("parsed"), F.count_if("other").alias("other_days")


def lines_seen(lines: Lines) -> dict[str, int]:
    """Lines parsed, and those of other nights among them, once an action on lines.frame has ended.

    Spark fills an observation from the plan that ran. Where it found out on the way that nothing was left, the
    observing part of the plan may be gone, and asking would wait for ever: then the lines are counted once more.
    """
    if lines.observation is None:
        return {"parsed": 0, "other_days": 0}
    until = time.monotonic() + _OBSERVATION_SECONDS
    while not lines.observation._jo.future().isCompleted():
        if time.monotonic() > until:
            return lines.whole.agg(*_seen()).head().asDict()
        time.sleep(0.05)
    return lines.observation.get


def map_lines(records: Records, source: Source, reading: Input, key: str, with_items: bool = False) -> DataFrame:
    """LINE_SCHEMA from raw columns by the mapping; nothing is judged.

    with_items: beside it the columns of an item, named item_<column>, from the mapping's item_columns.
    """
    mapped = _mapped(records.frame, source, reading, key, with_items)
    items = content_columns(mapped, reading, source, prefix="item_") if with_items else []
    item_names = [f"item_{name}" for name in ITEM_CONTENT] if with_items else []
    broken = F.when(_undecodable(mapped, reading), "broken_encoding").otherwise(F.col("__broken"))
    names = ("user_id", "item_id", "event_type", "event_id", "event_ts", "arrival_ts", *_TEXTS)
    texts = mapped.select(*OWN, "__refused", broken.alias("broken"), *[as_text(mapped, name) for name in names], *items)
    whole = [F.when(F.col("broken").isNull(), F.col(name)).alias(name) for name in (*names, *item_names)]
    happened, arrived = (as_timestamp(F.col(name), reading, source) for name in ("event_ts", "arrival_ts"))
    timed = texts.select(*OWN, "__refused", "broken", *whole).withColumns({"happened": happened, "arrived": arrived})
    if reading.dated:
        arrival_date = F.col("__day")
    else:
        arrival_date = local_date(F.col("arrived" if "arrival_ts" in reading.columns else "happened"), source)
    return timed.select(
        F.col("__file").alias("file"), F.col("__line").alias("line"), F.col("__raw").alias("raw"), "broken",
        F.col("__refused").alias("refused"), arrival_date.alias("arrival_date"), "user_id", "item_id", "event_type",
        F.col("happened").alias("event_ts"), F.col("event_id").alias("own_id"), *_TEXTS, *item_names,
    )  # fmt: skip


def _mapped(frame: DataFrame, source: Source, reading: Input, key: str, with_items: bool) -> DataFrame:
    """The mapping's expressions, each of its own type, and __refused: the first filter that does not hold."""
    groups = {"columns": ("", reading.columns), "filters": ("__filter_", reading.filters)}
    if with_items:
        groups["item_columns"] = ("item_", reading.item_columns)
    expressions: dict[str, str] = {}
    for group, (prefix, texts) in groups.items():
        if texts:  # analysed on its own first, so that a mistake is named by its own key
            select_mapped(frame, (), texts, source, f"{key}.{group}")
        expressions |= {prefix + name: text for name, text in texts.items()}
    found = select_mapped(frame, OWN, expressions, source, key)
    if reading.event_type is not None:
        found = found.withColumn("event_type", F.lit(reading.event_type))
    held = [_refused(found, rule, f"{source.file}: key '{key}.filters.{rule}'") for rule in reading.filters]
    return found.withColumn("__refused", F.coalesce(*held, F.lit(None).cast("string")))


def _refused(mapped: DataFrame, rule: str, where: str) -> Column:
    """The rule's name where its filter does not hold; a text that is no truth value does not, as null does not."""
    type = mapped.schema[f"__filter_{rule}"].dataType
    if not isinstance(type, BooleanType | StringType):
        raise ConfigError(f"{where}: must be true or false, and is {type.simpleString()}", "compare it with something")
    return F.when(~F.coalesce(F.col(f"__filter_{rule}").try_cast("boolean"), F.lit(False)), rule)


def _undecodable(mapped: DataFrame, reading: Input) -> Column:
    """Text files were looked at line by line; in Parquet and Delta a string may hold any bytes."""
    if reading.format in ("csv", "json"):
        return F.lit(False)
    strings = [field.name for field in mapped.schema if isinstance(field.dataType, StringType) and field.name[0] != "_"]
    return ~F.is_valid_utf8(F.concat_ws("", *strings)) if strings else F.lit(False)


def with_long_user(lines: DataFrame, limits: Limits) -> DataFrame:
    """Lines with `long_user`: the log's own user id is too long. Asked before pseudonyms take its place."""
    return lines.withColumn("long_user", F.coalesce(F.length("user_id") > limits.id_length, F.lit(False)))


def judge(lines: DataFrame, source: Source, limits: Limits) -> DataFrame:
    """Lines (with `long_user`) -> with `rule` (null: the line alone is fine) and the typed columns of an event."""
    numbers = {f"{name}_number": as_number(F.col(name)) for name in ("value", "latitude", "longitude")}
    offset = as_number(F.col("utc_offset_minutes"))
    weights = {name: weight for name, weight in source.weights.items() if name != "*"}
    table = F.create_map(*[F.lit(part) for pair in weights.items() for part in pair]) if weights else None
    weight = F.coalesce(
        F.try_element_at(table, F.col("event_type")) if table is not None else F.lit(None).cast("double"),
        F.lit(source.weights.get("*")).cast("double"),
    )
    typed = lines.withColumns(
        numbers | {"utc_offset": offset, "weight": weight, "event_date": local_date(F.col("event_ts"), source)}
    )
    checks = _checks(source, limits)
    rule = F.coalesce(
        F.col("broken"),
        *[F.when(F.coalesce(bad, F.lit(False)), name) for name, bad in checks.items()],
        F.col("refused"),
    )
    ruled = typed.withColumn("rule", rule).drop("value", "latitude", "longitude", "utc_offset_minutes", "long_user")
    named = ruled.withColumnsRenamed({name: name.removesuffix("_number") for name in numbers})
    return _flags(
        named.withColumn("utc_offset_minutes", F.col("utc_offset").try_cast("int")).drop("utc_offset"), source
    )


def _checks(source: Source, limits: Limits) -> dict[str, Column]:
    """Rule -> what makes a line break it (null: it does not), in the order of REASONS."""
    value, latitude, longitude = F.col("value_number"), F.col("latitude_number"), F.col("longitude_number")
    ids = [F.length(name) > limits.id_length for name in ("item_id", "place_id", "session_key", "event_type")]
    numbers = {name: f"{name}_number" for name in ("value", "latitude", "longitude")} | {
        "utc_offset_minutes": "utc_offset"
    }
    not_numbers = [F.col(text).isNotNull() & F.col(number).isNull() for text, number in numbers.items()]
    checks = {
        "missing_user": F.col("user_id").isNull(),
        "missing_item": F.col("item_id").isNull(),
        "long_id": reduce(Column.__or__, [F.coalesce(one, F.lit(False)) for one in ids], F.col("long_user")),
        "bad_time": F.col("event_ts").isNull() | F.col("arrival_date").isNull(),
        "future_time": F.col("event_date") > F.col("arrival_date"),
        "bad_type": reduce(Column.__or__, not_numbers),
        "bad_place": (latitude.isNull() != longitude.isNull())
        | F.coalesce(F.abs(latitude) > 90, F.lit(False))
        | F.coalesce(F.abs(longitude) > 180, F.lit(False))
        | F.coalesce(F.abs("utc_offset") > 18 * 60, F.lit(False)),
    }
    if source.value_range:
        checks["value_range"] = ~value.between(*source.value_range)
    return checks | {"unknown_type": F.col("event_type").isNull() | F.col("weight").isNull()}


def _flags(frame: DataFrame, source: Source) -> DataFrame:
    conditions = {"consumption": source.consumption, "positive": source.positive}
    flagged = select_mapped(frame, tuple(frame.columns), conditions, source, "")
    return flagged.withColumns({name: F.coalesce(F.col(name).try_cast("boolean"), F.lit(False)) for name in conditions})


def accept(
    lines: Lines, source: Source, limits: Limits, keys: privacy.Keys, known_events: DataFrame, known_rejected: DataFrame
) -> Accepted:
    """Sorts a night's lines into events, duplicates and refused lines, each line once.

    known_events: events with arrival_date <= lines.after (none for None): their repeats are duplicates.
    known_rejected: rows of events_rejected of earlier nights: a line whose arrival cannot be told is refused once.
    InputChangedError: the counts do not add up.
    """
    fresh = with_long_user(not_refused_before(lines.frame, known_rejected), limits)
    judged = judge(pseudonymise(fresh, keys.user), source, limits).withColumn("event_id", _event_id()).persist()
    fine = judged.where("rule is null")
    if not any("event_id" in one.columns for one in source.inputs):
        # ids made of the mapped columns hold the time: only the same day can hold the same event
        days = [row[0] for row in fine.select("event_date").distinct().collect()]
        known_events = known_events.where(F.col("event_date").isin(days))
    marked = _mark_repeats(fine, known_events, limits.events_per_user_day)
    done = marked.unionByName(judged.where("rule is not null")).persist()
    by_rule = {row[0]: row[1] for row in done.groupBy("rule").count().collect()}
    counts = _counts(lines, by_rule)
    judged.unpersist()
    refused = done.where(F.col("rule") != DUPLICATE)
    return Accepted(
        done.where("rule is null").select(*EVENTS.names), rejected_rows(refused, lines.run_date, keys.raw), counts, done
    )


def not_refused_before(lines: DataFrame, known_rejected: DataFrame) -> DataFrame:
    """Without the lines of unknown arrival that an earlier night has refused: every night sees them again.

    Columns file, line, arrival_date are looked at, so refused lines of item files fit too.
    """
    before = known_rejected.where("arrival_date is null").select("file", "line").alias("before")
    same = "line.arrival_date is null and line.file = before.file and line.line = before.line"
    return lines.alias("line").join(before, F.expr(same), "left_anti")


def pseudonymise(frame: DataFrame, key: bytes) -> DataFrame:
    """The frame with each user_id replaced by its pseudonym; the key travels in the closure, not in the plan."""

    def pseudonyms(ids: pa.Array) -> pa.Array:
        coded = ids.dictionary_encode()
        names = [privacy.pseudonym(key, plain) for plain in coded.dictionary.to_pylist()]
        return pa.array(names, pa.string()).take(coded.indices)

    return _map_column(frame, "user_id", "user_id", pseudonyms)


def _map_column(frame: DataFrame, name: str, new_name: str, function: Callable[[pa.Array], pa.Array]) -> DataFrame:
    """The frame with the string column `new_name` = function(column `name`) in the place of `name`."""
    index = frame.columns.index(name)
    names = [new_name if one == name else one for one in frame.columns]
    types = ["string" if one.name == name else one.dataType.simpleString() for one in frame.schema]

    def replace(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = batch.columns
            columns[index] = function(columns[index])
            yield pa.RecordBatch.from_arrays(columns, names=names)

    return map_batches(frame, replace, ", ".join(f"{one} {type}" for one, type in zip(names, types, strict=True)))


def _event_id() -> Column:
    """md5 of the log's own id, else of the mapped columns, each with its length before it so that none run together."""
    parts = []
    for name in _ID_COLUMNS:
        text = F.unix_micros(name).cast("string") if name == "event_ts" else F.col(name).cast("string")
        parts += [F.coalesce(F.length(text).cast("string"), F.lit("-")), F.coalesce(text, F.lit(""))]
    return F.md5(F.coalesce(F.concat(F.lit("id:"), F.col("own_id")), F.concat_ws(":", *parts)))


def _mark_repeats(fine: DataFrame, known_events: DataFrame, day_limit: int) -> DataFrame:
    """`rule` set on repeats (DUPLICATE) and on whole user-days above the limit."""
    order = Window.partitionBy("event_id").orderBy("arrival_date", "file", "line")
    known_ids = known_events.select("event_id", F.lit(True).alias("known"))
    user_day = ["user_id", "event_date"]
    known_counts = known_events.groupBy(*user_day).agg(F.count("*").alias("known_on_day"))
    repeat = (F.col("copy") > 1) | F.col("known").isNotNull()
    on_day = F.count_if(~repeat).over(Window.partitionBy(*user_day)) + F.coalesce("known_on_day", F.lit(0))
    return (
        fine.withColumn("copy", F.row_number().over(order))
        .join(known_ids, "event_id", "left")
        .join(known_counts, user_day, "left")
        .withColumn("on_day", on_day)
        .withColumn("rule", F.when(repeat, DUPLICATE).when(F.col("on_day") > day_limit, "user_day_limit"))
        .select(*fine.columns)
    )


def _counts(lines: Lines, by_rule: Mapping[str | None, int]) -> dict[str, int]:
    seen = lines_seen(lines)
    refused = {f"rejected {rule}": n for rule, n in sorted(by_rule.items(), key=str) if rule not in (None, DUPLICATE)}
    accepted, duplicates, rejected = by_rule.get(None, 0), by_rule.get(DUPLICATE, 0), sum(refused.values())
    refused_before = seen["parsed"] - seen["other_days"] - accepted - duplicates - rejected
    counts = {
        "read": lines.read,
        "accepted": accepted,
        "rejected": rejected,
        "duplicates": duplicates,
        "other_days": seen["other_days"] + refused_before,
    }
    if lines.read != seen["parsed"] or refused_before < 0:
        raise InputChangedError(
            f"events of {lines.run_date}: {lines.read} lines were read, {seen['parsed']} parsed, {counts} sorted",
            "the raw files changed while they were read: run the night again once they are whole",
        )
    return counts | refused


def check_refused(counts: Mapping[str, int], share: float, first: bool, run_date: date) -> None:
    """DataError where more than this share of a night's lines were refused, as counted by accept: lists of what little
    was left would be wrong without a word. Of fewer than _FEW lines only on the `first` night."""
    refused, lines = counts["rejected"], counts["rejected"] + counts["accepted"]
    if refused > share * lines and (first or lines >= _FEW):
        rules = {name.removeprefix("rejected "): n for name, n in counts.items() if name.startswith("rejected ")}
        rule = max(rules, key=rules.get)
        raise DataError(
            f"events of {run_date}: {refused:,} of {lines:,} lines were refused, {rules[rule]:,} of them by {rule} "
            f"({REASONS.get(rule, 'a filter of the mapping')})",
            f"look at them (interest-model rejected --run-date {run_date} --warehouse W), correct the mapping, and run "
            "the night again; where the lines are what they are, raise limits.refused_share",
        )


def rejected_rows(refused: DataFrame, run_date: date, key: bytes) -> DataFrame:
    """Rows of events_rejected from (file, line, rule, arrival_date, raw): the raw line as a Fernet token."""
    # of a line that several inputs, or item files, refuse: one row
    order = Window.partitionBy("file", "line").orderBy("rule")
    refused = refused.withColumn("nth", F.row_number().over(order)).where("nth = 1")
    reasons = F.create_map(*[F.lit(part) for pair in REASONS.items() for part in pair])
    reason = F.coalesce(F.try_element_at(reasons, F.col("rule")), F.lit("refused by the mapping's filter of that name"))
    rows = refused.select(
        F.lit(run_date).alias("run_date"), "file", "line", "rule", reason.alias("reason"), "arrival_date", "raw"
    )

    def tokens(raw: pa.Array) -> pa.Array:
        return pa.array([privacy.encrypt(key, line or b"") for line in raw.to_pylist()], pa.string())

    return _map_column(rows, "raw", "raw_encrypted", tokens).select(*EVENTS_REJECTED.names)
