"""Tables keep their contracts, days are replaced whole, and nothing wrong gets in."""

from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import functions as F

from interest_model.errors import ClaimError, ContractError, MissingTableError, SetupError
from interest_model.storage import Storage, check_file_system, compare_frames, fit_contract, schema_of
from interest_model.tables import BY_NAME, ITEMS

pytestmark = pytest.mark.spark
DAY, NEXT = date(2026, 1, 5), date(2026, 1, 6)
NAME = "fallback_recommendations"


@pytest.fixture
def storage(spark, tmp_path):
    return Storage(spark, str(tmp_path / "warehouse"), {"code": "test"})


def ranks(spark, day, n, segment="all"):
    return spark.sql(
        f"select date'{day}' run_date, '{segment}' segment, cast(id + 1 as int) rank, string(id) item_id, "
        f"1.0d / (id + 1) score, 'popular' reason, 'm1' model_version from range({n})"
    )


def test_a_day_is_replaced_whole_and_other_days_stay(spark, storage):
    storage.replace_days(NAME, ranks(spark, DAY, 5), [DAY])
    storage.replace_days(NAME, ranks(spark, NEXT, 4), [NEXT])
    assert storage.replace_days(NAME, ranks(spark, DAY, 2), [DAY]) == 2
    counts = {row["run_date"]: row["count"] for row in storage.read(NAME).groupBy("run_date").count().collect()}
    assert counts == {DAY: 2, NEXT: 4}


def test_an_empty_day_empties_the_day(spark, storage):
    storage.replace_days(NAME, ranks(spark, DAY, 5), [DAY])
    assert storage.replace_days(NAME, ranks(spark, DAY, 0), [DAY]) == 0
    assert storage.read(NAME).count() == 0
    with pytest.raises(MissingTableError, match=f"no rows for run_date {DAY}"):
        storage.read_day(NAME, DAY)


def test_one_job_reads_one_version_even_where_another_writes_meanwhile(spark, storage):
    storage.replace_days(NAME, ranks(spark, DAY, 5), [DAY])
    reader = Storage(spark, storage.root)
    assert reader.read(NAME).count() == 5
    storage.replace_days(NAME, ranks(spark, NEXT, 4), [NEXT])
    assert reader.read(NAME).count() == 5
    assert Storage(spark, storage.root).read(NAME).count() == 9


def test_the_rows_written_are_counted_by_the_own_commit_though_another_process_wrote_after_it(
    spark, storage, monkeypatch
):
    storage.replace_days(NAME, ranks(spark, DAY, 5), [DAY])
    count = Storage._rows_of

    def meanwhile(self, name, before, token):
        if self is storage:
            Storage(spark, storage.root).replace_days(NAME, ranks(spark, NEXT, 4), [NEXT])
        return count(self, name, before, token)

    monkeypatch.setattr(Storage, "_rows_of", meanwhile)
    assert storage.replace_days(NAME, ranks(spark, DAY, 2), [DAY]) == 2
    assert storage.read(NAME).count() == 6


def test_rows_that_expand_are_the_same_rows_and_checked_as_well(spark, storage):
    few, where = ranks(spark, DAY, 5).unionByName(ranks(spark, NEXT, 4)), f"run_date >= DATE'{DAY}'"

    def expand(frame):
        return frame.withColumn("reason", F.concat("reason", F.lit("!")))

    assert storage.replace(NAME, few, where, expand) == 9
    rows = storage.read(NAME).orderBy("run_date", "rank").collect()
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 1, 2, 3, 4] and {row["reason"] for row in rows} == {
        "popular!"
    }
    with pytest.raises(ContractError, match="null reason"):
        storage.replace(NAME, few, where, lambda frame: frame.withColumn("reason", F.lit(None).cast("string")))
    assert storage.read(NAME).count() == 9


