"""Snapshots: whole users, equal files, nothing lost and nothing back that was deleted."""

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from interest_model.errors import DataError
from interest_model.recommend.attributes import ItemTraits, KnownItems
from tests.interest.parts import fit_settings

pytestmark = [pytest.mark.spark, pytest.mark.slow]
COLUMNS = (
    "event_id string, user_id string, item_id string, day double, weight double, value double, latitude double, "
    "longitude double, event_ts timestamp, positive boolean"
)
ITEMS = np.array(["i0", "i1", "i2", "i3"], dtype=object)
VECTORS = np.eye(4, 3, dtype=np.float32)
TRAITS = ItemTraits(np.array([1.0, np.nan, 3.0, 3.0]), {"brand": np.array(["b", None, "b", "c"], dtype=object)})
CATALOGUE = KnownItems(ITEMS, np.arange(4.0), VECTORS, TRAITS)
SETTINGS = fit_settings(history_length=5, rows_per_part=20, shards=3)


def events():
    """30 users, user k with 1 + k % 7 events; one event of an item outside the catalogue."""
    rows = []
    for user in range(30):
        for step in range(1 + user % 7):
            day, value = 100.0 + step + user / 100, float(step) if user % 2 else None
            moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=day)
            ids = f"e{user:02d}-{step}", f"u{user:02d}", f"i{(user + step) % 4}"
            rows.append((*ids, day, 0.5, value, None, None, moment, step % 3 > 0))
    return [*rows, ("x", "u00", "gone", 100.5, 1.0, None, None, None, datetime.datetime(1970, 4, 11, 12), True)]


@pytest.fixture(scope="module")
def delta_events(spark, tmp_path_factory):
    """A Delta table of the events; its second version lacks user u03."""
    path = str(tmp_path_factory.mktemp("delta") / "events")
    spark.createDataFrame(events(), COLUMNS).write.format("delta").save(path)
    spark.sql(f"delete from delta.`{path}` where user_id = 'u03'")
    return lambda version: spark.read.format("delta").option("versionAsOf", version).load(path)


@pytest.fixture(scope="module")
def written(delta_events, tmp_path_factory):
    from interest_model.training import snapshot

    folder = tmp_path_factory.mktemp("snapshot")
    return snapshot.write(folder, delta_events(0), CATALOGUE, (110.0, {"events": 0}), SETTINGS)


def by_user(*parts) -> list[list[tuple]]:
    found = []
    for sequences in parts:
        own = sequences.histories
        for start, stop in zip(own.indptr, own.indptr[1:], strict=False):
            values = np.nan_to_num(sequences.values[start:stop], nan=-1).tolist()
            kept = own.items[start:stop], own.days[start:stop], sequences.positive[start:stop]
            found.append(list(zip(*(one.tolist() for one in kept), values, strict=True)))
    return sorted(found)


def expected(left_out: str = "") -> list[list[tuple]]:
    users = {}
    for _, user, item, day, _, value, *_, positive in events():
        if item in ITEMS and user != left_out:
            users.setdefault(user, []).append((int(item[1]), day, positive, -1.0 if value is None else value))
    return sorted(one[-5:] for one in users.values())


def test_what_is_read_is_what_was_written_in_one_process_or_three(written):
    from interest_model.training.snapshot import read

    assert by_user(read(written)) == expected()
    shards = [read(written, shard, 3) for shard in range(3)]
    assert by_user(*shards) == expected()
    assert read(written).histories.places is None
    assert (written.users, written.events) == (30, sum(map(len, expected())))


def test_files_have_one_row_group_and_equally_many_rows(written):
    footers = [pq.read_metadata(written.folder / name) for name in written.files]
    assert {one.num_row_groups for one in footers} == {1} and len({one.num_rows for one in footers}) == 1
    assert len(footers) % 3 == 0 and len(footers) > 3


def test_the_manifest_says_where_it_comes_from(written):
    content = json.loads((written.folder / "manifest.json").read_text())
    assert content["tables"] == {"events": 0} and content["at_day"] == 110.0
    assert content["item_ids"] == ITEMS.tolist()
    assert np.array_equal(written.features.vectors["text"], VECTORS)
    assert written.features.vectors["price"][[1, 2], 0].tolist() == pytest.approx([0.0, 2**-0.5], abs=1e-6)
    assert written.features.categories["attribute_brand"].tolist() == [0, -1, 0, -1]


def test_a_deleted_row_does_not_come_back(delta_events, tmp_path):
    from interest_model.training import snapshot

    made = snapshot.write(tmp_path, delta_events(1), CATALOGUE, (110.0, {"events": 1}), SETTINGS)
    assert by_user(snapshot.read(made)) == expected("u03")


def test_the_hash_of_rows_is_of_what_they_hold(written, delta_events, tmp_path):
    from interest_model.training import snapshot

    same = snapshot.write(tmp_path / "same", delta_events(0).repartition(7), CATALOGUE, (110.0, {}), SETTINGS)
    assert same.rows_hash == written.rows_hash
    moved = delta_events(0).selectExpr("*", "day + 1.0 / 1024 as later").drop("day").withColumnRenamed("later", "day")
    assert snapshot.write(tmp_path / "moved", moved, CATALOGUE, (110.0, {}), SETTINGS).rows_hash != same.rows_hash


def test_a_manifest_is_there_whole_or_not_at_all(delta_events, tmp_path, monkeypatch):
    from interest_model.training import snapshot

    def killed(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(snapshot.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        snapshot.write(tmp_path, delta_events(0), CATALOGUE, (110.0, {}), SETTINGS)
    assert not snapshot.exists(tmp_path)


def test_a_file_that_is_lost_changed_or_added(written, tmp_path):
    from interest_model.training import snapshot

    folder = tmp_path / "copy"
    shutil.copytree(written.folder, folder)
    first, second = (folder / name for name in sorted(written.files)[:2])
    shutil.copy(first, first.with_name("added.parquet"))
    assert by_user(snapshot.read(snapshot.load(folder))) == expected()
    moved = Path(shutil.move(second, tmp_path / "elsewhere.parquet"))
    with pytest.raises(DataError, match="missing or was changed"):
        snapshot.load(folder)
    table = pq.read_table(moved)
    pq.write_table(table.slice(1), second)
    with pytest.raises(DataError, match="missing or was changed"):
        snapshot.load(folder)


def test_rows_that_differ_from_the_footers_are_an_error(written):
    from interest_model.training.snapshot import read

    less = dict(list(written.files.items())[:-1])
    named = {name: rows + 1 for name, rows in written.files.items()}
    with pytest.raises(DataError, match="rows read, the footers say"):
        read(written._replace(files=named))
    with pytest.raises(DataError, match="for 3 processes"):
        read(written._replace(files=less), 0, 3)
