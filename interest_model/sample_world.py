"""The planted world behind the sample logs: users, items, interests that move, sessions. numpy only."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

import numpy as np

from interest_model.sample_words import STYLES, THINGS

DAY = 86_400
# share of activity by hour of the day: quiet nights, a peak in the evening
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 6, 7, 7, 6, 6, 7, 7, 6, 6, 7, 8, 10, 12, 12, 10, 7, 4], float)
_MOVES = ("stable", "rising", "fading", "new")
_MOVE_SHARES = (0.5, 0.2, 0.2, 0.1)


@dataclass(frozen=True)
class Preset:
    """What sets one kind of business apart.

    kinds: event type -> share. repeat_share: events that go back to an item the user had. fresh_days: an item's pull
    falls to 1/e in so many days. late_share: lines that reach the log a day (games: up to three) after the event.
    """

    kinds: dict[str, float]
    repeat_share: float
    fresh_days: float
    late_share: float = 0.0


PRESETS = {
    "shop": Preset({"view": 0.7, "cart": 0.15, "purchase": 0.15}, 0.25, 120.0),
    "news": Preset({"click": 0.4, "read": 0.55, "share": 0.05}, 0.0, 2.0),
    "video": Preset({"watch": 1.0}, 0.05, 14.0, late_share=0.03),
    "music": Preset({"play": 0.85, "skip": 0.15}, 0.6, 90.0),
    "social": Preset({"like": 0.6, "comment": 0.3, "share": 0.1}, 0.0, 5.0),
    "travel": Preset({"look": 0.6, "book": 0.1, "check_in": 0.3}, 0.4, 300.0),
    "games": Preset({"play": 0.9, "review": 0.1}, 0.5, 60.0, late_share=0.1),
}


@dataclass(frozen=True)
class Event:
    """One action: seconds since midnight of the first day, and how many days later the line reaches the log."""

    user: int
    item: int
    second: int
    kind: str
    session: int
    late_days: int


@dataclass(frozen=True)
class World:
    """The truth. Interests: (users, topics) strengths at the start and after the change day; items by number."""

    preset: str
    first_day: date
    days: int
    topics: tuple[tuple[str, str], ...]  # section, topic
    before: np.ndarray
    after: np.ndarray
    change_day: np.ndarray
    moves: dict[int, dict[str, str]]  # user -> topic -> move
    item_topic: np.ndarray
    item_born: np.ndarray  # day number, negative: before the log starts
    item_pull: np.ndarray
    titles: tuple[str, ...]

    def shares(self, day: int) -> np.ndarray:
        """Each user's interest in each topic on a day, (users, topics), rows sum to 1. It moves over seven days."""
        progress = np.clip((day - self.change_day) / 7.0, 0.0, 1.0)[:, None]
        strength = self.before * (1 - progress) + self.after * progress
        return strength / strength.sum(axis=1, keepdims=True)


def make_world(preset: str, users: int, days: int, items: int, first_day: date, rng: np.random.Generator) -> World:
    topics = tuple((section, topic) for section, inside in THINGS[preset].items() for topic in inside)
    before = np.full((users, len(topics)), 0.02)
    after = before.copy()
    moves: dict[int, dict[str, str]] = {}
    for user in range(users):
        chosen = rng.choice(len(topics), size=rng.integers(2, 4), replace=False)
        moves[user] = {}
        for topic in chosen:
            move = str(rng.choice(_MOVES, p=_MOVE_SHARES))
            strength = rng.uniform(0.5, 1.5)
            before[user, topic] = {"stable": 1.0, "rising": 0.3, "fading": 1.0, "new": 0.0}[move] * strength
            after[user, topic] = {"stable": 1.0, "rising": 1.5, "fading": 0.1, "new": 1.5}[move] * strength
            moves[user][topics[topic][1]] = move
    born = np.where(rng.random(items) < 0.6, -rng.integers(0, 60, items), rng.integers(0, days, items))
    item_topic = np.arange(items) % len(topics)
    return World(
        preset, first_day, days, topics, before, after, rng.integers(0, max(1, days), users), moves,
        item_topic, born, rng.lognormal(0.0, 0.8, items), _titles(preset, topics, item_topic, rng),
    )  # fmt: skip


def _titles(preset: str, topics, item_topic: np.ndarray, rng: np.random.Generator) -> tuple[str, ...]:
    titles: list[str] = []
    used: dict[str, int] = defaultdict(int)
    for number in item_topic:
        section, topic = topics[number]
        style, thing = rng.choice(STYLES[preset]), rng.choice(THINGS[preset][section][topic])
        title = f"{style} {thing}"
        used[title] += 1
        titles.append(title if used[title] == 1 else f"{title}, no. {used[title]}")
    return tuple(titles)


def make_events(world: World, rng: np.random.Generator) -> list[Event]:
    """All events in order of time. A session stays in one topic; gaps inside it are minutes, between them hours."""
    users = len(world.before)
    preset = PRESETS[world.preset]
    activity = rng.lognormal(-0.9, 0.7, users)
    own: dict[int, list[int]] = defaultdict(list)
    kinds, kind_shares = list(preset.kinds), list(preset.kinds.values())
    events, session = [], 0
    for day in range(world.days):
        shares, pull = world.shares(day), _pull(world, day, preset.fresh_days)
        for user in np.repeat(np.arange(users), rng.poisson(activity)):
            topic = rng.choice(len(world.topics), p=shares[user])
            second = day * DAY + int(rng.choice(24, p=_HOURS / _HOURS.sum())) * 3600 + int(rng.integers(0, 3600))
            session += 1
            for item in _session_items(topic, 1 + rng.poisson(2.5), own[user], world, pull, preset.repeat_share, rng):
                late = int(rng.integers(1, 4)) if rng.random() < preset.late_share else 0
                kind = kinds[int(rng.choice(len(kinds), p=kind_shares))]
                events.append(Event(int(user), int(item), second, kind, session, late))
                second += 5 + int(rng.exponential(150))
    events = [one for one in events if one.second < world.days * DAY]
    return sorted(events, key=lambda one: (one.second, one.user, one.item))


def _pull(world: World, day: int, fresh_days: float) -> np.ndarray:
    age = day - world.item_born
    return np.where(age >= 0, world.item_pull * (0.02 + np.exp(-np.maximum(age, 0) / fresh_days)), 0.0)


def _session_items(topic, count, own, world: World, pull, repeat_share, rng) -> list[int]:
    """Items of one session: mostly of its topic, some of the user's own past, a tenth of whatever is popular."""
    of_topic = np.where(world.item_topic == topic, pull, 0.0)
    chosen = []
    for _ in range(count):
        weights = pull if rng.random() < 0.1 or not of_topic.any() else of_topic
        if own and rng.random() < repeat_share:
            item = own[int(rng.integers(len(own)))]
        elif weights.any():
            item = int(rng.choice(len(weights), p=weights / weights.sum()))
        else:
            continue
        own.append(item)
        chosen.append(item)
    return chosen
