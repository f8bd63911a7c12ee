"""People get lines, machines get JSON."""

import io
import json
from datetime import date

from interest_model.report import Reporter, StepRecord


def finished_step():
    return StepRecord(
        date(2026, 1, 5),
        "sessions",
        seconds=1.25,
        read={"events": 1200},
        written={"sessions": 7},
        counts={"cut": 1},
        state="done",
    )


def test_a_step_is_one_json_line_away_from_a_terminal():
    stream = io.StringIO()
    Reporter(stream).finished(finished_step())
    (line,) = stream.getvalue().splitlines()
    content = json.loads(line)
    assert (content["job"], content["run_date"], content["read"]) == ("sessions", "2026-01-05", {"events": 1200})
    assert content["written"] == {"sessions": 7} and content["seconds"] == 1.25 and content["state"] == "done"


def test_on_a_terminal_it_is_a_readable_line():
    stream = io.StringIO()
    Reporter(stream, as_json=False).finished(finished_step())
    assert "sessions" in stream.getvalue()
    assert "read 1,200 events; wrote 7 sessions; 1 cut" in stream.getvalue()


def test_all_counts_of_a_step_have_names_of_their_own():
    assert finished_step().rows() == {"read events": 1200, "written sessions": 7, "cut": 1}
