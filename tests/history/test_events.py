import tarfile
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from interest_model.config import Limits
from interest_model.errors import ConfigError, DataError
from interest_model.history.events import accept, check_refused, lines_seen, read_lines, rejected_rows
from interest_model.privacy import Keys, decrypt, pseudonym
from interest_model.source import Input, load_source
from interest_model.tables import EVENTS, EVENTS_REJECTED
from tests.history.broken_lines import broken_lines, mix

KEYS = Keys(b"k" * 32, Fernet.generate_key())
LIMITS = Limits(id_length=10, events_per_user_day=5, refused_share=1.0)
WIDE = Limits(id_length=128, events_per_user_day=10**6, refused_share=1.0)
HEADER = "user,item,type,at,value,lat,lon\n"
COLUMNS = {
    "user_id": "user", "item_id": "upper(item)", "event_type": "type", "event_ts": "at", "value": "value",
    "latitude": "lat", "longitude": "lon",
}  # fmt: skip
FIRST, SECOND, THIRD = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)


def frame(spark, table, rows=()):
    return spark.createDataFrame(list(rows), ", ".join(f"{one.name} {one.type}" for one in table.columns))


def mapping(folder: Path, **changes):
    """A mapping over {date}.csv with HEADER's columns; `changes` go to its only input, where it has such a key."""
    keys = Input.__dataclass_fields__
    reading = {"files": "{date}.csv", "columns": dict(COLUMNS)} | {k: v for k, v in changes.items() if k in keys}
    content = {
        "name": "tiny", "inputs": [reading], "weights": {"view": 0.5, "buy": 1.0}, "value_range": [0, 10],
        "consumption": "event_type = 'buy'", "positive": "value > 3",
    } | {k: v for k, v in changes.items() if k not in keys}  # fmt: skip
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_source(path)


def night(spark, source, folder, after, run_date, known=(), refused=(), limits=LIMITS):
    lines = read_lines(spark, source, str(folder), after, run_date)
    taken = accept(lines, source, limits, KEYS, frame(spark, EVENTS, known), frame(spark, EVENTS_REJECTED, refused))
    events = sorted(taken.events.collect(), key=lambda row: (row.event_ts, row.item_id))
    rejected = sorted(taken.rejected.collect(), key=lambda row: (row.file, row.line))
    assert tuple(taken.events.columns) == EVENTS.names and tuple(taken.rejected.columns) == EVENTS_REJECTED.names
    taken.release()
    counts = taken.counts
    assert counts["read"] == sum(counts[name] for name in ("accepted", "rejected", "duplicates", "other_days"))
    assert counts["rejected"] == len(rejected) and counts["accepted"] == len(events)
    return events, rejected, counts


def test_a_night_of_refused_lines_ends_and_names_the_rule_and_how_to_see_them():
    def counts(accepted, **refused):
        rules = {f"rejected {rule}": n for rule, n in refused.items()}
        return {"accepted": accepted, "rejected": sum(refused.values())} | rules

    with pytest.raises(
        DataError, match=r"50 of 50 lines were refused, 40 of them by bad_time(?s:.*)rejected --run-date"
    ):
        check_refused(counts(0, bad_time=40, missing_user=10), 0.9, True, FIRST)
    with pytest.raises(DataError, match=r"91 of 100 lines .* by cheap \(a filter of the mapping\)"):
        check_refused(counts(9, cheap=91), 0.9, False, SECOND)
    check_refused(counts(10, cheap=90), 0.9, False, SECOND)  # no more than the share
    check_refused(counts(0, cheap=99), 0.9, False, SECOND)  # a quiet day
    check_refused(counts(0, cheap=500), 1.0, True, FIRST)  # switched off
    check_refused(counts(0), 0.0, True, FIRST)  # no line at all


