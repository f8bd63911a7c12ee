"""A planted world: synthetic logs with known truth, one preset per kind of business. numpy only.

Users hold interests in a few topics that stay, grow, fade or appear on some day; items are born, are new for a while
and age; people act in sessions. Each preset writes its log in another form, so that together they use every feature
of a mapping. The truth lies beside the log in _truth.json.
"""

import csv
import gzip
import io
import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from interest_model.errors import UsageError
from interest_model.sample_words import COMMENTS
from interest_model.sample_world import DAY, PRESETS, Event, World, make_events, make_world


def write_log(
    folder: str | Path,
    preset: str,
    users: int = 400,
    days: int = 28,
    seed: int = 7,
    first_day: date = date(2026, 1, 1),
    items: int = 300,
) -> World:
    """Writes a log, its item files and _truth.json below `folder`; the mapping is conf/sources/<preset>.yaml.

    The same arguments give the same bytes. UsageError: no such preset, or fewer than one user, day or item.
    """
    if preset not in PRESETS:
        raise UsageError(f"no sample preset '{preset}'", f"take one of: {', '.join(PRESETS)}")
    if min(users, days, items) < 1:
        raise UsageError("a sample log needs at least one user, one day and one item")
    rng = np.random.default_rng([seed, list(PRESETS).index(preset)])
    world = make_world(preset, users, days, items, first_day, rng)
    events = make_events(world, rng)
    folder = Path(folder)
    _WRITERS[preset](folder, world, events, rng)
    _write(folder / "_truth.json", json.dumps(truth(world), indent=1))
    return world


def truth(world: World) -> dict:
    """What was planted: each user's shares on the first and last day and how each chosen topic moves."""
    names = [topic for _, topic in world.topics]
    first, last = world.shares(0), world.shares(world.days - 1)
    return {
        "preset": world.preset,
        "topics": names,
        "items": {_item_id(i): names[topic] for i, topic in enumerate(world.item_topic)},
        "users": {
            _user_id(user): {
                "change_day": str(world.first_day + timedelta(days=int(world.change_day[user]))),
                "moves": world.moves[user],
                "first_shares": [round(float(share), 4) for share in first[user]],
                "last_shares": [round(float(share), 4) for share in last[user]],
            }
            for user in range(len(first))
        },
    }


def _user_id(user: int) -> str:
    return f"u{user + 1:05d}"


def _item_id(item: int) -> str:
    return f"i{item + 1:05d}"


def _moment(world: World, second: int) -> datetime:
    return datetime.combine(world.first_day, datetime.min.time()) + timedelta(seconds=int(second))


def _epoch(world: World, second: int) -> int:
    return int((_moment(world, second) - datetime(1970, 1, 1)).total_seconds())


