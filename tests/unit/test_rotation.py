"""The file of keys that rotate: when each key signs and goes, and that nobody ever reads half a file."""

import asyncio
import io
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from asyncauth import Settings
from asyncauth.errors import ConfigurationError
from asyncauth.tokens.jwks import private_jwk
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing
from asyncauth.tokens.own import MAX_BYTES, load_keys, own_refresh, read_file
from asyncauth.tokens.rotation import Pace, create_file, make_key, read_keys, rotate_file, rotated

NOW = 1_700_000_000
PACE = Pace(refresh_seconds=60, token_seconds=3600)
SECRET = "a secret of the tests, long enough for HS512: 64 bytes, not one less"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file with one key is."""
    path = tmp_path / "keys.json"
    create_file(path, make_key("EdDSA", NOW))
    return path


def settings(path: Path, **values: object) -> Settings:
    """Settings with this file."""
    return Settings(jwt_keys_path=path, jwt_issuer="here", jwt_audience="us", **values)


def rotate(path: Path, now: float) -> tuple[list[Key], list[Key]]:
    """As the command does."""
    return rotate_file(path, make_key("EdDSA", now + PACE.learn_seconds), now, PACE)


def test_a_new_key_signs_only_when_all_have_learnt_it(path: Path) -> None:
    """Two readings later, and some time for clocks that differ: longer than the longest pause between two readings."""
    assert PACE.learn_seconds == 2 * 60 + 60
    _, (old, new) = rotate(path, NOW + 10)
    assert (old.signs_from, new.signs_from) == (NOW, NOW + 10 + PACE.learn_seconds)
    keys = load_keys(settings(path))
    assert keys.signing(NOW + 10).kid == old.kid
    assert keys.signing(NOW + 10 + PACE.learn_seconds).kid == new.kid


def test_a_rotation_ends_before_the_next(path: Path) -> None:
    """Else a key would come to sign that nobody waits for."""
    rotate(path, NOW)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=f"begins to sign in {PACE.learn_seconds - 99} s only"):
        rotate(path, NOW + 100)
    assert path.read_bytes() == before
    rotate(path, NOW + PACE.learn_seconds)
    with pytest.raises(ConfigurationError, match=f"begins to sign in {PACE.learn_seconds + 1} s only"):
        rotate(path, NOW + PACE.learn_seconds)


def test_a_key_goes_when_its_last_token_has_expired() -> None:
    """To the second: not while a worker that reads late, with the largest leeway, could take a token of it."""
    old, new = make_key("EdDSA", NOW), make_key("EdDSA", NOW + 1000)
    end = NOW + 1000 + 3600 + PACE.learn_seconds + 300
    third = make_key("EdDSA", end + PACE.learn_seconds)
    assert rotated([old, new], third, end - 1, PACE) == [old, new, third]
    assert rotated([new, old], third, end, PACE) == [new, third]
    assert rotated([new], third, end * 2, PACE) == [new, third]


def test_the_file_is_for_its_owner(path: Path) -> None:
    """Mode 0600 whatever the umask, after a rotation too, and nothing else is left beside it."""
    other = path.with_name("other.json")
    before = os.umask(0)
    try:
        rotate(path, NOW)
        create_file(other, make_key("EdDSA", NOW))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode) == 0o600
    assert {*path.parent.iterdir()} == {path, other}


def test_who_may_not_give_files_away_rotates_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root may keep another's file another's."""

    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    rotate(path, NOW)
    assert len(read_keys(path)) == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_went_wrong_is_told_even_if_the_draft_has_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Somebody removed it, as a second command had advised."""

    def fail(_: int) -> None:
        path.with_name("keys.json.new").unlink()
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigurationError if isinstance(error, OSError) else KeyboardInterrupt):
        rotate(path, NOW)
    assert len(read_keys(path)) == 1


def test_a_file_stays_readable_for_the_group_of_the_servers(path: Path) -> None:
    """If it was; and for nobody else, even if it was."""
    for mode, kept in ((0o640, 0o640), (0o440, 0o640), (0o777, 0o640), (0o400, 0o600)):
        path.chmod(mode)
        path.write_text(json.dumps({"keys": [private_jwk(make_key("EdDSA", 0))]})) if mode & 0o200 else None
        now = read_keys(path)[-1].signs_from
        rotate(path, now)
        assert stat.S_IMODE(path.stat().st_mode) == kept


def test_a_file_is_not_made_twice(path: Path) -> None:
    """It would log everybody out."""
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        create_file(path, make_key("EdDSA", NOW))
    assert path.read_bytes() == before


def test_one_at_a_time(path: Path) -> None:
    """Of two commands at once one is refused, and neither's key is lost."""
    draft = path.with_name("keys.json.new")
    draft.touch()
    with pytest.raises(ConfigurationError, match="another asyncauth keys is at work"):
        rotate(path, NOW)
    draft.unlink()
    rotate(path, NOW)