@pytest.mark.spark
def test_a_filter_is_true_or_false_and_what_is_neither_costs_its_line(spark, tmp_path):
    lines = [f"{user},i1,{flag},2026-01-01 10:00:00,4,,\n" for user, flag in (("a", "true"), ("b", "maybe"))]
    (tmp_path / "2026-01-01.csv").write_text(HEADER + "".join(lines))
    source = mapping(tmp_path, columns=COLUMNS | {"event_type": "'buy'"}, filters={"human": "type"})
    events, rejected, _ = night(spark, source, tmp_path, None, FIRST)
    assert [row.user_id for row in events] == [pseudonym(KEYS.user, "a")]
    assert [row.rule for row in rejected] == ["human"]
    with pytest.raises(ConfigError, match=r"inputs\[0\].filters.human': must be true or false, and is date"):
        night(spark, mapping(tmp_path, filters={"human": "to_date(at)"}), tmp_path, None, FIRST)


@pytest.mark.spark
@pytest.mark.parametrize("pattern", ["YYYY-MM-DD HH:mm:ss", "%Y-%m-%d"])
def test_a_time_format_that_spark_cannot_use_is_named(spark, tmp_path, pattern):
    (tmp_path / "2026-01-01.csv").write_text(HEADER + "a,i1,buy,2026-01-01 10:00:00,4,,\n")
    with pytest.raises(ConfigError, match=r"tiny.yaml: key 'inputs\[0\].time_formats': .* cannot be used(?s:.*)yyyy"):
        night(spark, mapping(tmp_path, time_formats=["iso", pattern]), tmp_path, None, FIRST)


@pytest.mark.spark
def test_of_a_line_that_two_inputs_refuse_there_is_one_row(spark):
    lines = [("a.csv", 7, rule, FIRST, b"line") for rule in ("missing_user", "bad_time")] + [
        ("a.csv", 8, "bad_time", FIRST, b"")
    ]
    refused = spark.createDataFrame(lines, "file string, line long, rule string, arrival_date date, raw binary")
    rows = rejected_rows(refused, FIRST, KEYS.raw).collect()
    assert sorted((row.line, row.rule) for row in rows) == [(7, "bad_time"), (8, "bad_time")]


@pytest.mark.spark
def test_an_event_by_hand(spark, tmp_path):
    (tmp_path / "2026-01-01.csv").write_text(HEADER + " ann ,i1,buy,2026-01-01 23:30:00,4,10,-20\n", encoding="utf-8")
    events, rejected, _ = night(spark, mapping(tmp_path, zone="America/New_York"), tmp_path, None, FIRST)
    assert rejected == []
    event = events[0].asDict()
    assert len(event.pop("event_id")) == 32
    assert event == {
        "user_id": pseudonym(KEYS.user, "ann"), "item_id": "I1", "event_type": "buy",
        "event_ts": datetime(2026, 1, 2, 4, 30), "event_date": FIRST, "arrival_date": FIRST, "weight": 1.0,
        "consumption": True, "positive": True, "value": 4.0, "latitude": 10.0, "longitude": -20.0, "place_id": None,
        "utc_offset_minutes": None, "session_key": None, "text": None, "file": "2026-01-01.csv", "line": 2,
    }  # fmt: skip


BAD = [
    (b"\xffann,i1,buy,2026-01-01 10:00:00,4,,", "broken_encoding"),
    (b"ann,i1,buy", "wrong_columns"),
    (b" ,i1,buy,2026-01-01 10:00:00,4,,", "missing_user"),
    (b"ann,,buy,2026-01-01 10:00:00,4,,", "missing_item"),
    (b"ann456789ab,i1,buy,2026-01-01 10:00:00,4,,", "long_id"),
    (b"ann,i123456789ab,buy,2026-01-01 10:00:00,4,,", "long_id"),
    (b"ann,i1,buy,2026-02-30 10:00:00,4,,", "bad_time"),
    (b"ann,i1,buy,1969-12-31 23:59:59,4,,", "bad_time"),
    (b"ann,i1,buy,99999-01-01 10:00:00,4,,", "bad_time"),
    (b"ann,i1,buy,10:00:00,4,,", "bad_time"),
    (b"ann,i1,buy,2026-01-02 00:00:00,4,,", "future_time"),
    (b"ann,i1,buy,2026-01-01 10:00:00,NaN,,", "bad_type"),
    (b"ann,i1,buy,2026-01-01 10:00:00,1e999,,", "bad_type"),
    (b"ann,i1,buy,2026-01-01 10:00:00,4,north,5", "bad_type"),
    (b"ann,i1,buy,2026-01-01 10:00:00,4,90.1,5", "bad_place"),
    (b"ann,i1,buy,2026-01-01 10:00:00,4,5,-180.1", "bad_place"),
    (b"ann,i1,buy,2026-01-01 10:00:00,4,5,", "bad_place"),
    (b"ann,i1,buy,2026-01-01 10:00:00,10.5,,", "value_range"),
    (b"ann,i1,sell,2026-01-01 10:00:00,4,,", "unknown_type"),
    (b"ann,i1,,2026-01-01 10:00:00,4,,", "unknown_type"),
    (b"ann,test,buy,2026-01-01 10:00:00,4,,", "not_a_test"),
]
FINE = b"ann,i1,buy,2026-01-01 10:00:00,0,90,-180"