def test_a_path_of_this_machine_is_refused_where_spark_would_look_elsewhere(spark):
    hadoop = spark._jsc.hadoopConfiguration()
    check_file_system(spark, "/data/w", "--warehouse")
    hadoop.set("fs.defaultFS", "hdfs://name:8020")
    try:
        check_file_system(spark, "hdfs://name:8020/data/w", "--warehouse")
        with pytest.raises(
            SetupError, match=r"--warehouse /data/w(?s:.*)name the place whole, as hdfs://name:8020/data/w"
        ):
            check_file_system(spark, "/data/w", "--warehouse")
    finally:
        hadoop.unset("fs.defaultFS")


def test_history_that_another_run_has_changed_since_is_not_overwritten(spark, storage):
    def items(name):
        return spark.createDataFrame([(name, DAY, "a.csv", *[None] * (len(ITEMS.names) - 3))], schema_of(ITEMS))

    storage.replace_days("items", items("first"), [DAY])
    slow, quick = Storage(spark, storage.root), Storage(spark, storage.root)
    slow.read("items")
    quick.replace_days("items", items("late line of another night"), [DAY])
    with pytest.raises(ClaimError, match="table items: another run wrote version"):
        slow.replace_days("items", items("of what it read before"), [DAY])
    assert [row["item_id"] for row in Storage(spark, storage.root).read("items").collect()] == [
        "late line of another night"
    ]
    # issued tables: a run replaces rows of its own run_date only, whatever others wrote meanwhile
    storage.replace_days(NAME, ranks(spark, DAY, 5), [DAY])
    slow.read(NAME)
    storage.replace_days(NAME, ranks(spark, NEXT, 4), [NEXT])
    assert slow.replace_days(NAME, ranks(spark, DAY, 3), [DAY]) == 3


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda frame: frame.drop("score"), "missing columns \\['score'\\]"),
        (lambda frame: frame.withColumn("more", frame["rank"]), "extra columns \\['more'\\]"),
        (lambda frame: frame.withColumn("rank", frame["rank"].cast("long")), "rank is bigint, not int"),
        (lambda frame: frame.union(frame), "appears 2 times"),
        (lambda frame: frame.withColumn("rank", frame["rank"] - 1), "against 'rank >= 1'\": 1"),
        (lambda frame: frame.replace("0", None, subset=["item_id"]), "null item_id': 1"),
        (lambda frame: frame.withColumn("run_date", frame["run_date"] + 1), "outside run_date in"),
    ],
)
def test_what_breaks_the_contract_is_refused_and_nothing_is_written(spark, storage, change, message):
    storage.replace_days(NAME, ranks(spark, DAY, 5), [DAY])
    before = storage.version(NAME)
    with pytest.raises(ContractError, match=message):
        storage.replace_days(NAME, change(ranks(spark, DAY, 3)), [DAY])
    assert Storage(spark, storage.root).version(NAME) == before


def test_columns_come_in_contract_order_whatever_order_the_frame_has(spark):
    frame = ranks(spark, DAY, 1)
    shuffled = frame.select(*reversed(frame.columns))
    assert tuple(fit_contract(BY_NAME[NAME], shuffled).columns) == BY_NAME[NAME].names


def test_a_table_that_lacks_columns_of_today_is_named_with_what_adds_them(spark, storage):
    older = ranks(spark, DAY, 2).drop("reason", "segment")
    older.write.format("delta").partitionBy("run_date").save(storage.path(NAME))
    with pytest.raises(ContractError, match="has no segment string, reason string(?s:.*)alter table") as told:
        storage.replace_days(NAME, ranks(spark, NEXT, 4), [NEXT])
    command = str(told.value).rsplit('"', 2)[1].replace("\\`", "`")
    spark.sql(command)
    assert storage.replace_days(NAME, ranks(spark, NEXT, 4), [NEXT]) == 4
    assert storage.read(NAME).where("segment = 'all'").count() == 4


