"""Shared fixtures. One Spark session for the whole run, made only when a test asks for it."""

import os
from pathlib import Path

import pytest


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
