import hashlib
import hmac
import stat
import threading

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from interest_model.errors import DataError, SetupError
from interest_model.privacy import (
    KEY_FILE,
    RAW_KEY,
    USER_KEY,
    Keys,
    decrypt,
    encrypt,
    keys_of_tables,
    load_keys,
    note_user_key,
    pseudonym,
)

FERNET = Fernet.generate_key()


def test_pseudonym_is_hmac_sha256_cut_to_32_digits():
    # RFC 4231, test case 2
    whole = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert pseudonym(b"Jefe", "what do ya want for nothing?") == whole[:32]


@given(st.text())
def test_pseudonym_of_any_text(plain):
    expected = hmac.new(b"k" * 32, plain.encode(), hashlib.sha256).hexdigest()[:32]
    assert pseudonym(b"k" * 32, plain) == expected


@given(st.binary(max_size=200))
def test_a_refused_line_comes_back_with_its_key_only(raw):
    token = encrypt(FERNET, raw)
    assert decrypt(FERNET, token) == raw
    with pytest.raises(DataError):
        decrypt(Fernet.generate_key(), token)


def test_keys_do_not_show():
    assert "secret" not in repr(Keys(b"secret-secret-secret", FERNET))


def test_keys_from_the_environment_win_over_the_file(tmp_path):
    environment = {USER_KEY: "u" * 16, RAW_KEY: FERNET.decode()}
    keys, made = load_keys(environment, tmp_path / "keys.json")
    assert (keys.user, keys.raw, made) == (b"u" * 16, FERNET, False)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "are not set"),
        ({USER_KEY: "u" * 16}, RAW_KEY),
        ({RAW_KEY: FERNET.decode()}, USER_KEY),
        ({USER_KEY: "short", RAW_KEY: FERNET.decode()}, "shorter"),
        ({USER_KEY: "u" * 16, RAW_KEY: "no key"}, "no Fernet key"),
    ],
)
def test_missing_or_unusable_keys_say_what_to_do(environment, words):
    with pytest.raises(SetupError, match=words) as caught:
        load_keys(environment)
    assert "u" * 16 not in str(caught.value) and caught.value.remedy


def test_local_key_file_is_made_once_and_private(tmp_path):
    path = tmp_path / "tables" / "keys.json"
    first, made = load_keys({}, path)
    again, made_again = load_keys({}, path)
    assert (made, made_again) == (True, False)
    assert first.user == again.user and first.raw == again.raw
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["keys.json"]


def test_key_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "keys.json"
    load_keys({}, path)
    path.chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        load_keys({}, path)


def test_damaged_key_file_is_refused(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text("[]", encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(SetupError, match="is no key file"):
        load_keys({}, path)


def test_many_makers_agree_on_one_key_file(tmp_path):
    path, seen = tmp_path / "keys.json", []
    threads = [threading.Thread(target=lambda: seen.append(load_keys({}, path))) for _ in range(8)]
    [one.start() for one in threads], [one.join() for one in threads]
    assert len({keys.user for keys, _ in seen}) == 1
    assert sum(made for _, made in seen) == 1


def test_tables_know_another_user_key(tmp_path):
    own = {USER_KEY: "u" * 16, RAW_KEY: FERNET.decode()}
    keys, _ = keys_of_tables(tmp_path, own, make=True)
    note_user_key(tmp_path, keys)
    assert keys_of_tables(tmp_path, own, make=True)[0] == keys
    assert keys_of_tables(tmp_path, own | {RAW_KEY: Fernet.generate_key().decode()})[0].user == keys.user
    with pytest.raises(SetupError, match="not the key that these tables were first written with"):
        keys_of_tables(tmp_path, own | {USER_KEY: "v" * 16}, make=True)
    # a shell without the keys makes none beside tables that have theirs from elsewhere
    with pytest.raises(SetupError, match=f"{USER_KEY} and {RAW_KEY} are not set"):
        keys_of_tables(tmp_path, {}, make=True)
    assert not (tmp_path / KEY_FILE).exists()
    assert b"u" * 16 not in b"".join(one.read_bytes() for one in tmp_path.iterdir())


def test_keys_made_on_first_use_are_those_of_the_tables(tmp_path):
    keys, made = keys_of_tables(tmp_path / "_keys", {}, make=True)
    note_user_key(tmp_path / "_keys", keys)
    assert made and keys_of_tables(tmp_path / "_keys", {}) == (keys, False)