def test_insert_missing_adds_new_keys_once_and_never_changes_old_rows(spark, storage):
    old = spark.sql("select 'a' text_hash, 'e' encoder, string(null) error, array(float(1)) embedding")
    more = spark.sql(
        "select t text_hash, 'e' encoder, string(null) error, array(float(2)) embedding from values 'a', 'b' as v(t)"
    )
    assert storage.insert_missing("text_embeddings", old) == 1
    assert storage.insert_missing("text_embeddings", more) == 1
    assert storage.insert_missing("text_embeddings", more) == 0
    kept = {row["text_hash"]: row["embedding"] for row in storage.read("text_embeddings").collect()}
    assert kept == {"a": [1.0], "b": [2.0]}


def test_the_log_of_a_table_names_no_user(spark, storage, tmp_path):
    lists = spark.sql(
        f"select date'{DAY}' run_date, 'secretpseudonym' user_id, 1 rank, 'i' item_id, 1.0d score, 'o' origin, "
        "'r' reason, array('i') because_item_ids, 'm' model_version"
    )
    storage.replace_days("daily_recommendations", lists, [DAY])
    logs = list((tmp_path / "warehouse" / "daily_recommendations" / "_delta_log").glob("*"))
    assert logs and all(b"secretpseudonym" not in one.read_bytes() for one in logs if one.is_file())


def test_compare_finds_each_kind_of_difference_and_forgives_rounding(spark):
    table = BY_NAME[NAME]
    left = ranks(spark, DAY, 4)
    close = left.withColumn("score", left["score"] * 1.000001)
    assert compare_frames(table, left, close).count() == 0
    other = ranks(spark, DAY, 5).where("rank != 1").selectExpr(
        "run_date", "segment", "rank", "if(rank = 2, 'x', item_id) item_id", "if(rank = 3, score * 1.01, score) score",
        "reason", "model_version",
    )  # fmt: skip
    found = {row["rank"]: (row["side"], row["differs"]) for row in compare_frames(table, left, other).collect()}
    assert found == {
        1: ("left only", []),
        2: ("both", ["item_id"]),
        3: ("both", ["score"]),
        5: ("right only", []),
    }


def test_compare_forgives_rounding_in_maps_and_nothing_else(spark):
    table = replace(BY_NAME["interest_trends"], columns=tuple(
        one for one in BY_NAME["interest_trends"].columns
        if one.name in ("run_date", "topic_id", "expected_shares", "q10_shares", "q90_shares")
    ))  # fmt: skip
    left = spark.sql(
        f"select date'{DAY}' run_date, 't' topic_id, map(7, 0.5d, 28, 0.25d) expected_shares, "
        "cast(map() as map<int,double>) q10_shares, cast(null as map<int,double>) q90_shares"
    )
    for shares, count in (
        ("map(28, 0.2500001d, 7, 0.5d)", 0), ("map(7, 0.5d, 28, 0.251d)", 1), ("map(7, 0.5d)", 1), ("map()", 1),
    ):  # fmt: skip
        right = left.withColumn("expected_shares", F.expr(f"cast({shares} as map<int,double>)"))
        assert compare_frames(table, left, right).count() == count, shares


def test_what_is_read_within_is_noted_apart_and_added_after():
    storage = Storage.__new__(Storage)
    storage.versions_read, storage.versions_written = {"events": 3}, {}
    with storage.noting() as (read, written):
        storage.versions_read.setdefault("items", 1)
        with storage.noting() as (inner, _):
            storage.versions_read["topics"] = 5
        storage.note_read({"events": 4, "items": 2})
        storage.versions_written["windows"] = 7
    assert inner == {"topics": 5}
    assert (read, written) == ({"items": 1, "topics": 5, "events": 4}, {"windows": 7})
    assert storage.versions_read == {"events": 3, "items": 1, "topics": 5}
    assert storage.versions_written == {"windows": 7}
