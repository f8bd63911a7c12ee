"""What the last process of a night that ran step by step records of the whole."""

from datetime import date
from types import SimpleNamespace

from interest_model import nightly
from interest_model.config import load_settings
from interest_model.flow import JOBS
from interest_model.report import StepRecord
from interest_model.tracking import _content

DAY = date(2026, 1, 28)


def test_the_night_of_steps_run_apart_names_its_model_and_what_the_steps_read(monkeypatch):
    """The process of `finish` itself made no ranker and read little but runs and evaluation."""
    steps = [
        StepRecord(DAY, job, state="done", inputs={"events": 7, "items": 3}, outputs={job: 1})
        for job in (*JOBS, "night")
    ]
    written, logged = [], []
    fakes = {
        "recorded_steps": lambda night: steps,
        "noted": lambda night: ("f" * 64, "blend-1"),
        "record_steps": lambda storage, night, rows: written.append((night.model_version, rows[0].inputs)),
        "day_metrics": lambda *_: {},
        "tracker_of": lambda night: SimpleNamespace(
            log_night=lambda *given: logged.append(_content(*given)), close=bool
        ),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(nightly, name, fake)
    night = SimpleNamespace(
        run_date=DAY, settings=load_settings(), source=SimpleNamespace(name="shop", fingerprint=lambda: "f" * 64),
        storage=SimpleNamespace(versions_read={"runs": 40, "evaluation": 9}), model_version=None, run_id="r",
        claim=SimpleNamespace(release=bool), note_raw_files=str, read=str, metrics={},
    )  # fmt: skip
    nightly.close_night(night)
    assert written == [("blend-1", {"events": 7, "items": 3})]
    (content,) = logged
    assert content["tags"]["model_version"] == "blend-1"
    inputs = {name: version for name, version in content["parameters"].items() if name.startswith("input.")}
    assert inputs == {"input.events": 7, "input.items": 3}
