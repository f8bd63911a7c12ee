"""What the comparison of training speeds counts, and how it talks to the other process. RecTools is not needed."""

import importlib
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interest_model.training.batches import Sequences, TrainingBatches

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    speed = importlib.import_module("training_speed")

LENGTHS = [1, 2, 5, 9]
SHAPE = {"threads": 1}
ANSWERS = """
import json, sys
import numpy as np
events = len(np.load(sys.argv[1])["users"])
for _ in sys.stdin:
    print("a message of a library")
    answer = {"seconds": 2.0, "cpu_seconds": 3.0, "samples": events, "items": json.loads(sys.argv[2])["threads"]}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    """Users with LENGTHS events, one a day, user k of items 10 k, 10 k + 1, ..."""
    items = [[10 * user + step for step in range(length)] for user, length in enumerate(LENGTHS)]
    days = [[float(step) for step in range(length)] for length in LENGTHS]
    rows = {"user_id": ["a", "b", "c", "d"], "items": items, "days": days, "weights": [[1.0] * n for n in LENGTHS]}
    (tmp_path / "histories").mkdir()
    pq.write_table(pa.table(rows), tmp_path / "histories" / "part.parquet")
    return tmp_path


def test_sequences_are_the_latest_events_of_those_with_two_over_the_items_that_occur(folder):
    found = speed.read_sequences(folder, 10, 4)
    assert found.user_ids.tolist() == ["b", "c", "d"] and found.lengths.tolist() == [2, 5, 5]
    assert found.items.tolist() == list(range(12)) and found.days[-5:].tolist() == [4, 5, 6, 7, 8]
    assert speed.read_sequences(folder, 2, 4).n_users == 2


@pytest.mark.parametrize("by_length", [True, False])
def test_every_event_but_a_users_last_is_one_sample_of_ours(folder, by_length):
    kind, settings = speed.our_settings(by_length)
    session = speed.shared_shape(kind, settings, 1)["session"]
    sequences = speed.read_sequences(folder, 10, session)
    batches = TrainingBatches(Sequences(sequences), kind, settings)(0)
    epoch = speed.our_epochs(sequences, kind, settings)()
    assert sum(len(one.positions) for one in batches) == epoch.samples == 1 + 4 + 8
    assert epoch.items == 16 and epoch.seconds > 0


def test_a_sequence_of_full_length_has_as_many_samples_as_a_session(tmp_path, folder):
    kind, settings = speed.our_settings(True)
    session = speed.shared_shape(kind, settings, 1)["session"]
    n = session + 30
    rows = {"user_id": ["a"], "items": [list(range(n))], "days": [[float(k) for k in range(n)]], "weights": [[1.0] * n]}
    pq.write_table(pa.table(rows), folder / "histories" / "part.parquet")
    sequences = speed.read_sequences(folder, 10, session)
    positions = [len(one.positions) for one in TrainingBatches(Sequences(sequences), kind, settings)(0)]
    assert positions == [session] and sequences.lengths.tolist() == [session + 1]


def test_epochs_by_round_without_the_first():
    seconds = iter([100.0, 2.0, 4.0])
    contenders = {"one": lambda: speed.Epoch(next(seconds), 1.0, 20, 3)}
    assert speed.measure(contenders, 2) == {"one": [speed.Epoch(2.0, 1.0, 20, 3), speed.Epoch(4.0, 1.0, 20, 3)]}


def test_contenders_must_train_on_the_same():
    one, two = speed.Epoch(1.0, 1.0, 20, 3), speed.Epoch(1.0, 1.0, 21, 3)
    with pytest.raises(ValueError, match="not the same"):
        speed.measure({"one": lambda: one, "two": lambda: two}, 1)


def test_the_other_process_gets_the_sequences_and_answers_each_epoch(folder, tmp_path):
    (tmp_path / "answers.py").write_text(ANSWERS)
    sequences = speed.read_sequences(folder, 10, 4)
    theirs = speed.Theirs([sys.executable, str(tmp_path / "answers.py")], SHAPE, sequences, tmp_path)
    assert [theirs(), theirs()] == [speed.Epoch(2.0, 3.0, 12, 1)] * 2
    theirs.close()
    assert theirs.process.returncode == 0


def test_another_process_that_ends_is_said(folder, tmp_path):
    (tmp_path / "ends.py").write_text("import sys; sys.stdin.readline()")
    theirs = speed.Theirs(
        [sys.executable, str(tmp_path / "ends.py")], SHAPE, speed.read_sequences(folder, 9, 4), tmp_path
    )
    with pytest.raises(SystemExit, match="ended"):
        theirs()


def test_ratios_are_of_medians(capsys):
    ours = [speed.Epoch(60 / rate, 60 / 7, 60, 3) for rate in (10, 30, 20)]
    theirs = [speed.Epoch(60 / rate, 60 / 14, 60, 3) for rate in (4, 5, 100)]
    speed.print_rates({"ours": ours, "theirs": theirs}, "theirs")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("ours: 20 samples per second, 4.00 times")
    assert said[2].startswith("ours: 7 samples per CPU second, 0.50 times")