def _by_day(world: World, rows: list[tuple[int, object]]) -> dict[date, list]:
    """Day -> rows, from (second, row) pairs in order; every day of the log is there, late rows go on past its end."""
    days: dict[date, list] = {world.first_day + timedelta(days=i): [] for i in range(world.days)}
    for second, row in rows:
        days.setdefault(world.first_day + timedelta(days=second // DAY), []).append(row)
    return days


def _write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode(encoding)
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    path.write_bytes(content)


def _csv(header: list[str] | None, rows: list, separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows(([header] if header else []) + rows)
    return text.getvalue()


def _json_lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _categories(world: World, item: int) -> tuple[str, str]:
    return world.topics[int(world.item_topic[item])]


def _born(world: World, item: int) -> date:
    return world.first_day + timedelta(days=int(world.item_born[item]))


def _write_shop(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """Day files of CSV in local time; guests without an id, and lines that were sent twice."""
    rows = []
    for one in events:
        user = "" if rng.random() < 0.03 else _user_id(one.user)
        quantity = int(rng.integers(1, 4)) if one.kind == "purchase" else 1
        row = [f"s{one.session}", user, _item_id(one.item), one.kind, quantity, _moment(world, one.second)]
        rows += [(one.second, row)] * (2 if rng.random() < 0.005 else 1)
    header = ["session", "customer", "product", "action", "quantity", "time"]
    for day, lines in _by_day(world, rows).items():
        _write(folder / f"{day}.csv", _csv(header, lines))
    prices = rng.lognormal(3.0, 0.7, len(world.titles)).round(2)
    products = [
        [_item_id(i), title, *_categories(world, i), prices[i]] for i, title in enumerate(world.titles)
    ]  # fmt: skip
    _write(folder / "products.csv", _csv(["product", "name", "department", "category", "price"], products))


def _write_news(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """Compressed JSON lines with nested fields; articles in dated files of their own."""
    rows = [
        (one.second, {
            "reader": {"id": _user_id(one.user)}, "article": _item_id(one.item), "action": one.kind,
            "at": _epoch(world, one.second) * 1000,
            "seconds": None if one.kind == "share" else round(float(rng.lognormal(3.0, 1.0)), 1),
        })
        for one in events
    ]  # fmt: skip
    for day, lines in _by_day(world, rows).items():
        _write(folder / "events" / f"{day}.jsonl.gz", _json_lines(lines))
    articles = sorted(
        (max(0, int(world.item_born[i])) * DAY, i, {
            "article": _item_id(i), "headline": title, "sections": list(_categories(world, i)),
            "published": f"{_born(world, i)}T06:00:00Z",
        })
        for i, title in enumerate(world.titles)
    )  # fmt: skip
    for day, lines in _by_day(world, [(second, row) for second, _, row in articles]).items():
        _write(folder / "articles" / f"{day}.jsonl", _json_lines(lines))


def _write_video(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """Compressed tab-separated files without a header, in folders by day; own event ids; some lines a day late."""
    rows = []
    for number, one in enumerate(events):
        share = round(float(rng.beta(2.0, 1.5)), 3)
        line = [f"e{number}", _epoch(world, one.second), _user_id(one.user), _item_id(one.item), share]
        rows.append((one.second + DAY * min(1, one.late_days), line))
    for day, lines in _by_day(world, sorted(rows, key=lambda row: row[0])).items():
        _write(folder / f"{day:%Y/%m/%d}" / "watch.tsv.gz", _csv(None, lines, "\t"))
    videos = [
        [_item_id(i), title, "/".join(_categories(world, i)), _born(world, i)] for i, title in enumerate(world.titles)
    ]
    _write(folder / "videos.tsv", _csv(None, videos, "\t"))


def _write_music(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """JSON lines whose own fields describe the track: no item file."""
    rows = []
    for one in events:
        genre, style = _categories(world, one.item)
        rows.append((one.second, {
            "listener": _user_id(one.user), "track": _item_id(one.item), "title": world.titles[one.item],
            "genre": genre, "style": style, "event": one.kind, "time": f"{_moment(world, one.second).isoformat()}Z",
            "played_seconds": int(rng.integers(3, 30) if one.kind == "skip" else rng.integers(120, 300)),
        }))  # fmt: skip
    for day, lines in _by_day(world, rows).items():
        _write(folder / f"plays-{day:%Y%m%d}.jsonl", _json_lines(lines))


def _write_social(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """CSV with semicolons in windows-1252, quoted words of the users."""
    rows = []
    for one in events:
        words = str(rng.choice(COMMENTS)) if one.kind == "comment" else ""
        line = [
            _user_id(one.user),
            _item_id(one.item),
            one.kind,
            _moment(world, one.second).strftime("%d/%m/%Y %H:%M:%S"),
            words,
        ]
        rows.append((one.second, line))
    header = ["member", "post", "reaction", "when", "words"]
    for day, lines in _by_day(world, rows).items():
        _write(folder / f"{day}.csv", _csv(header, lines, ";"), "windows-1252")
    posts = [[_item_id(i), title, _categories(world, i)[1]] for i, title in enumerate(world.titles)]
    _write(folder / "posts.csv", _csv(["post", "title", "topic"], posts, ";"), "windows-1252")


def _write_travel(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """CSV with the place of each event and local times that state their offset."""
    cities = (("Lisbon", 38.72, -9.14, 0), ("Vienna", 48.21, 16.37, 1), ("Boston", 42.36, -71.06, -5))
    city_of = rng.integers(0, len(cities), len(world.titles))
    places = rng.normal(0.0, 0.03, (len(world.titles), 2))
    rows = []
    for one in events:
        city, latitude, longitude, offset = cities[city_of[one.item]]
        local = _moment(world, one.second + offset * 3600).replace(tzinfo=timezone(timedelta(hours=offset)))
        spot = [round(latitude + places[one.item, 0], 5), round(longitude + places[one.item, 1], 5)]
        line = [_user_id(one.user), _item_id(one.item), one.kind, local.isoformat(), offset * 60, city, *spot]
        rows.append((one.second, line))
    header = ["guest", "venue", "action", "local time", "offset", "city", "lat", "lon"]
    for day, lines in _by_day(world, rows).items():
        _write(folder / f"visits_{day}.csv", _csv(header, lines))
    venues = []
    for i, title in enumerate(world.titles):
        city, latitude, longitude, _ = cities[city_of[i]]
        spot = [round(latitude + places[i, 0], 5), round(longitude + places[i, 1], 5)]
        venues.append([_item_id(i), f"{title}, {city}", "|".join(_categories(world, i)), *spot])
    _write(folder / "venues.csv", _csv(["venue", "name", "kinds", "lat", "lon"], venues))


def _write_games(folder: Path, world: World, events: list[Event], rng: np.random.Generator) -> None:
    """One growing file with pipes and an arrival time of its own: lines reach it up to three days late."""
    rows = []
    for one in events:
        arrival = one.second + 60 + one.late_days * DAY
        minutes = "" if one.kind == "review" else round(float(rng.lognormal(3.2, 0.8)), 1)
        stars = int(rng.integers(1, 6)) if one.kind == "review" else ""
        line = [
            _epoch(world, arrival),
            _epoch(world, one.second),
            _user_id(one.user),
            _item_id(one.item),
            one.kind,
            minutes,
            stars,
        ]
        rows.append((arrival, line))
    lines = [line for _, line in sorted(rows, key=lambda row: (row[0], row[1][2], row[1][3]))]
    header = ["received", "happened", "player", "game", "event", "minutes", "stars"]
    _write(folder / "telemetry.psv", _csv(header, lines, "|"))
    games = [[_item_id(i), title, *_categories(world, i)] for i, title in enumerate(world.titles)]
    _write(folder / "games.psv", _csv(["game", "title", "shelf", "genre"], games, "|"))


_WRITERS = {
    "shop": _write_shop, "news": _write_news, "video": _write_video, "music": _write_music, "social": _write_social,
    "travel": _write_travel, "games": _write_games,
}  # fmt: skip
