import numpy as np

from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.explanation import origins, reasons
from interest_model.recommend.scoring import Lists

TITLES = np.array(["Heat", " ", "Alien"])
DAY = 15936.7  # 2013-08-19


def lists(*rows: tuple[str, int, float]) -> Lists:
    """One row per (origin, evidence, evidence day)."""
    count = len(rows)
    return Lists(
        users=np.zeros(count, dtype=int),
        ranks=np.arange(1, count + 1),
        items=np.zeros(count, dtype=int),
        scores=np.ones(count),
        origins=np.array([MEMBERS.index(origin) for origin, _, _ in rows]),
        evidence=np.array([evidence for _, evidence, _ in rows]),
        evidence_days=np.array([day for _, _, day in rows]),
    )


def test_sentences_name_title_and_date():
    rows = lists(("ease", 0, DAY), ("transitions", 2, DAY), ("popularity", -1, np.nan), ("own", 0, DAY))
    assert reasons(rows, TITLES).tolist() == [
        "Because you chose Heat on 2013-08-19.",
        "Often chosen after Alien, which you chose on 2013-08-19.",
        "Popular these days.",
        "You come back to this; last time on 2013-08-19.",
    ]
    assert origins(rows).tolist() == ["ease", "transitions", "popularity", "own"]


def test_an_item_without_title_and_a_row_without_evidence_still_read_well():
    rows = lists(("ease", 1, DAY), ("ease", -1, np.nan))
    assert reasons(rows, TITLES).tolist() == ["Because you chose an item on 2013-08-19.", "Fits what you chose before."]


def test_every_member_has_a_sentence():
    rows = lists(*((member, 0, DAY) for member in MEMBERS))
    found = reasons(rows, TITLES).tolist()
    assert len(set(found)) == len(MEMBERS) and all(one.endswith(".") and "{" not in one for one in found)
