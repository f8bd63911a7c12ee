import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has RecTools: of the environment that `make peers` builds, or named by INTEREST_PEERS_PYTHON."""
    named = os.environ.get("INTEREST_PEERS_PYTHON")
    python = Path(named) if named else ROOT / ".venv-peers" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is not there: run `make peers`, or name a Python with RecTools in INTEREST_PEERS_PYTHON")
    return python
