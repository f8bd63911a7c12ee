"""A trained model with all it takes to score people: what the registry keeps. torch, no Spark, no pickle."""

import copy
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from interest_model.interest import model as zoo
from interest_model.interest.model import SequenceModel
from interest_model.recommend.attributes import KnownItems
from interest_model.recommend.histories import Histories
from interest_model.training.batches import Sequences
from interest_model.training.item_coding import features
from interest_model.training.ranking import Cases, scored_lists

_FACTS = "facts.json"
_PLACE = ("latitudes", "longitudes")


class Packaged(NamedTuple):
    """item_ids (n,) str: of the model's catalogue; facts: trained_until (days since 1970-01-01 UTC, nothing later was
    seen), encoder (version of the text vectors), repeats (people come back to items), coding (see
    item_coding.coding); digest: sha2-256 of the files it was loaded from."""

    model: SequenceModel
    item_ids: np.ndarray
    facts: dict
    digest: str = ""

    def with_catalogue(self, items: KnownItems, encoder: str) -> SequenceModel:
        """A copy of the model over another catalogue: known items keep their embedding, new ones score by their text,
        price and attributes.

        Text vectors of another encoder (or none at all) mean nothing to it: then known items keep their old ones, new
        ones have none.
        """
        old = {name: position for position, name in enumerate(self.item_ids.tolist())}
        places = np.array([old.get(name, -1) for name in items.item_ids.tolist()], dtype=np.int64)
        own = self.model.tower.features
        rows = np.where(places >= 0, own.id_rows[np.maximum(places, 0)], -1)
        read, texts = features(items, self.facts["coding"]), own.vectors["text"]
        if encoder != self.facts["encoder"] or items.texts.shape[1] != texts.shape[1]:
            read.vectors["text"] = np.where(places[:, None] >= 0, texts[places], 0.0)
        moved = copy.deepcopy(self.model)  # item_ids go with the model as it is: the next catalogue starts there again
        moved.set_catalogue(read._replace(id_rows=rows))
        return moved

    def recommend(self, frame: pd.DataFrame, length: int) -> pd.DataFrame:
        """One row (items, scores) for each row (items, days, at_day): the best `length` items, best first.

        items: lists of item ids, oldest first; days: when, days since 1970-01-01 UTC; at_day: when the list is made;
        latitudes, longitudes, where the frame has them: where, in degrees, for a model that reads places. Items that
        the catalogue does not know are left out of the history; where nothing is left, the list is empty. Rows of one
        at_day are scored together. ValueError: length below 1, at_day no number, days no numbers, not ascending or
        after at_day; it names the column and the row by the frame's index.
        """
        _check(frame, length)
        position = {name: place for place, name in enumerate(self.item_ids.tolist())}
        found: list = [None] * len(frame)
        for at_day, rows in frame.groupby(np.asarray(frame["at_day"], dtype=np.float64)).indices.items():
            cases = _cases(frame.iloc[rows], position, float(at_day), self.facts["repeats"])
            lists, scores = scored_lists(self.model, cases, length)
            lists[cases.sequences.histories.lengths == 0] = -1  # the state of nobody puts items in no order
            for row, items, values in zip(rows, lists, scores, strict=True):
                found[row] = self.item_ids[items[items >= 0]].tolist(), values[items >= 0].tolist()
        return pd.DataFrame(found, columns=["items", "scores"], index=frame.index)


def save(packaged: Packaged, folder: Path) -> None:
    zoo.save(packaged.model, folder)
    (folder / _FACTS).write_text(json.dumps(packaged.facts | {"item_ids": packaged.item_ids.tolist()}))


def load(folder: Path) -> Packaged:
    """What `save` wrote, on the CPU, ready to score."""
    facts = json.loads((folder / _FACTS).read_text())
    return Packaged(zoo.load(folder), np.array(facts.pop("item_ids"), dtype=object), facts, _digest(folder))


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(one for one in folder.iterdir() if one.is_file()):
        content = file.read_bytes()
        found.update(f"{file.name} {len(content)} ".encode() + content)
    return found.hexdigest()


def _check(frame: pd.DataFrame, length: int) -> None:
    if length < 1:
        raise ValueError(f"parameter length: must be at least 1, found {length}")
    for row, at_day, days in zip(frame.index, frame["at_day"], frame["days"], strict=True):
        whole = np.append(np.asarray(days, dtype=np.float64), np.float64(at_day))
        if not np.isfinite(whole[-1]):
            raise ValueError(f"row {row}, column at_day: must be a number, found {at_day}")
        if not np.isfinite(whole).all() or (np.diff(whole) < 0).any():
            raise ValueError(f"row {row}, column days: must ascend to at_day ({at_day}), found {list(days)[:10]}")
    for name in [one for one in ("items", *_PLACE) if one in frame]:
        for row, days, values in zip(frame.index, frame["days"], frame[name], strict=True):
            if _absent(values) and name in _PLACE:
                continue
            if _absent(values) or isinstance(values, str) or len(values) != len(days):
                raise ValueError(
                    f"row {row}, column {name}: must be a list as long as column days, found {values!r:.80}"
                )


def _absent(values) -> bool:
    return values is None or values is pd.NA or np.isscalar(values) and bool(pd.isna(values))


def _cases(frame: pd.DataFrame, position: dict[str, int], at_day: float, repeats: bool) -> Cases:
    columns = ["items", "days", *(name for name in _PLACE if name in frame)]
    rows = zip(*(frame[name] for name in columns), strict=True)
    whole = ([[np.nan] * len(lists[1]) if _absent(one) else one for one in lists] for lists in rows)  # null: no places
    users = [
        [(position[name], *rest) for name, *rest in zip(*lists, strict=True) if name in position] for lists in whole
    ]
    events = np.array([event for one in users for event in one], dtype=np.float64).reshape(-1, len(columns))
    items, days, places = events[:, 0].astype(np.int32), events[:, 1], events[:, 2:].astype(np.float32)
    indptr, ones = np.cumsum([0, *map(len, users)]), np.ones(len(items), np.float32)
    names = np.arange(len(users)).astype(str)
    histories = Histories(names, indptr, items, days, ones, places if len(columns) == 4 else None)
    nobody = np.zeros(0, dtype=np.int64)
    return Cases(Sequences(histories), nobody, nobody, at_day, repeats)
