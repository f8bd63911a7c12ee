import numpy as np

from interest_model.interest.status import STATUSES
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.explanation import Names, local_days, origins, reasons
from interest_model.recommend.interests import Named
from interest_model.recommend.scoring import Lists

TITLES = np.array(["Heat", " ", "Alien"])
TOPICS = np.array(["Film > Horror", "Film > Comedy"])
DAY = 15936.7  # 2013-08-19
NAMES = Names(TITLES, TOPICS, np.full(3, DAY - 5), DAY + 1, "UTC")


def lists(*rows: tuple[str, int, float], interests: Named | None = None) -> Lists:
    """One row per (origin, evidence, evidence day)."""
    count = len(rows)
    return Lists(
        users=np.zeros(count, dtype=int),
        ranks=np.arange(1, count + 1),
        items=np.zeros(count, dtype=int),
        scores=np.ones(count),
        origins=np.array([MEMBERS.index(origin) for origin, _, _ in rows], dtype=int),
        because=np.array([[evidence, -1, -1] for _, evidence, _ in rows], dtype=int).reshape(-1, 3),
        because_days=np.array([[day, np.nan, np.nan] for _, _, day in rows]).reshape(-1, 3),
        interests=interests or Named(np.full(count, -1), *np.full((2, count), np.nan), np.zeros(count, np.int8)),
    )


def test_sentences_name_title_and_date():
    rows = lists(("ease", 0, DAY), ("transitions", 2, DAY), ("popularity", -1, np.nan), ("own", 0, DAY))
    assert reasons(rows, NAMES).tolist() == [
        "Because you chose Heat on 2013-08-19.",
        "Often chosen after Alien, which you chose on 2013-08-19.",
        "Popular these days.",
        "You chose this before, last on 2013-08-19.",
    ]
    assert origins(rows).tolist() == ["ease", "transitions", "popularity", "own"]


def test_an_item_without_title_and_a_row_without_evidence_still_read_well():
    rows = lists(("ease", 1, DAY), ("ease", -1, np.nan))
    found = reasons(rows, NAMES).tolist()
    assert found == ["Because you chose an item on 2013-08-19.", "Fits what you chose before."]


def test_every_member_has_a_sentence():
    rows = lists(*((member, 0, DAY) for member in MEMBERS))
    found = reasons(rows, NAMES).tolist()
    assert len(set(found)) == len(MEMBERS) and all(one.endswith(".") and "{" not in one for one in found)


def test_the_interest_is_named_with_its_strength_and_direction():
    status = np.array([STATUSES.index("rising"), STATUSES.index("fading"), 0], np.int8)
    spoken_to = Named(np.array([0, 1, -1]), np.array([0.231, 0.004, np.nan]), np.array([0.1, -0.2, np.nan]), status)
    rows = lists(("popularity", -1, np.nan), ("new", -1, np.nan), ("slow", -1, np.nan), interests=spoken_to)
    assert reasons(rows, NAMES).tolist() == [
        "Popular these days. Your interest in Film > Horror (23 % of yours) is rising.",
        "New and popular. Your interest in Film > Comedy (1 % of yours) is fading.",
        "Popular for some time.",
    ]


def test_no_rows_give_no_sentences():
    assert reasons(lists(), NAMES).tolist() == [] and origins(lists()).tolist() == []


def test_an_old_item_is_not_called_new_and_a_topic_nobody_touched_is_no_interest():
    rows = lists(("new", -1, np.nan), ("interests", 0, DAY), ("interests", -1, np.nan))
    found = reasons(rows, NAMES._replace(first_days=np.full(3, DAY - 1_000))).tolist()
    among = "Popular among what you are interested in, such as Heat."
    assert found == ["Popular these days.", among, "Popular these days."]
    assert reasons(rows, NAMES).tolist()[0] == "New and popular."


def test_dates_are_days_of_the_logs_zone():
    """20:00 in Phoenix is the day after in UTC, midnight in Berlin the day before."""
    evening, midnight = np.datetime64("2012-04-04T03:00"), np.datetime64("2012-04-02T22:00")
    days = np.array([evening, midnight, evening]).astype("datetime64[s]").astype(float) / 86_400
    assert local_days(days, "America/Phoenix").astype("datetime64[D]").astype(str).tolist()[0] == "2012-04-03"
    assert local_days(days, "Europe/Berlin").astype("datetime64[D]").astype(str).tolist()[1] == "2012-04-03"
    late = np.array([np.datetime64("2026-01-05T23:59:59.700").astype(float) / 86_400_000])
    assert local_days(late, "UTC") == 20_458 and local_days(np.ceil(late), "UTC") == 20_459
    assert local_days(days, "UTC").astype("datetime64[D]").astype(str).tolist() == [
        "2012-04-04",
        "2012-04-02",
        "2012-04-04",
    ]
    rows = lists(("ease", 0, days[0]))
    assert reasons(rows, NAMES._replace(zone="America/Phoenix")).tolist() == ["Because you chose Heat on 2012-04-03."]
