"""What peers bring back as files, and which split it belongs to."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interest_model.errors import DataError
from interest_model.evaluation import peers

FACTS = {"n_items": 9, "at_day": 10.0, "longest_days": 7, "length": 50, "variants": ["novel"]}


def test_a_split_of_a_shorter_horizon_is_another_one(tmp_path):
    with pytest.raises(DataError, match="there is no split for peers"):
        peers.check_split(tmp_path, FACTS)
    (tmp_path / "split.json").write_text(json.dumps(FACTS))
    peers.check_split(tmp_path, FACTS)
    with pytest.raises(
        DataError, match="longest_days 7 for 28"
    ):  # whoever acts later has no list, and would count zero
        peers.check_split(tmp_path, FACTS | {"longest_days": 28})


@pytest.mark.spark
@pytest.mark.parametrize(
    "listed, expected", [([1, 9], "outside the catalogue"), ([-1, 2], "outside the catalogue"), ([3, 1, 3], "twice")]
)
def test_lists_that_cannot_be_are_refused_with_their_file(spark, tmp_path, listed, expected):
    files = []
    for name, lists in (("good", [0, 8]), ("bad", listed)):
        files.append(tmp_path / f"{name}-novel.parquet")
        pq.write_table(pa.table({"user_id": ["a"], "listed": pa.array([lists], pa.list_(pa.int32()))}), files[-1])
    with pytest.raises(DataError, match=f"bad-novel.parquet: lists .*{expected}"):
        peers._lists(files, spark, 9)
