import bz2
import gzip
import os
from datetime import date
from pathlib import Path

import pytest

from interest_model.errors import ConfigError, DataError
from interest_model.history import raw
from interest_model.history.mapping import lenient
from interest_model.history.raw import files_due, list_files, read_records
from interest_model.source import Reading

pytestmark = pytest.mark.spark
DAY = date(2026, 1, 2)


def read(spark, reading: Reading, folder: Path, after: date | None = None, run_date: date = DAY) -> list[dict]:
    """All lines of a reading as dicts, in order of file and line; the count of its own must agree."""
    with lenient(spark):
        groups = read_records(spark, reading, str(folder), after, run_date)
    rows = [row.asDict() for records in groups for row in records.frame.collect()]
    assert len(rows) == sum(records.read for records in groups)
    return sorted(rows, key=lambda row: (row["__file"], row["__line"]))


def values(rows: list[dict], *names: str) -> list[tuple]:
    return [tuple(row[name] for name in names) for row in rows]


def test_lines_of_a_csv_file_are_numbered_with_the_header_counted(spark, tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfu,i\r\n1,2\r\n3\n4,5,6\n\n\xff,7\n"8,\n"a""b","c,d"\n')
    rows = read(spark, Reading(files="a.csv"), tmp_path)
    assert values(rows, "__line", "__broken", "u", "i") == [
        (2, None, "1", "2"),
        (3, "wrong_columns", None, None),
        (4, "wrong_columns", None, None),
        (5, "wrong_columns", None, None),
        (6, "broken_encoding", None, None),
        (7, "wrong_columns", None, None),
        (8, None, 'a"b', "c,d"),
    ]
    assert bytes(rows[4]["__raw"]) == b"\xff,7"


def test_a_header_in_the_middle_is_a_line_like_any_other(spark, tmp_path):
    (tmp_path / "a.csv").write_text("u,i\nu,i\n1,2\n", encoding="utf-8")
    assert values(read(spark, Reading(files="a.csv"), tmp_path), "__line", "u") == [(2, "u"), (3, "1")]


def test_more_columns_than_the_parser_takes_cost_one_line(spark, tmp_path):
    (tmp_path / "a.csv").write_text("u,i\n" + "," * 30_000 + "\n1,2\n", encoding="utf-8")
    assert values(read(spark, Reading(files="a.csv"), tmp_path), "__line", "__broken") == [
        (2, "wrong_columns"),
        (3, None),
    ]


def test_line_numbers_hold_where_a_file_is_split_between_tasks(spark, tmp_path):
    (tmp_path / "a.csv").write_text("n\n" + "".join(f"{i}\n" for i in range(2, 20_002)), encoding="utf-8")
    (tmp_path / "b.csv").write_text("n\n2\n3\n", encoding="utf-8")
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "10000")
    try:
        rows = read(spark, Reading(files="*.csv"), tmp_path)
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)
    assert len(rows) == 20_002
    assert all(int(row["n"]) == row["__line"] for row in rows)


def test_separators_of_several_characters_quotes_off_names_given(spark, tmp_path):
    (tmp_path / "a.dat").write_text('1::"Sleep::Action\n', encoding="utf-8")
    reading = Reading(files="a.dat", sep="::", header=False, names=("id", "title", "genre"), quote="", escape="")
    assert values(read(spark, reading, tmp_path), "__line", "id", "title", "genre") == [(1, "1", '"Sleep', "Action")]


@pytest.mark.parametrize(
    ("name", "pack"), [("a.csv.gz", gzip.compress), ("a.csv.bz2", bz2.compress)], ids=["gz", "bz2"]
)
def test_compressed_files(spark, tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack("u,i\n1,é\n".encode()))
    assert values(read(spark, Reading(files="a.csv*"), tmp_path), "u", "i") == [("1", "é")]


