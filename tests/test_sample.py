import json
from datetime import date

import numpy as np
import pytest

from interest_model.errors import UsageError
from interest_model.sample import write_log
from interest_model.sample_world import PRESETS, make_events, make_world

FIRST_DAY = date(2026, 1, 1)


def small(folder, preset, seed=3):
    return write_log(folder, preset, users=12, days=5, seed=seed, first_day=FIRST_DAY, items=30)


def content(folder):
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


@pytest.mark.parametrize("preset", PRESETS)
def test_same_arguments_same_bytes_other_seed_other_log(tmp_path, preset):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        small(tmp_path / name, preset, seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_every_day_has_a_file(tmp_path):
    small(tmp_path, "shop")
    assert [one.name for one in sorted(tmp_path.glob("2026*.csv"))] == [f"2026-01-0{day}.csv" for day in range(1, 6)]


def test_truth_lies_beside_the_log(tmp_path):
    world = small(tmp_path, "video")
    planted = json.loads((tmp_path / "_truth.json").read_text(encoding="utf-8"))
    assert len(planted["users"]) == 12 and len(planted["items"]) == 30
    shares = planted["users"]["u00001"]["first_shares"]
    assert sum(shares) == pytest.approx(1.0, abs=0.01)
    assert shares == pytest.approx(world.shares(0)[0], abs=1e-4)


def test_planted_interests_show_in_the_events():
    rng = np.random.default_rng(1)
    world = make_world("video", 60, 40, 200, FIRST_DAY, rng)
    events = make_events(world, rng)
    rising = {(u, t) for u, moves in world.moves.items() for t, move in moves.items() if move == "new"}
    names = [topic for _, topic in world.topics]

    def share(early: bool) -> float:
        chosen = [
            (one.user, names[world.item_topic[one.item]]) in rising
            for one in events
            if any(one.user == user for user, _ in rising)
            and (one.second // 86_400 < world.change_day[one.user] if early
                 else one.second // 86_400 > world.change_day[one.user] + 7)
        ]  # fmt: skip
        return sum(chosen) / max(1, len(chosen))

    assert share(early=False) > 2 * share(early=True) + 0.1


def test_no_item_is_used_before_it_is_born():
    rng = np.random.default_rng(2)
    world = make_world("news", 40, 10, 100, FIRST_DAY, rng)
    assert all(one.second // 86_400 >= world.item_born[one.item] - 1 for one in make_events(world, rng))


def test_unknown_preset_and_empty_world_are_refused(tmp_path):
    with pytest.raises(UsageError, match="shop"):
        write_log(tmp_path, "bank")
    with pytest.raises(UsageError, match="at least one"):
        write_log(tmp_path, "shop", users=0)