@pytest.mark.spark
def test_each_rule_refuses_its_line_and_keeps_it_encrypted(spark, tmp_path):
    lines = [HEADER.strip().encode(), *[line for line, _ in BAD], FINE]
    (tmp_path / "2026-01-01.csv").write_bytes(b"\n".join(lines))
    source = mapping(tmp_path, filters={"not_a_test": "item <> 'test'"})
    events, rejected, counts = night(spark, source, tmp_path, None, FIRST)
    assert [(row.line, row.rule) for row in rejected] == [(i + 2, rule) for i, (_, rule) in enumerate(BAD)]
    assert [decrypt(KEYS.raw, row.raw_encrypted) for row in rejected] == [line for line, _ in BAD]
    assert all(row.reason and "ann" not in row.reason and row.run_date == FIRST for row in rejected)
    assert len(events) == 1 and counts["rejected bad_time"] == 4


@pytest.mark.spark
def test_the_first_line_of_a_repeat_is_kept_and_known_events_are_repeats(spark, tmp_path):
    line = "ann,i1,buy,2026-01-01 10:00:00,4,,\n"
    (tmp_path / "2026-01-01.csv").write_text(HEADER + line * 2, encoding="utf-8")
    (tmp_path / "2026-01-02.csv").write_text(HEADER + line + line.replace("i1", "i2"), encoding="utf-8")
    source = mapping(tmp_path)
    events, _, counts = night(spark, source, tmp_path, None, FIRST)
    assert (len(events), counts["duplicates"]) == (1, 1)
    later, _, counts = night(spark, source, tmp_path, FIRST, SECOND, known=events)
    assert ([row.item_id for row in later], counts["duplicates"]) == (["I2"], 1)
    both, _, counts = night(spark, source, tmp_path, None, SECOND)
    assert [row.arrival_date for row in both] == [FIRST, SECOND] and counts["duplicates"] == 2


@pytest.mark.spark
def test_the_logs_own_event_id_decides_what_is_a_repeat(spark, tmp_path):
    text = HEADER + "ann,i1,buy,2026-01-01 10:00:00,4,,\nann,i1,buy,2026-01-01 10:00:00,5,,\n"
    (tmp_path / "2026-01-01.csv").write_text(text, encoding="utf-8")
    _, _, counts = night(spark, mapping(tmp_path, columns=COLUMNS | {"event_id": "item"}), tmp_path, None, FIRST)
    assert (counts["accepted"], counts["duplicates"]) == (1, 1)


@pytest.mark.spark
def test_a_users_day_above_the_limit_is_refused_whole_with_what_is_known(spark, tmp_path):
    rows = [f"bob,i{i},view,2026-01-01 10:00:{i:02d},1,,\n" for i in range(5)]
    (tmp_path / "2026-01-01.csv").write_text(HEADER + "".join(rows) + rows[0], encoding="utf-8")
    more = "bob,i9,view,2026-01-01 11:00:00,1,,\nbob,i9,view,2026-01-02 11:00:00,1,,\n"
    (tmp_path / "2026-01-02.csv").write_text(HEADER + more, encoding="utf-8")
    source = mapping(tmp_path)
    five, rejected, _ = night(spark, source, tmp_path, None, FIRST)
    assert len(five) == 5 and rejected == []
    later, rejected, _ = night(spark, source, tmp_path, FIRST, SECOND, known=five)
    assert [row.event_date for row in later] == [SECOND]
    assert [(row.line, row.rule) for row in rejected] == [(2, "user_day_limit")]
    together, rejected, counts = night(spark, source, tmp_path, None, SECOND)
    assert len(together) == 1 and len(rejected) == 6 and counts["duplicates"] == 1


