"""Pseudonyms of users and encryption of refused lines. No Spark.

A user's pseudonym is HMAC-SHA256 of the log's own user id under a secret key, so that nobody without the key can go
from a table back to the log by trying ids. Refused lines hold the plain id and are kept as Fernet tokens.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from interest_model.errors import DataError, SetupError

USER_KEY = "INTEREST_USER_KEY"
RAW_KEY = "INTEREST_RAW_KEY"
KEY_FILE = "keys.json"
_NOTED = "user_key.fingerprint"
PSEUDONYM_LENGTH = 32
_LEAST_KEY_LENGTH = 16
_REMEDY = (
    f"set {USER_KEY} to a secret of {_LEAST_KEY_LENGTH} characters or more and {RAW_KEY} to the output of "
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"; keep both: other keys '
    "make other users of the same people"
)


@dataclass(frozen=True)
class Keys:
    """The two secrets. They never show in a repr, a plan or a log line."""

    user: bytes = field(repr=False)
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.user) < _LEAST_KEY_LENGTH:
            raise SetupError(f"{USER_KEY} is shorter than {_LEAST_KEY_LENGTH} characters", _REMEDY)
        try:
            Fernet(self.raw)
        except ValueError as error:
            raise SetupError(f"{RAW_KEY} is no Fernet key", _REMEDY) from error


def keys_of_tables(folder: Path, environment: Mapping[str, str], make: bool = False) -> tuple[Keys, bool]:
    """The keys of the tables that `folder` lies beside, and whether they were made just now (`make`: local mode).

    SetupError: as load_keys, or the user key is not the one noted there, and would make other users of the same people.
    """
    file, noted = folder / KEY_FILE, folder / _NOTED
    keys, made = load_keys(environment, file if file.exists() or (make and not noted.exists()) else None)
    if noted.exists() and noted.read_text(encoding="ascii") != _fingerprint(keys):
        raise SetupError(
            f"{USER_KEY} is not the key that these tables were first written with ({noted})",
            "set it to that key: with another one all people become new users; where no event was written yet, remove "
            "the file",
        )
    return keys, made


def note_user_key(folder: Path, keys: Keys) -> None:
    """Keeps in `folder` what tells another user key from this one, unless one is noted."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_once(folder / _NOTED, _fingerprint(keys))


def _fingerprint(keys: Keys) -> str:
    return hmac.digest(keys.user, b"the user key of these tables", hashlib.sha256).hex()


def load_keys(environment: Mapping[str, str], key_file: Path | None = None) -> tuple[Keys, bool]:
    """The keys and whether they were made just now.

    They come from the environment; where both are unset and `key_file` is given (local mode), from that file, which is
    made on first use (mode 0600). SetupError: only one is set, a key is unusable, or others may read the file.
    """
    given = [environment.get(USER_KEY), environment.get(RAW_KEY)]
    if all(given):
        return Keys(given[0].encode(), given[1].encode()), False
    if any(given):
        missing = USER_KEY if not given[0] else RAW_KEY
        raise SetupError(f"{missing} is not set, but the other key is", _REMEDY)
    if key_file is None:
        raise SetupError(f"{USER_KEY} and {RAW_KEY} are not set", _REMEDY)
    made = _make_key_file(key_file)
    return _read_key_file(key_file), made


def _make_key_file(path: Path) -> bool:
    """True where the file was made; False where it was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return _write_once(path, json.dumps({USER_KEY: secrets.token_hex(32), RAW_KEY: Fernet.generate_key().decode()}))


def _write_once(path: Path, content: str) -> bool:
    """Writes a file that its owner alone may read (mode 0600), unless it is there: whole or not at all, also for two at
    once. True where it was written."""
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
    try:
        os.link(draft, path)  # fails where another process was first: its keys then hold
        return True
    except FileExistsError:
        return False
    finally:
        draft.unlink()


def _read_key_file(path: Path) -> Keys:
    if path.stat().st_mode & 0o077:
        raise SetupError(f"{path}: others than its owner may read the keys", f"chmod 600 {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Keys(content[USER_KEY].encode(), content[RAW_KEY].encode())
    except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
        raise SetupError(f"{path}: is no key file", f"restore it from a copy, or {_REMEDY}") from error


def pseudonym(key: bytes, plain: str) -> str:
    """First 32 hex digits of HMAC-SHA256 (RFC 2104) of the log's user id, as the mapping gives it."""
    return hmac.digest(key, plain.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:PSEUDONYM_LENGTH]


def encrypt(key: bytes, raw: bytes) -> str:
    """Fernet token of a raw line."""
    return Fernet(key).encrypt(raw).decode("ascii")


def decrypt(key: bytes, token: str) -> bytes:
    """The raw line again. DataError: the token was made with another key, or is damaged."""
    try:
        return Fernet(key).decrypt(token.encode("ascii"))
    except (InvalidToken, UnicodeEncodeError) as error:
        raise DataError(
            "a refused line cannot be decrypted with this key", f"use the {RAW_KEY} of its night"
        ) from error
