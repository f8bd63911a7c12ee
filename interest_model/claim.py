"""The exclusive claim of one run on one day: a file that only one process can create."""

import json
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from interest_model.errors import ClaimError, SetupError


def default_owner() -> str:
    """Host, process and a time: names one running command."""
    return f"{socket.gethostname()}:{os.getpid()}:{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def days_held(folder: Path) -> list[date]:
    """The days whose claim somebody holds."""
    return [date.fromisoformat(one.stem) for one in folder.glob("[0-9]*.json")]


@dataclass(frozen=True)
class Claim:
    """A claim file for a day, below the folder `folder`."""

    folder: Path
    run_date: date
    owner: str

    @property
    def file(self) -> Path:
        return self.folder / f"{self.run_date}.json"

    def take(self, takeover: bool = False) -> bool:
        """True where the claim was taken now, False where this owner held it already.

        ClaimError: another owner holds it; `takeover` replaces such a claim (for one whose run has died).
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"owner": self.owner, "start": datetime.now(UTC).isoformat(timespec="seconds")})
        try:
            self._create(content)
            return True
        except FileExistsError:
            held = self.holder()
        if held.get("owner") == self.owner:
            return False
        if not takeover:
            raise ClaimError(
                f"run_date {self.run_date} is claimed by {held.get('owner', 'nobody that the file names')} "
                f"since {held.get('start', 'an unknown time')} ({self.file})",
                "wait for that run; where it has died, run again with --takeover",
            )
        self._replace(content)
        return True

    def _create(self, content: str) -> None:
        # link() makes the finished file appear at once: no reader ever sees an empty claim
        draft = self._draft(content)
        try:
            os.link(draft, self.file)
        except FileExistsError:
            raise
        except OSError as error:
            raise SetupError(
                f"{self.file}: this file system has no hard links, which claims need ({error})",
                "keep the warehouse on another; where it is named as a URI, point INTEREST_STATE_DIR at a folder there",
            ) from error
        finally:
            draft.unlink()

    def _replace(self, content: str) -> None:
        os.replace(self._draft(content), self.file)

    def _draft(self, content: str) -> Path:
        # a name of its own for each attempt: threads of one process may try at once
        draft = self.folder / f".{self.run_date}.{uuid.uuid4().hex}"
        with draft.open("w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a machine that goes down leaves a whole claim or none
        return draft

    def holder(self) -> dict:
        """Owner and start of the claim in force; empty where nobody holds the day, or nobody knows who."""
        try:
            return json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def release(self) -> None:
        """Gives the day back, where this owner still holds it."""
        if self.holder().get("owner") == self.owner:
            self.file.unlink(missing_ok=True)
