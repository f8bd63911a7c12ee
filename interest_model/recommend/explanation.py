"""One sentence a person can read for each recommendation. numpy only, no Spark."""

import numpy as np

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


def reasons(lists: Lists, titles: np.ndarray) -> np.ndarray:
    """(r,) str: the sentence for each row of `lists`, from the member that gave most and the own item that speaks for
    it.

    titles (n,) str: a name to show for each catalogue item; an empty one reads "an item". Dates are UTC days.
    """
    named = np.array([title.strip() or "an item" for title in titles], dtype=object)
    shown = np.where(np.isnan(lists.evidence_days), 0.0, lists.evidence_days)
    dates = np.floor(shown).astype("datetime64[D]").astype(str)
    sentences = np.full(len(lists.items), _WITHOUT_EVIDENCE, dtype=object)
    for code, member in enumerate(MEMBERS):
        sentence = _SENTENCES[member]
        rows = np.flatnonzero(lists.origins == code)
        if "{" not in sentence:
            sentences[rows] = sentence
            continue
        rows = rows[lists.evidence[rows] >= 0]
        evidence = zip(named[lists.evidence[rows]], dates[rows], strict=True)
        sentences[rows] = [sentence.format(title=title, date=date) for title, date in evidence]
    return sentences


def origins(lists: Lists) -> np.ndarray:
    """(r,) str: name of the member that gave most to each row."""
    return np.array(MEMBERS, dtype=object)[lists.origins]
