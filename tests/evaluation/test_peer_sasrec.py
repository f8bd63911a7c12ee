"""RecTools' SASRec as a peer and its clock, on people who go through the items in order.

RecTools lives in the environment that `make peers` builds; INTEREST_PEERS_PYTHON names another interpreter that has it.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
N_USERS, N_ITEMS = 80, 30


@pytest.fixture(scope="module")
def sequences() -> list[list[int]]:
    """After item k comes item k + 1, and after the last the first; 2 to 39 items of each user, from anywhere."""
    rng = np.random.default_rng(3)
    starts, lengths = rng.integers(0, N_ITEMS, N_USERS), rng.integers(2, 40, N_USERS)
    return [[int(start + step) % N_ITEMS for step in range(n)] for start, n in zip(starts, lengths, strict=True)]


@pytest.fixture(scope="module")
def days(sequences) -> list[list[float]]:
    rng = np.random.default_rng(4)
    return [np.sort(40 * rng.random(len(items))).tolist() for items in sequences]


@pytest.mark.parametrize("negatives", [0, 8])
def test_it_learns_what_comes_next_and_leaves_out_what_was_seen(python, sequences, days, tmp_path, negatives):
    users = [f"u{k:03d}" for k in range(N_USERS)]
    following = [(items[-1] + 1) % N_ITEMS for items in sequences]
    for name, columns in (
        ("histories", {"items": sequences, "days": days}), ("truth", {"truth": [[one] for one in following]})
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"user_id": users, **columns}), tmp_path / name / "part.parquet")
    facts = {"n_items": N_ITEMS, "at_day": 40.0, "length": 5, "variants": ["novel", "repeat"]}
    (tmp_path / "split.json").write_text(json.dumps(facts))
    searched = ["--sizes", "16", "64", "--epochs", "8", "16", "--negatives", str(negatives)]
    subprocess.run([python, PEERS / "sasrec.py", tmp_path, *searched], check=True)
    lists = {name: pq.read_table(tmp_path / "lists" / f"sasrec-{name}.parquet") for name in facts["variants"]}
    assert all(rows["user_id"].to_pylist() == users for rows in lists.values())
    firsts = [one[0] for one in lists["repeat"]["listed"].to_pylist()]
    assert np.mean(np.array(firsts) == following) > 0.8
    novel = lists["novel"]["listed"].to_pylist()
    assert not any(set(one) & set(items) for one, items in zip(novel, sequences, strict=True))
    assert all(len(one) == min(5, N_ITEMS - len(set(items))) for one, items in zip(novel, sequences, strict=True))


def test_the_clock_counts_positions_with_a_next_item(python, sequences, days, tmp_path):
    users = np.repeat(np.arange(N_USERS), [len(items) for items in sequences])
    np.savez(tmp_path / "s.npz", users=users, items=np.concatenate(sequences), days=np.concatenate(days))
    shape = {"size": 8, "blocks": 1, "heads": 1, "session": 10, "dropout": 0.1, "batch": 16, "threads": 1}
    command = [python, PEERS / "sasrec_clock.py", tmp_path / "s.npz", json.dumps(shape)]
    ran = subprocess.run(command, input="epoch\nepoch\n", capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert [one["samples"] for one in answers] == [sum(min(len(items) - 1, 10) for items in sequences)] * 2
    assert all(one["items"] <= N_ITEMS and 0 < one["seconds"] < 60 for one in answers)