def test_a_failed_rotation_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the old file, whole, and no draft."""
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
        rotate(path, NOW)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_places_that_cannot_be_used(tmp_path: Path, path: Path) -> None:
    """Each is one sentence."""
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        create_file(tmp_path / "missing" / "keys.json", make_key("EdDSA", NOW))
    with pytest.raises(ConfigurationError, match=r"^the file of keys .*missing cannot be read: No such file"):
        read_keys(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="there is no algorithm none: use one of EdDSA"):
        make_key("none", NOW)
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="has more than"):
        read_keys(path)
    with pytest.raises(ConfigurationError, match=r"^jwt_keys_path .*missing cannot be read: No such file"):
        load_keys(settings(tmp_path / "missing"))


def test_a_file_is_read_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of that length it is read; of one that never ends, one byte more."""
    path, sizes = tmp_path / "keys.json", []
    path.write_bytes(b" " * MAX_BYTES)
    assert len(read_file(path, "it")) == MAX_BYTES

    class Endless(io.BytesIO):
        """A device, or a file that somebody goes on writing."""

        def read(self, size: int | None = -1) -> bytes:
            sizes.append(size)
            return b" " * (size or 0)

    monkeypatch.setattr(Path, "open", lambda *_: Endless())
    with pytest.raises(ConfigurationError, match="has more than"):
        read_file(path, "it")
    assert sizes == [MAX_BYTES + 1]


def test_a_secret_beside_the_file_signs_until_the_file_does(tmp_path: Path) -> None:
    """So servers can be restarted one by one: none signs with a key that others have not read. Then it verifies."""
    path = tmp_path / "keys.json"
    create_file(path, make_key("ES256", NOW + 100))
    keys = load_keys(settings(path, jwt_secret=SECRET))
    assert keys.signing(NOW + 99).algorithm == "HS512"
    assert keys.signing(NOW + 100).algorithm == "ES256"
    assert keys.find(None) is keys.signing(NOW)
    (from_the_beginning,) = read_keys(path)
    path.write_text(json.dumps({"keys": [private_jwk(replace(from_the_beginning, signs_from=0))]}))
    assert load_keys(settings(path, jwt_secret=SECRET)).signing(NOW).algorithm == "ES256"


def test_a_bad_file_keeps_the_keys(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a file, nothing, rubbish, a key twice, no file: logged once, and the old keys go on. A good one is taken,
    and a key that has gone from it goes."""
    good = path.read_bytes()
    (key,) = json.loads(good)["keys"]
    ring = KeyRing(load_keys(settings(path)))
    refresh = own_refresh(settings(path), ring)
    assert refresh is not None
    assert refresh.name == "our own"  # so it stands in what a manager says of itself
    before = ring.keys
    for bad in (good[:-20], b"", b"canary", json.dumps({"keys": [key, key]}).encode(), None):
        path.unlink(missing_ok=True)
        if bad is not None:
            path.write_bytes(bad)
        for _ in range(2):
            asyncio.run(refresh.refresh())
            assert ring.keys is before
            assert refresh.trouble is not None
    assert key["d"] not in caplog.text
    assert "canary" not in caplog.text
    assert (
        len([record for record in caplog.records if "those known stay" in record.message]) == 3
    )  # the first three are told alike
    create_file(path, make_key("EdDSA", NOW))
    asyncio.run(refresh.refresh())
    assert refresh.trouble is None
    assert ring.keys is not None
    assert ring.keys.find(key["kid"]) is None