@pytest.mark.spark
def test_one_file_with_an_arrival_column(spark, tmp_path):
    text = (
        "user,item,type,at,came\na,i1,buy,2026-01-01 10:00:00,2026-01-01 11:00:00\n"
        "a,i2,buy,2026-01-01 12:00:00,2026-01-03 01:00:00\na,i3,buy,2026-01-01 13:00:00,soon\n"
        "a,i4,buy,2026-01-03 13:00:00,2026-01-02 01:00:00\n"
    )
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    columns = {"user_id": "user", "item_id": "item", "event_type": "type", "event_ts": "at", "arrival_ts": "came"}
    source = mapping(tmp_path, files="log.csv", columns=columns)
    events, refused, counts = night(spark, source, tmp_path, None, FIRST)
    assert ([row.item_id for row in events], counts["other_days"]) == (["i1"], 2)
    assert [(row.line, row.rule, row.arrival_date) for row in refused] == [(4, "bad_time", None)]
    events, again, counts = night(spark, source, tmp_path, FIRST, SECOND, refused=refused)
    assert events == [] and [(row.line, row.rule) for row in again] == [(5, "future_time")]
    assert counts["other_days"] == 3
    events, again, _ = night(spark, source, tmp_path, SECOND, THIRD, refused=refused + again)
    assert [(row.item_id, row.event_date, row.arrival_date) for row in events] == [("i2", FIRST, THIRD)] and again == []


@pytest.mark.spark
def test_a_day_without_a_file_is_a_night_without_events(spark, tmp_path):
    (tmp_path / "2026-01-01.csv").write_text(HEADER + FINE.decode(), encoding="utf-8")
    events, rejected, counts = night(spark, mapping(tmp_path), tmp_path, FIRST, SECOND)
    assert (events, rejected, counts["read"]) == ([], [], 0)


@pytest.mark.spark
def test_files_without_lines_are_nights_without_events(spark, tmp_path):
    (tmp_path / "2026-01-01.csv").write_text(HEADER, encoding="utf-8")
    assert night(spark, mapping(tmp_path), tmp_path, None, FIRST)[2]["read"] == 0
    (tmp_path / "2026-01-02.csv").write_text("", encoding="utf-8")
    assert night(spark, mapping(tmp_path), tmp_path, FIRST, SECOND)[2]["read"] == 0


@pytest.mark.spark
def test_lines_are_counted_where_spark_loses_its_observation(spark, tmp_path):
    lines = HEADER + "".join(f"ann,i{n},buy,2026-01-0{1 + n % 2} 10:00:00,4,,\n" for n in range(7))
    (tmp_path / "all.csv").write_text(lines, encoding="utf-8")
    source = mapping(tmp_path, files="all.csv")
    read = read_lines(spark, source, str(tmp_path), None, FIRST)  # no action on its frame: nothing is ever observed
    assert lines_seen(read) == {"parsed": 7, "other_days": 3}


@pytest.mark.spark
def test_numbers_and_times_beyond_all_types_cost_their_line_only(spark, tmp_path):
    odd = ["1e999999999", "9" * 400, "NaN", "-1", "1782900000.5.5", "0x10", "253402300800", "1e18"]
    text = HEADER + "".join(f"ann,i1,buy,{one},4,,\nann,i1,buy,5,4,{one},{one}\n" for one in odd)
    (tmp_path / "2026-01-01.csv").write_text(text, encoding="utf-8")
    columns = COLUMNS | {"utc_offset_minutes": "lat"}
    for formats in (["epoch_seconds"], ["epoch_millis"], ["iso"], ["yyyy-MM-dd", "yyyyMMdd"]):
        source = mapping(tmp_path, time_formats=formats, columns=columns)
        _, _, counts = night(spark, source, tmp_path, None, FIRST)
        assert counts["read"] == 2 * len(odd) and counts["rejected"] >= len(odd)


