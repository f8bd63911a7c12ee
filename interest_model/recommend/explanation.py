"""What a person can read for each recommendation: where it comes from and which interest it speaks to. No Spark."""

import numpy as np

from interest_model.interest.status import STATUSES
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.scoring import Lists

_SENTENCES = {
    "popularity": "Popular these days.",
    "trend": "Popular right now.",
    "slow": "Popular for some time.",
    "new": "New and popular.",
    "transitions": "Often chosen after {title}, which you chose on {date}.",
    "lift": "Goes with {title}, which you chose on {date}.",
    "ease": "Because you chose {title} on {date}.",
    "content": "Similar to {title}, which you chose on {date}.",
    "own": "You come back to this; last time on {date}.",
    "own_recent": "You chose this lately, on {date}.",
}
_WITHOUT_EVIDENCE = "Fits what you chose before."


_DIRECTIONS = {
    "new": "new", "rising": "rising", "stable": "steady", "fading": "fading", "gone": "long past",
    "returning": "coming back",
}  # fmt: skip


def reasons(lists: Lists, titles: np.ndarray, topic_names: np.ndarray) -> np.ndarray:
    """(r,) str: a sentence for each row of `lists`, from the member that gave most and the own item that speaks for it;
    and one on the interest it speaks to, how strong that is and where it is going.

    titles (n,) str: a name to show for each catalogue item; an empty one reads "an item"; topic_names (k,) str. Dates
    are UTC days.
    """
    sentences = _origin_sentences(lists, titles)
    rows = np.flatnonzero(lists.interests.topics >= 0)
    names = topic_names[lists.interests.topics[rows]]
    moves = [_DIRECTIONS[STATUSES[code]] for code in lists.interests.status[rows]]
    percent = np.maximum(np.rint(100.0 * lists.interests.shares[rows]), 1.0).astype(int)
    said = [
        f" Your interest in {name} ({share} % of yours) is {move}."
        for name, share, move in zip(names, percent, moves, strict=True)
    ]
    sentences[rows] = sentences[rows] + np.array(said, dtype=object)
    return sentences


def _origin_sentences(lists: Lists, titles: np.ndarray) -> np.ndarray:
    named = np.array([title.strip() or "an item" for title in titles], dtype=object)
    evidence, days = lists.because[:, 0], lists.because_days[:, 0]
    dates = np.floor(np.where(np.isnan(days), 0.0, days)).astype("datetime64[D]").astype(str)
    sentences = np.full(len(lists.items), _WITHOUT_EVIDENCE, dtype=object)
    for code, member in enumerate(MEMBERS):
        sentence = _SENTENCES[member]
        rows = np.flatnonzero(lists.origins == code)
        if "{" not in sentence:
            sentences[rows] = sentence
            continue
        rows = rows[evidence[rows] >= 0]
        pairs = zip(named[evidence[rows]], dates[rows], strict=True)
        sentences[rows] = [sentence.format(title=title, date=date) for title, date in pairs]
    return sentences


def origins(lists: Lists) -> np.ndarray:
    """(r,) str: name of the member that gave most to each row."""
    return np.array(MEMBERS, dtype=object)[lists.origins]
