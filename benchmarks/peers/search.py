"""Peers whose one fit serves both variants: every setting judged on the inner slice, the best of each variant refitted.

Beside models.py, which fits anew for each variant: fine for models that take seconds, not for these.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from models import Log, inner_split, ndcg, read_log, to_find, write_lists  # the file beside this one

Lister = Callable[[np.ndarray, str, int], np.ndarray]  # users (u,), variant, length -> lists (u, length), -1 for none


class Peer(NamedTuple):
    """candidates(log): each setting to try, with its lists once fitted on the log; fit(log, setting): one of them."""

    name: str
    candidates: Callable[[Log], Iterator[tuple[object, Lister]]]
    fit: Callable[[Log, object], Lister]


def run(peer: Peer, folder: Path) -> None:
    """Search, refit and write the lists of every variant; folder: see interest_model/evaluation/peers.py."""
    start = time.monotonic()
    log, user_ids, queried, facts = read_log(folder)
    chosen = best_settings(peer.candidates, log, facts["variants"])
    for setting in dict.fromkeys(one for one, _ in chosen.values()):
        lists = peer.fit(log, setting)
        for variant in (name for name, (one, _) in chosen.items() if one == setting):
            file = folder / "lists" / f"{peer.name}-{variant}.parquet"
            write_lists(file, user_ids[queried], lists(queried, variant, facts["length"]))
            seconds = time.monotonic() - start
            figure = chosen[variant][1]
            print(f"{peer.name} {variant}: setting {setting}, inner NDCG@10 {figure:.4f}, {seconds:.0f} s", flush=True)


def best_settings(candidates, log: Log, variants: Sequence[str]) -> dict[str, tuple[object, float]]:
    """Variant to the setting with the best NDCG@10 on the inner slice, the first of equals, and that figure."""
    start = time.monotonic()
    inner, users, truth = inner_split(log)
    wanted = {variant: to_find(inner, truth, users, variant) for variant in variants}
    best: dict[str, tuple[object, float]] = {}
    for setting, lists in candidates(inner):
        figures = {variant: ndcg(lists(users, variant, 10), wanted[variant]) for variant in variants}
        for variant, figure in figures.items():
            if variant not in best or figure > best[variant][1]:
                best[variant] = setting, figure
        said = ", ".join(f"{variant} {figure:.4f}" for variant, figure in figures.items())
        print(f"  {setting}: {said}, {time.monotonic() - start:.0f} s", flush=True)
    return best