@pytest.mark.spark
def test_parquet_time_stamps_are_instants_and_local_times_are_in_the_logs_zone(spark, tmp_path):
    frame = spark.sql(
        "select 7L as user, 'i1' as item, 2.5D as value, timestamp'2026-01-01 10:00:00Z' as instant, "
        "timestamp_ntz'2026-01-01 10:00:00' as local, array(named_struct('t', 'x')) as more"
    )
    frame.write.parquet(str(tmp_path / "log" / "2026-01-01"))
    found = {}
    for column in ("instant", "local"):
        columns = {"user_id": "user", "item_id": "item", "event_ts": column, "value": "value", "text": "more[0].t"}
        source = mapping(
            tmp_path, files="log/{date}", format="parquet", columns=columns, event_type="buy", zone="Asia/Tokyo"
        )
        events, _, _ = night(spark, source, tmp_path, None, FIRST)
        found[column] = [(row.user_id, row.event_ts, row.value, row.text) for row in events]
    ann = pseudonym(KEYS.user, "7")
    assert found["instant"] == [(ann, datetime(2026, 1, 1, 10), 2.5, "x")]
    assert found["local"] == [(ann, datetime(2026, 1, 1, 1), 2.5, "x")]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("text", "formats", "zone", "expected"),
    [
        ("2026-07-01T10:00:00", ["iso"], "Europe/Berlin", datetime(2026, 7, 1, 8)),
        ("2026-07-01T10:00:00+05:00", ["iso"], "Europe/Berlin", datetime(2026, 7, 1, 5)),
        ("2026-07-01 10:00:00.25Z", ["iso"], "Europe/Berlin", datetime(2026, 7, 1, 10, 0, 0, 250000)),
        ("2026-07-01 10:00:00 UTC", ["iso"], "Europe/Berlin", datetime(2026, 7, 1, 10)),
        ("2026-07-01 10:00:00 America/New_York", ["iso"], "Europe/Berlin", datetime(2026, 7, 1, 14)),
        ("1782900000", ["iso", "epoch_seconds"], "Europe/Berlin", datetime(2026, 7, 1, 10)),
        ("1782900000500", ["epoch_millis"], "Europe/Berlin", datetime(2026, 7, 1, 10, 0, 0, 500000)),
        ("1/7/2026 10:00", ["yyyy-MM-dd", "d/M/yyyy H:mm"], "UTC", datetime(2026, 7, 1, 10)),
        ("1 Jul 2026 10:00 -0700", ["d MMM yyyy HH:mm Z"], "Europe/Berlin", datetime(2026, 7, 1, 17)),
    ],
)
def test_time_formats(spark, tmp_path, text, formats, zone, expected):
    (tmp_path / "2026-07-02.csv").write_text(HEADER + f"ann,i1,buy,{text},4,,\n", encoding="utf-8")
    source = mapping(tmp_path, time_formats=formats, zone=zone)
    events, _, _ = night(spark, source, tmp_path, None, date(2026, 7, 2))
    assert [row.event_ts for row in events] == [expected]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"columns": COLUMNS | {"item_id": "no_such_column"}}, "inputs[0].columns.item_id"),
        ({"columns": COLUMNS | {"value": "value +"}}, "inputs[0].columns.value"),
        ({"filters": {"odd": "no_such_function(item)"}}, "inputs[0].filters.odd"),
        ({"positive": "stars > 3"}, "positive"),
    ],
)
def test_an_expression_that_cannot_be_used_is_named(spark, tmp_path, changes, key):
    (tmp_path / "2026-01-01.csv").write_text(HEADER + FINE.decode(), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        night(spark, mapping(tmp_path, **changes), tmp_path, None, FIRST)
    assert f"'{key}'" in str(caught.value) and "tiny.yaml" in str(caught.value)


@pytest.mark.spark
def test_keys_do_not_show_in_plans(spark, tmp_path):
    (tmp_path / "2026-01-01.csv").write_text(HEADER + FINE.decode(), encoding="utf-8")
    source = mapping(tmp_path)
    lines = read_lines(spark, source, str(tmp_path), None, FIRST)
    taken = accept(lines, source, LIMITS, KEYS, frame(spark, EVENTS), frame(spark, EVENTS_REJECTED))
    plans = taken.events._jdf.queryExecution().toString() + taken.rejected._jdf.queryExecution().toString()
    taken.release()
    assert "k" * 32 not in plans and KEYS.raw.decode() not in plans


@pytest.fixture(scope="module")
def retail(real_logs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("retail")
    with tarfile.open(real_logs / "online-retail-uci" / "by-day.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "by-day"


def sorted_lines(spark, source, folder, after, run_date):
    lines = read_lines(spark, source, str(folder), after, run_date)
    return accept(lines, source, WIDE, KEYS, frame(spark, EVENTS), frame(spark, EVENTS_REJECTED))


@pytest.mark.spark
@pytest.mark.long
@pytest.mark.slow
def test_online_retail_adds_up_to_its_published_counts(spark, retail):
    source = load_source("online_retail")
    taken = sorted_lines(spark, source, retail, None, date(2011, 12, 31))
    assert (taken.counts["read"], taken.counts["rejected missing_user"]) == (541_909, 135_080)
    taken.release()


@pytest.mark.spark
@pytest.mark.long
@pytest.mark.slow
def test_online_retail_without_filters_adds_up_to_its_published_counts(spark, retail):
    """Everyone counts as a customer and every line as a product: what the set's description counts over all lines."""
    source = load_source("online_retail")
    everyone = source.inputs[0].columns | {"user_id": "coalesce(CustomerID, 'none')", "place_id": "StockCode"}
    whole = replace(source, inputs=(replace(source.inputs[0], columns=everyone, filters={}),))
    taken = sorted_lines(spark, whole, retail, None, date(2011, 12, 31))
    assert (taken.counts["accepted"], taken.counts["duplicates"]) == (541_909 - 5_268, 5_268)
    assert taken.counts["rejected"] == 0
    assert taken.events.select("place_id").distinct().count() == 4_070
    assert taken.events.select("item_id").distinct().count() == 3_958
    taken.release()


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "read", "accepted"),
    [
        pytest.param("movietweetings", "movietweetings", 141_695, 141_695, marks=pytest.mark.long),
        ("complete_journey", "complete-journey-sample", 75_000, None),
        ("movielens", "movielens-latest-small", 100_836 + 3_683, 100_836 + 3_683),
        ("foursquare", "foursquare-phoenix-calgary", 35_337 + 9_317, None),
    ],
)
def test_real_logs_are_read_whole(spark, real_logs, name, folder, read, accepted):
    taken = sorted_lines(spark, load_source(name), real_logs / folder, None, date(2020, 1, 1))
    assert taken.counts["read"] == read
    assert taken.counts["rejected"] == 0 and taken.counts["other_days"] == 0
    assert taken.counts["accepted"] == (accepted or read - taken.counts["duplicates"])
    taken.release()


@pytest.mark.spark
@pytest.mark.slow
def test_ten_thousand_broken_lines_in_a_real_day(spark, retail, tmp_path):
    source, day = load_source("online_retail"), date(2011, 10, 3)
    good = (retail / f"{day}.csv").read_bytes().splitlines()
    (tmp_path / "clean").mkdir(), (tmp_path / "mixed").mkdir()
    (tmp_path / "clean" / f"{day}.csv").write_bytes(b"\n".join(good))
    broken = broken_lines(10_000, seed=5)
    (tmp_path / "mixed" / f"{day}.csv").write_bytes(b"\n".join([good[0], *mix(good[1:], broken, seed=6), b""]))
    clean = sorted_lines(spark, source, tmp_path / "clean", None, day)
    mixed = sorted_lines(spark, source, tmp_path / "mixed", None, day)
    added = {name: mixed.counts[name] - clean.counts.get(name, 0) for name in ("read", "rejected", "duplicates")}
    # a line the parser can make sense of is one: a few of the kinds differ from a real line in their text alone
    extra = mixed.counts["accepted"] - clean.counts["accepted"]
    assert added["read"] == 10_000 and added["rejected"] + added["duplicates"] + extra == 10_000
    assert added["rejected"] > 9_000
    tokens = mixed.rejected.select("raw_encrypted").collect()
    kept = sorted(decrypt(KEYS.raw, row[0]) for row in tokens)
    assert set(kept) - set(good) <= set(broken)
    clean.release(), mixed.release()
