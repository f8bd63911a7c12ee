"""Events made by hand or at random, for the tests of the history stages."""

import datetime
import hashlib
from zoneinfo import ZoneInfo

import pytest

from interest_model.tables import EVENTS

UTC = datetime.UTC


def event(user, moment, key=None, item="i", arrival=None, zone="UTC", **more):
    """One event as a dict of the columns of table events; its id is a hash of what is given."""
    day = moment.astimezone(ZoneInfo(zone)).date()
    text = f"{user} {moment.isoformat()} {key} {item} {sorted(more.items())}"
    row = dict.fromkeys(EVENTS.names) | {
        "event_id": hashlib.md5(text.encode()).hexdigest(),
        "user_id": user,
        "item_id": item,
        "event_type": "click",
        "event_ts": moment,
        "event_date": day,
        "arrival_date": arrival or day,
        "weight": 1.0,
        "consumption": True,
        "positive": True,
        "session_key": key,
    }
    return row | more


def random_events(rng, n_users, zone="UTC", start=datetime.datetime(2024, 3, 6, tzinfo=UTC), keys=True):
    """Users with runs of events whose gaps lie at, below and above half an hour and ten hours; some arrive late."""
    rows = []
    for number in range(n_users):
        moment = start + datetime.timedelta(minutes=int(rng.integers(0, 2000)))
        for _ in range(int(rng.integers(1, 60))):
            gap = datetime.timedelta(minutes=int(rng.choice([0, 0, 5, 29, 30, 30, 31, 200, 600, 601, 1500])))
            moment += gap + datetime.timedelta(microseconds=int(rng.choice([0, 0, 1])))
            key = str(rng.choice(["a", "b"])) if keys and number % 3 == 0 and rng.random() < 0.8 else None
            item = f"i{rng.integers(0, 20)}"
            one = event(f"u{number}", moment, key, item=item, zone=zone, weight=float(rng.random()))
            late = datetime.timedelta(days=int(rng.choice([0, 0, 0, 1, 3])))
            rows.append(one | {"arrival_date": one["event_date"] + late})
    return list({row["event_id"]: row for row in rows}.values())


@pytest.fixture(scope="session")
def frame_of(spark):
    """A function: list of event dicts -> frame of table events."""
    from interest_model.storage import schema_of

    schema = schema_of(EVENTS, nullable=True)
    return lambda rows: spark.createDataFrame([[row[name] for name in EVENTS.names] for row in rows], schema)


@pytest.fixture
def make_event():
    return event


@pytest.fixture
def make_random_events():
    return random_events
