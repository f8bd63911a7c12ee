"""One run holds a day; a second is told who."""

import threading
from datetime import date

import pytest

from interest_model.claim import Claim
from interest_model.errors import ClaimError

DAY = date(2026, 1, 5)


def test_a_second_owner_is_refused_with_the_first_ones_name(tmp_path):
    assert Claim(tmp_path, DAY, "first").take()
    with pytest.raises(ClaimError, match="claimed by first since") as refused:
        Claim(tmp_path, DAY, "second").take()
    assert "--takeover" in str(refused.value)
    assert refused.value.exit_code == 5


def test_the_same_owner_may_come_again_and_other_days_are_free(tmp_path):
    assert Claim(tmp_path, DAY, "first").take()
    assert not Claim(tmp_path, DAY, "first").take()
    assert Claim(tmp_path, date(2026, 1, 6), "second").take()


def test_takeover_replaces_a_stale_claim_and_the_dead_owner_cannot_release_it(tmp_path):
    dead = Claim(tmp_path, DAY, "dead")
    dead.take()
    assert Claim(tmp_path, DAY, "alive").take(takeover=True)
    dead.release()
    assert dead.holder()["owner"] == "alive"


def test_release_frees_the_day(tmp_path):
    claim = Claim(tmp_path, DAY, "first")
    claim.take()
    claim.release()
    assert Claim(tmp_path, DAY, "second").take()


def test_of_many_that_try_at_once_exactly_one_wins(tmp_path):
    won, start = [], threading.Barrier(16)

    def attempt(name):
        start.wait()
        try:
            won.append(Claim(tmp_path, DAY, name).take() and name)
        except ClaimError:
            pass

    threads = [threading.Thread(target=attempt, args=(f"run {n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and Claim(tmp_path, DAY, "").holder()["owner"] == won[0]
