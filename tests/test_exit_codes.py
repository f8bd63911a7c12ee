"""Exit codes and messages of commands that fail."""

import pytest

from interest_model.cli import main
from interest_model.errors import SetupError
from interest_model.job import guarded

FROM_A_TASK = """Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times: PythonException: Traceback:
  File "text_embeddings.py", line 70, in _task_encoder
interest_model.errors.SetupError: this machine's weights are others
  remedy: install the same model everywhere

\tat org.apache.spark.api.python.BasePythonRunner
"""


def failing(error: Exception):
    def command() -> None:
        raise error

    return command


def test_an_error_of_the_project_raised_in_a_task_keeps_its_code_and_words(capsys):
    assert guarded(failing(RuntimeError(FROM_A_TASK))) == SetupError.exit_code
    told = capsys.readouterr().err
    assert told == "SetupError: this machine's weights are others\n  remedy: install the same model everywhere\n"


def test_any_other_error_may_pass_and_shows_where_it_came_from(capsys):
    for text in ("ExecutorLostFailure (executor 3 exited)", "interest_model.errors.NoSuchError: x"):
        assert guarded(failing(RuntimeError(text))) == 1
        assert "Traceback" in capsys.readouterr().err


def test_a_day_that_is_none_is_a_wrong_argument(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["sample", "--out", str(tmp_path / "log"), "--first-day", "2026-13-01"])
    assert ended.value.code == 2 and "is no day of the form" in capsys.readouterr().err