@pytest.mark.parametrize("encoding", ["windows-1252", "ISO-8859-1", "UTF-16LE", "Shift_JIS"])
def test_encodings(spark, tmp_path, encoding):
    word = "日本" if encoding == "Shift_JIS" else "Zoë"
    (tmp_path / "a.csv").write_bytes(f"u,i\n1,{word}\n".encode(encoding))
    assert values(read(spark, Reading(files="a.csv", encoding=encoding), tmp_path), "__broken", "i") == [(None, word)]


def test_bytes_that_do_not_decode_in_another_encoding(spark, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"u,i\n1,\x81\xff\n")
    assert values(read(spark, Reading(files="a.csv", encoding="Shift_JIS"), tmp_path), "__broken") == [
        ("broken_encoding",)
    ]


def test_json_lines(spark, tmp_path):
    lines = ['{"u": "a", "n": 1.5, "o": {"x": [1]}}', '{"u": ', "[1, 2", "", '{"u": "b", "more": 1}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = read(spark, Reading(files="a.jsonl", format="json", names=("u", "n", "o")), tmp_path)
    assert values(rows, "__line", "__broken", "u", "n", "o") == [
        (1, None, "a", "1.5", '{"x":[1]}'),
        (2, "wrong_columns", None, None, None),
        (3, "wrong_columns", None, None, None),
        (4, "wrong_columns", None, None, None),
        (5, None, "b", None, None),
    ]


def test_quoted_line_breaks(spark, tmp_path):
    (tmp_path / "a.csv").write_text('u,i\n1,"two\nlines"\n2\n3,x\n', encoding="utf-8")
    rows = read(spark, Reading(files="a.csv", multiline=True), tmp_path)
    assert values(rows, "__line", "__broken", "u", "i") == [
        (2, None, "1", "two\nlines"),
        (3, "wrong_columns", None, None),
        (4, None, "3", "x"),
    ]


@pytest.mark.parametrize("format", ["parquet", "delta"])
def test_parquet_and_delta(spark, tmp_path, format):
    frame = spark.sql("select * from values ('a', 1.5D, timestamp'2026-01-02 03:04:05') as t(u, v, at)")
    frame.coalesce(1).write.format(format).save(str(tmp_path / "log"))
    rows = read(spark, Reading(files="log", format=format), tmp_path)
    assert values(rows, "__line", "u", "v") == [(1, "a", 1.5)]
    assert rows[0]["__file"].startswith("log/part-") and b'"u":"a"' in bytes(rows[0]["__raw"])


def test_only_files_of_the_nights_days_are_taken(spark, tmp_path):
    for day in (1, 2, 3):
        (tmp_path / f"2026-01-0{day}.csv").write_text(f"u\n{day}\n", encoding="utf-8")
    (tmp_path / "2026-13-01.csv").write_text("u\n9\n", encoding="utf-8")
    reading = Reading(files="{date}.csv")
    assert values(read(spark, reading, tmp_path, date(2026, 1, 1)), "u", "__day") == [("2", DAY)]
    assert values(read(spark, reading, tmp_path), "u") == [("1",), ("2",)]
    assert read(spark, reading, tmp_path, date(2026, 1, 3), date(2026, 1, 4)) == []


def test_files_with_headers_of_their_own(spark, tmp_path):
    (tmp_path / "a.csv").write_text("u,i\n1,2\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("i,u\n2,1\n", encoding="utf-8")
    assert values(read(spark, Reading(files="*.csv"), tmp_path), "__file", "u", "i") == [
        ("a.csv", "1", "2"),
        ("b.csv", "1", "2"),
    ]


def test_names_of_folders_and_files_with_odd_characters(spark, tmp_path):
    folder = tmp_path / "a b[1]{x}"
    folder.mkdir()
    (folder / "c d%20é.csv").write_text("u\n1\n", encoding="utf-8")
    (folder / "_hidden.csv").write_text("u\n2\n", encoding="utf-8")
    (folder / "empty.csv").write_text("", encoding="utf-8")
    assert values(read(spark, Reading(files="*.csv"), folder), "__file", "u") == [("c d%20é.csv", "1")]


def test_a_missing_folder_and_a_folder_without_a_fitting_file_are_errors(spark, tmp_path):
    with pytest.raises(DataError, match="is not there"):
        list_files(spark, Reading(files="a.csv"), str(tmp_path / "nowhere"), None, DAY)
    with pytest.raises(DataError, match="fits '{date}.csv'"):
        list_files(spark, Reading(files="{date}.csv"), str(tmp_path), None, DAY)
    (tmp_path / "2026-13-45.csv").write_text("u\n1\n")
    with pytest.raises(DataError, match="none has a day in its name: 2026-13-45.csv"):
        list_files(spark, Reading(files="{date}.csv"), str(tmp_path), None, DAY)


def test_a_fault_of_a_machine_is_no_word_on_the_files(spark, tmp_path, monkeypatch):
    def lost(*given):
        raise RuntimeError("Job aborted due to stage failure: ExecutorLostFailure (executor 3 exited)")

    (tmp_path / "a.csv").write_text("u\n1\n")
    monkeypatch.setattr(raw, "_line_records", lost)
    with pytest.raises(RuntimeError, match="ExecutorLostFailure"):  # code 1: tried again
        read(spark, Reading(files="a.csv"), tmp_path)


def test_a_table_that_was_appended_to_has_changed(spark, tmp_path):
    (tmp_path / "log" / "_delta_log").mkdir(parents=True)
    reading = Reading(files="log", format="delta")
    (before,) = files_due(spark, reading, str(tmp_path), None, DAY)
    (tmp_path / "log" / "_delta_log" / "1.json").touch()
    os.utime(tmp_path / "log" / "_delta_log" / "1.json", (before.changed / 1000 + 60,) * 2)
    (after,) = files_due(spark, reading, str(tmp_path), None, DAY)
    assert after.changed == pytest.approx(before.changed + 60_000, abs=1_000)


def test_a_damaged_archive_is_an_error_that_says_so(spark, tmp_path):
    for name in ("a.csv.gz", "b.csv.gz", "c.csv.gz"):
        whole = gzip.compress(b"u\n" + b"1\n" * 5000)
        (tmp_path / name).write_bytes(whole[:30] if name == "b.csv.gz" else whole)
    with pytest.raises(DataError, match=r"b\.csv\.gz, of files '\*\.csv\.gz' under .* cannot be read"):
        read(spark, Reading(files="*.csv.gz"), tmp_path)


def test_what_others_still_write_into_hidden_folders_is_no_part_of_the_log(spark, tmp_path):
    for name in ("part-0.csv", "_temporary/0/attempt_1/part-1.csv", ".spark-staging-7/part-2.csv", "more/part-3.csv"):
        (tmp_path / "_log" / str(DAY) / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "_log" / str(DAY) / name).write_text("u\n1\n")
    found = list_files(spark, Reading(files="_log/{date}"), str(tmp_path), None, DAY)  # named so by the mapping itself
    assert [one.name for one in found] == [f"_log/{DAY}/more/part-3.csv", f"_log/{DAY}/part-0.csv"]


def test_a_header_that_does_not_decode_and_an_unknown_encoding_are_named(spark, tmp_path):
    (tmp_path / "a.csv").write_bytes("größe,i\n1,2\n".encode("windows-1252"))
    with pytest.raises(DataError, match=r"a.csv: line 1 .* does not decode as UTF-8(?s:.*)'encoding'"):
        read(spark, Reading(files="a.csv"), tmp_path)
    assert values(read(spark, Reading(files="a.csv", encoding="windows-1252"), tmp_path), "größe") == [("1",)]
    with pytest.raises(ConfigError, match="Java knows no encoding 'utf8x'"):
        read(spark, Reading(files="a.csv", encoding="utf8x"), tmp_path)
