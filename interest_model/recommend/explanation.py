"""What a person can read for each recommendation: where it comes from and which interest it speaks to. No Spark."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interest_model.interest.status import STATUSES
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.popularity import ROUNDING_HOURS
from interest_model.recommend.scoring import Lists

_SENTENCES = {
    "popularity": "Popular these days.",
    "trend": "Popular right now.",
    "slow": "Popular for some time.",
    "new": "New and popular.",
    "transitions": "Often chosen after {title}, which you chose on {date}.",
    "lift": "Goes with {title}, which you chose on {date}.",
    "ease": "Because you chose {title} on {date}.",
    "factors": "Fits {title}, which you chose on {date}.",
    "nearby": "Popular near {title}, which you chose on {date}.",
    "sequence": "Fits what you chose lately, such as {title} on {date}.",
    "interests": "Popular among what you are interested in, such as {title}.",
    "content": "Similar to {title}, which you chose on {date}.",
    "own": "You chose this before, last on {date}.",
    "own_recent": "You chose this lately, on {date}.",
}
_SECONDS = 86_400
_WITHOUT_EVIDENCE = "Fits what you chose before."
_NEW_DAYS = 28.0  # an item that came earlier is no longer called new, however much of its score its age gave it
_NEW, _POPULAR, _INTERESTS = (MEMBERS.index(name) for name in ("new", "popularity", "interests"))


class Names(NamedTuple):
    """What sentences are made of beside lists. titles (n,) str: a name to show for each catalogue item, an empty one
    reads "an item"; topics (k,) str; first_days (n,) when each item was first seen; at_day: moment of the lists, both
    days since 1970-01-01 UTC; zone: the log's, whose days dates are."""

    titles: np.ndarray
    topics: np.ndarray
    first_days: np.ndarray
    at_day: float
    zone: str


_DIRECTIONS = {
    "new": "new", "rising": "rising", "stable": "steady", "fading": "fading", "gone": "long past",
    "returning": "coming back",
}  # fmt: skip


def reasons(lists: Lists, names: Names) -> pa.StringArray:
    """(r,) a sentence for each row of `lists`, from the member that gave most and the own item that speaks for it; and
    one on the interest it speaks to, how strong that is and where it is going."""
    return pc.binary_join_element_wise(_origin_sentences(lists, names), _interest_sentences(lists, names.topics), "")


def _origin_sentences(lists: Lists, names: Names) -> pa.StringArray:
    days = local_days(np.nan_to_num(lists.because_days[:, 0]), names.zone)
    old = names.at_day - names.first_days[lists.items] > _NEW_DAYS
    # an old item is not new, and where nothing that was chosen is of its topics they are no interest of this person
    plain = (lists.origins == _NEW) & old | (lists.origins == _INTERESTS) & (lists.because[:, 0] < 0)
    origins, titles = np.where(plain, _POPULAR, lists.origins), names.titles

    def sentence(origin: int, evidence: int, day: int) -> str:
        words = _SENTENCES[MEMBERS[origin]]
        if "{" in words and evidence < 0:
            return _WITHOUT_EVIDENCE
        return words.format(title=titles[evidence].strip() or "an item", date=np.datetime64(day, "D"))

    return _once_each((origins, lists.because[:, 0], days), sentence)


def local_days(days: np.ndarray, zone: str) -> np.ndarray:
    """(r,) int64 the day in a time zone, as days since 1970-01-01, of moments (r,) in days since 1970-01-01 UTC."""
    # not to the nearest second: the last half of a day's last one is of that day
    seconds = np.floor(days * _SECONDS + ROUNDING_HOURS * 3_600)
    moments, place = np.unique(seconds, return_inverse=True)
    if zone == "UTC":
        return (moments // _SECONDS).astype(np.int64)[place]
    utc = pa.array(moments.astype(np.int64), pa.timestamp("s", tz="UTC")).cast(pa.timestamp("s", tz=zone))
    return np.asarray(pc.local_timestamp(utc).cast(pa.date32()).cast(pa.int32()), dtype=np.int64)[place]


def _interest_sentences(lists: Lists, topic_names: np.ndarray) -> pa.StringArray:
    percent = np.maximum(np.rint(100.0 * np.nan_to_num(lists.interests.shares)), 1.0).astype(np.int64)

    def sentence(topic: int, share: int, status: int) -> str:
        if topic < 0:
            return ""
        return f" Your interest in {topic_names[topic]} ({share} % of yours) is {_DIRECTIONS[STATUSES[status]]}."

    return _once_each((lists.interests.topics, percent, lists.interests.status), sentence)


def _once_each(columns: tuple[np.ndarray, ...], sentence: Callable[..., str]) -> pa.StringArray:
    """(r,) the sentence of each row of columns, each (r,) int; rows that are equal are put into words once."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        code = code * (int(column.max(initial=0)) + 2) + (column + 1)
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    distinct = [sentence(*row) for row in zip(*(column[first].tolist() for column in columns), strict=True)]
    return pa.array(distinct, pa.string()).take(pa.array(place))


def origins(lists: Lists) -> pa.StringArray:
    """(r,) name of the member that gave most to each row."""
    return pa.array(MEMBERS, pa.string()).take(pa.array(lists.origins))
