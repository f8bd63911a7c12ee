"""What a backtest would ignore is refused before anything runs."""

import argparse

import pytest

from interest_model.errors import UsageError
from interest_model.job import run_alone
from interest_model.job_arguments import add_backtest_arguments, checked_backtest

NIGHT = ["--run-date", "2026-01-08", "--source", "shop", "--raw", "raw", "--warehouse", "w"]


def checked(*given):
    parser = argparse.ArgumentParser()
    add_backtest_arguments(parser)
    return checked_backtest(parser.parse_args([*NIGHT, *given]))


def test_what_is_left_out_has_its_default():
    assert checked("--protocol", "replay").nights == 7
    assert checked("--protocol", "loo-shuffled").seeds == [1, 2, 3]
    assert checked("--protocol", "loo-shuffled", "--seeds", "5").seeds == [5]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--protocol", "temporal", "--nights", "3"), "--nights: means nothing to --protocol temporal"),
        (("--protocol", "loo-file", "--last-night", "2026-01-05"), "--last-night: means nothing"),
        (("--protocol", "replay", "--seeds", "1"), "--seeds: means nothing to --protocol replay"),
        (("--protocol", "temporal", "--split", "s", "--peers", "s"), "--split: nothing is judged"),
        (("--protocol", "temporal", "--split", "s", "--markdown", "m.md"), "--split: nothing is judged"),
    ],
)
def test_what_would_be_ignored_is_refused(given, told):
    with pytest.raises(UsageError, match=told):
        checked(*given)


@pytest.mark.parametrize("job", ["backtest", "train"])
def test_what_is_no_step_of_a_night_has_no_dry_run(job):
    with pytest.raises(UsageError, match=f"--dry-run: {job} is no step of a night"):
        run_alone(job, lambda night: None, argparse.Namespace(dry_run=True))
