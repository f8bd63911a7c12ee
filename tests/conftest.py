"""Shared fixtures. One Spark session for each pytest worker, made only when a test asks for it."""

import os

# small tensors: threads cost more than they give, and on a busy machine they wait for each other. Before torch is there
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from filelock import FileLock

LONGEST_FIRST = ("test_nights.py", "test_nights_without_items.py", "test_train_job.py", "test_commands.py")
"""Files of minutes. Were they last, one worker would end long before the other. The first makes the two nights that
others read; the second, which runs beside it, needs none of them, the third the first of them alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One local session with Delta, two cores, UTC; stopped at the end of the run."""
    from interest_model.session import start_session

    session = start_session("tests", master="local[2,2]", scratch=tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """Folder of the real logs; tests that need it are skipped where INTEREST_DATA_DIR is not set."""
    folder = os.environ.get("INTEREST_DATA_DIR")
    if not folder:
        pytest.skip("INTEREST_DATA_DIR is not set: it names the folder of the real logs")
    return Path(folder)


@pytest.fixture(scope="session")
def fixed_keys():
    """The same secrets for every warehouse of the run, so that they can be compared."""
    keys = {"INTEREST_USER_KEY": "k" * 32, "INTEREST_RAW_KEY": "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="}
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    yield keys
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A function that gives a folder which the first worker of the run that asks for it makes, and the others wait for:
    a night takes minutes. Read it only, or copy it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, finished = shared / name, shared / f"{name}.finished"
        with FileLock(shared / f"{name}.lock"):
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a worker that failed has left
                make(folder)
                finished.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def sample_log(made_once) -> Path:
    """A small planted shop: nine days of day files from 2026-01-01."""
    from interest_model.sample import write_log

    return made_once(
        "sample_log", lambda folder: write_log(folder, "shop", users=80, days=9, seed=1, first_day=date(2026, 1, 1))
    )


@pytest.fixture(scope="session")
def run_nights(spark, fixed_keys):
    """A function that runs nights of the shop preset in the shared session and returns the last one."""
    from interest_model.commands import each_night
    from tests.nights import options

    def run(raw: Path, warehouse: Path, first: date, last: date | None = None, **more):
        return list(each_night(options(raw, warehouse, first, last, **more), spark))[-1]

    return run


@pytest.fixture(scope="session")
def first_night_warehouse(run_nights, sample_log, made_once) -> Path:
    """Tables of the last night but one of the sample, which takes in all days before it."""
    return made_once("first_night", lambda warehouse: run_nights(sample_log, warehouse, date(2026, 1, 8)))


@pytest.fixture(scope="session")
def night_warehouse(run_nights, sample_log, first_night_warehouse, made_once) -> Path:
    """Tables of the last two nights of the sample, so that the second has lists to judge."""

    def second_night(warehouse: Path) -> None:
        shutil.copytree(first_night_warehouse, warehouse)
        run_nights(sample_log, warehouse, date(2026, 1, 9))

    return made_once("two_nights", second_night)
