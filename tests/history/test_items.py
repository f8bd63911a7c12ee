from datetime import date, datetime
from hashlib import sha256

import pytest
import yaml

from interest_model.config import Limits
from interest_model.history.items import changed_items, read_described_items, read_item_files
from interest_model.source import load_source
from interest_model.tables import ITEMS

pytestmark = pytest.mark.spark
LIMITS = Limits(id_length=10, events_per_user_day=5, refused_share=1.0)
FIRST, SECOND, THIRD = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)


def known(spark, rows=()):
    return spark.createDataFrame(list(rows), ", ".join(f"{one.name} {one.type}" for one in ITEMS.columns))


def mapping(folder, item_columns=None, **item_file):
    reading = {
        "files": "{date}.csv", "event_type": "buy", "item_columns": item_columns or {},
        "columns": {"user_id": "user", "item_id": "item", "event_ts": "at"},
    }  # fmt: skip
    content = {"name": "tiny", "inputs": [reading], "item_files": [item_file] if item_file else []}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_source(path)


def items_file(folder, lines, name="items.csv"):
    text = "id,name,kinds,price,born,lat,lon,brand\n" + "".join(line + "\n" for line in lines)
    (folder / name).write_text(text, encoding="utf-8")


FILE = {
    "files": "items.csv",
    "columns": {
        "item_id": "id", "title": "name", "categories": "split(kinds, '[|]')", "price": "price",
        "published_ts": "born", "latitude": "lat", "longitude": "lon",
    },
    "attributes": {"brand": "brand"},
}  # fmt: skip


def files_of(spark, source, folder, after=None, run_date=FIRST):
    return read_item_files(spark, source, LIMITS, str(folder), after, run_date)


def test_an_item_by_hand(spark, tmp_path):
    items_file(tmp_path, ["i1,Blue pot,Home|| kitchen ,2.50,1915-05-06,10,20,Acme", "i2,,,,,,,"])
    lines = files_of(spark, mapping(tmp_path, **FILE), tmp_path)
    rows = sorted(changed_items(lines.described, None, known(spark), FIRST).collect())
    text = "Blue pot. Home, kitchen"
    assert rows[0].asDict() == {
        "item_id": "i1", "known_date": FIRST, "file": "items.csv", "title": "Blue pot", "text": text,
        "text_hash": sha256(text.encode()).hexdigest(), "price": 2.5, "published_ts": datetime(1915, 5, 6),
        "latitude": 10.0, "longitude": 20.0, "categories": ["Home", "kitchen"], "attributes": {"brand": "Acme"},
    }  # fmt: skip
    assert rows[1].text is None and rows[1].text_hash is None and rows[1].categories is None
    assert rows[1].attributes == {}


def test_bad_lines_of_item_files_are_refused_by_rule(spark, tmp_path):
    bad = [",x,,,,,,", "i123456789ab,x,,,,,,", "i3,x,,dear,,,,", "i4,x,,,,91,0,", "i5,x,,,,5,,", "i6"]
    items_file(tmp_path, ["i1,x,,,,,,", *bad])
    lines = files_of(spark, mapping(tmp_path, **FILE), tmp_path)
    refused = sorted((row.line, row.rule) for row in lines.refused.collect())
    rules = ["missing_item", "long_id", "bad_type", "bad_place", "bad_place", "wrong_columns"]
    assert refused == [(i + 3, f"item_{rule}") for i, rule in enumerate(rules)]
    assert lines.read == 7 and lines.described.count() == 1


def test_only_changed_content_makes_a_new_row(spark, tmp_path):
    source = mapping(tmp_path, **FILE)
    items_file(tmp_path, ["i1,Pot,Home,1,,,,A", "i2,Pan,Home,1,,,,A"])
    first = changed_items(files_of(spark, source, tmp_path).described, None, known(spark), FIRST).collect()
    items_file(tmp_path, ["i1,Pot,Home,1,,,,A", "i2,Pan,Home,2,,,,A", "i3,Lid,,,,,,"])
    lines = files_of(spark, source, tmp_path, FIRST, SECOND)
    second = changed_items(lines.described, None, known(spark, first), SECOND).collect()
    assert sorted((row.item_id, row.price) for row in second) == [("i2", 2.0), ("i3", None)]
    # what an earlier run of the same or a later night wrote does not count
    again = changed_items(lines.described, None, known(spark, first + second), SECOND).collect()
    assert sorted(row.item_id for row in again) == ["i2", "i3"]


def test_the_last_line_of_an_item_holds_and_dated_files_take_their_days(spark, tmp_path):
    items_file(tmp_path, ["i1,Old,,,,,,", "i1,New,,,,,,"], "items-2026-01-01.csv")
    items_file(tmp_path, ["i1,Newest,,,,,,"], "items-2026-01-02.csv")
    source = mapping(tmp_path, **(FILE | {"files": "items-{date}.csv"}))
    titles = {}
    for after, day in ((None, FIRST), (None, SECOND), (SECOND, THIRD)):
        lines = files_of(spark, source, tmp_path, after, day)
        rows = changed_items(lines.described, None, known(spark), day).collect() if lines else []
        titles[day] = [row.title for row in rows]
    assert titles == {FIRST: ["New"], SECOND: ["Newest"], THIRD: []}


def events_file(folder, day, lines):
    text = "user,item,at,name,price\n" + "".join(line + "\n" for line in lines)
    (folder / f"{day}.csv").write_text(text, encoding="utf-8")


def test_events_that_describe_items_give_the_latest_value_that_is_there(spark, tmp_path):
    source = mapping(tmp_path, item_columns={"title": "name", "price": "price"})
    lines = ["a,i1,2026-01-01 10:00:00,Late,", "a,i1,2026-01-01 09:00:00,Early,3", ",i1,2026-01-01 11:00:00,No user,9"]
    events_file(tmp_path, FIRST, lines)
    events_file(tmp_path, SECOND, ["a,i1,2026-01-02 09:00:00,,4", "b,i2,2026-01-02 09:00:00,Other,"])
    described = read_described_items(spark, source, LIMITS, str(tmp_path), None, FIRST)
    first = changed_items(None, described, known(spark), FIRST).collect()
    assert [(row.item_id, row.title, row.price) for row in first] == [("i1", "Late", 3.0)]
    described = read_described_items(spark, source, LIMITS, str(tmp_path), FIRST, SECOND)
    second = changed_items(None, described, known(spark, first), SECOND).collect()
    assert sorted((row.item_id, row.title, row.price) for row in second) == [("i1", "Late", 4.0), ("i2", "Other", None)]
    assert second[0].text_hash in {first[0].text_hash, sha256(b"Other").hexdigest()}


def test_a_mapping_that_describes_no_items_gives_no_rows(spark, tmp_path):
    source = mapping(tmp_path)
    assert files_of(spark, source, tmp_path) is None
    assert read_described_items(spark, source, LIMITS, str(tmp_path), None, FIRST) is None
    assert changed_items(None, None, known(spark), FIRST).count() == 0
