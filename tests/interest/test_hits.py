from interest_model.interest.hits import latest
from tests.interest.planted import AT_DAY
from tests.interest.words import hits


def test_latest_keeps_pairs_and_drops_what_came_before():
    users = hits("0110", "1000", "0011")
    kept = latest(users, AT_DAY - 4.0)
    assert kept.visit_indptr.tolist() == [0, 2, 4, 6]
    assert (kept.counts.tolist(), kept.numbers.tolist()) == ([1, 0, 2], [0, 0, 1])
    assert latest(users, 0.0) is users
