"""Keys that come from elsewhere: an issuer that is slow, down or hostile refuses nobody whose key was known, and a
flood of unknown keys costs it nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asyncauth import AuthManager, Settings
from asyncauth.clock import SYSTEM_CLOCK, Clock
from asyncauth.errors import KeysUnavailableError, SignatureError, UnknownKeyError
from asyncauth.tokens import own
from asyncauth.tokens.foreign import load_all
from asyncauth.tokens.keyset import KeySet
from asyncauth.tokens.refresh import Refresh
from asyncauth.tokens.remote import MAX_BYTES
from asyncauth.tokens.rotation import Pace, create_file, make_key, rotate_file
from tests.conftest import NAME, PATIENCE_SECONDS, SECRET
from tests.idp import ISSUER, Idp, serving
from tests.managers import NEVER_SECONDS, quiet, running
from tests.rows import add_user, through
from tests.waiting import eventually, settle, until

BAD = (
    "trickle",
    "stall",
    "endless",
    "half",
    "redirect",
    "gzip",
    "error",
    "no http",
    "huge",
    "garbage",
    "empty",
    "nothing",
)
SLOW = ("trickle", "stall")
"""Only the deadline ends these. On a busy machine it also ends what is good, or comes before the request."""

pytestmark = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    """A foreign issuer."""
    async with serving() as one:
        yield one


def trusting(settings: Settings, idp: Idp, **changes: Any) -> Settings:
    """Settings that trust it, quiet but for its keys."""
    described = idp.describe(**changes)
    whole = Settings(
        jwt_secret=SECRET, jwt_issuer=NAME, jwt_audience=NAME, jwt_trusted_issuers=(described,)
    ).jwt_trusted_issuers
    return quiet(settings, jwt_trusted_issuers=whole)


def refresh_of(auth: AuthManager) -> Refresh:
    """What reads the keys of the one issuer, or of our own."""
    (refresh,) = running(auth).keys.refreshes
    return refresh


async def fetched(auth: AuthManager) -> None:
    """Wait for the first keys."""
    ring = running(auth).keys.trusted[ISSUER].ring
    await until(lambda: ring.keys is not None)


async def add_ada(auth: AuthManager) -> int:
    """A user whom the issuer knows as `ada`."""
    return await through(auth, lambda connection: add_user(connection, "ada"))


async def test_a_token_of_a_trusted_issuer(settings: Settings, idp: Idp) -> None:
    """Its keys come by themselves, and its `ada` is ours, whatever her id; the second time from memory."""
    async with AuthManager(trusting(settings, idp)) as auth:
        user_id = await add_ada(auth)
        await fetched(auth)
        token = idp.issue("ada")
        assert (await auth.get_user_from_token(token)).id == user_id
        found = auth.find_user_from_token(token)
        assert found is not None
        assert found.id == user_id
        assert idp.requests == 1


@pytest.mark.parametrize("mode", BAD)
async def test_bad_answers_keep_the_keys(
    settings: Settings, idp: Idp, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However the issuer fails, within the deadline, what was known before goes on, and is put right by the next good
    answer. Nothing of what it sent is logged."""
    timeout_seconds = 0.3 if mode in SLOW else PATIENCE_SECONDS
    keys = load_all(trusting(settings, idp, timeout_seconds=timeout_seconds))
    ring, (refresh,) = keys.trusted[ISSUER].ring, keys.refreshes
    idp.mode = mode
    async with asyncio.timeout(10):
        await refresh.refresh()
    assert not ring.keys
    assert refresh.trouble is not None
    with pytest.raises(KeysUnavailableError):
        ring.get("x")
    idp.mode = "good"
    await eventually(partial(is_good, refresh))
    known = keys.trusted[ISSUER].ring.keys
    assert known is not None
    idp.mode = mode
    async with asyncio.timeout(10):
        await refresh.refresh()
    assert ring.keys is known
    assert idp.requests == 3 or mode in SLOW  # and no redirect was followed
    assert {line.split()[0] for line in idp.asked} == {b"GET"}
    if mode == "gzip":
        assert refresh.trouble == "the answer is compressed, which nobody asked for"
    assert "canary" not in caplog.text


async def is_good(refresh: Refresh) -> bool:
    """Whether the keys can be read, within the deadline."""
    await refresh.refresh()
    return refresh.trouble is None


async def test_the_longest_answer(settings: Settings, idp: Idp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the limit, and not one byte more."""
    keys, body = load_all(trusting(settings, idp)), idp.body()
    (refresh,) = keys.refreshes
    for length, trouble in ((MAX_BYTES, None), (MAX_BYTES + 1, f"the answer has more than {MAX_BYTES} bytes")):
        monkeypatch.setattr(idp, "body", partial(body.ljust, length))
        await refresh.refresh()
        assert refresh.trouble == trouble


async def test_nobody_listens(settings: Settings, idp: Idp) -> None:
    """A refused connection is a failed fetch."""
    keys = load_all(trusting(settings, idp, jwks_url="http://127.0.0.1:1/keys"))
    (refresh,) = keys.refreshes
    await refresh.refresh()
    assert refresh.trouble == "the request failed: ConnectError"


async def test_an_issuer_that_is_down_hinders_nobody(settings: Settings, idp: Idp) -> None:
    """The manager starts; its own tokens pass, the issuer's are answered 503 until it is back, with no restart."""
    idp.mode = "error"
    async with AuthManager(trusting(settings, idp, retry_seconds=0.05)) as auth:
        user_id = await add_ada(auth)
        with pytest.raises(KeysUnavailableError) as caught:
            await auth.get_user_from_token(idp.issue("ada"))
        assert (caught.value.status, caught.value.retry_after_seconds) == (503, 1)
        assert (await auth.get_user_from_token(auth.issue_token(user_id))).id == user_id
        await until(lambda: auth.status().key_trouble)
        assert auth.status().key_trouble == {ISSUER: "the answer has the status 500, not 200"}
        idp.mode = "good"
        await fetched(auth)
        await until(lambda: auth.status().key_trouble == {})
        assert (await auth.get_user_from_token(idp.issue("ada"))).id == user_id


@pytest.mark.parametrize(("retry_seconds", "requests"), [(1800.0, 1), (0.5, 2)])
async def test_a_flood_of_unknown_keys(settings: Settings, idp: Idp, retry_seconds: float, requests: int) -> None:
    """A thousand tokens with as many unknown ids are refused without waiting, and cost the issuer one request once the
    interval since the last one is over, and none before."""
    began = SYSTEM_CLOCK.elapsed()
    async with AuthManager(trusting(settings, idp, retry_seconds=retry_seconds, refresh_seconds=3600)) as auth:
        await fetched(auth)
        stranger = make_key("ES256", 0)
        tokens = [idp.issue("ada", key=stranger, kid=f"unknown {number}") for number in range(1000)]
        for token in tokens:
            with pytest.raises(UnknownKeyError):
                auth.find_user_from_token(token)
            await asyncio.sleep(0)
        await until(lambda: requests <= idp.requests == refresh_of(auth).readings)
        await settle()
        # None before the interval is over. The flood lasts for a fraction of one, but on a busy machine.
        assert requests <= idp.requests <= 1 + (SYSTEM_CLOCK.elapsed() - began) // retry_seconds


async def test_a_new_key_of_the_issuer(settings: Settings, idp: Idp) -> None:
    """The first token that names it is refused and makes us look; soon after it passes, not an interval later."""
    async with AuthManager(trusting(settings, idp, retry_seconds=0.05, refresh_seconds=3600)) as auth:
        await add_ada(auth)
        await fetched(auth)
        old = idp.issue("ada")
        await auth.get_user_from_token(old)
        idp.keys.append(make_key("EdDSA", 0))
        with pytest.raises(UnknownKeyError):
            await auth.get_user_from_token(idp.issue("ada"))
        await until(lambda: refresh_of(auth).readings == 2 and _knows(auth, idp))
        assert (await auth.get_user_from_token(idp.issue("ada"))).username == "ada"
        assert (await auth.get_user_from_token(old)).username == "ada"


async def test_a_key_that_the_issuer_takes_back(settings: Settings, idp: Idp) -> None:
    """A leaked key is gone after the next interval, for tokens that were accepted before as well."""
    async with AuthManager(trusting(settings, idp, refresh_seconds=0.1, retry_seconds=0.1)) as auth:
        await add_ada(auth)
        await fetched(auth)
        token = idp.issue("ada")
        await auth.get_user_from_token(token)
        idp.keys = [make_key("ES256", 0)]
        await until(lambda: _knows(auth, idp))
        with pytest.raises(UnknownKeyError):
            auth.find_user_from_token(token)


def _knows(auth: AuthManager, idp: Idp) -> bool:
    keys = running(auth).keys.trusted[ISSUER].ring.keys
    return keys is not None and keys.find(idp.keys[-1].kid) is not None


async def test_rotation_fails_no_request(settings: Settings, tmp_path: Path) -> None:
    """Two workers read one file at their own pace, while keys are rotated and both issue and verify each other's tokens
    all the time: not one is refused, and in the end another key signs than in the beginning."""
    path = tmp_path / "keys.json"
    await asyncio.to_thread(create_file, path, make_key("EdDSA", 0))
    rotating = quiet(settings, jwt_secret=None, jwt_keys_path=path, jwt_keys_refresh_seconds=NEVER_SECONDS)
    pace = Pace(refresh_seconds=1.0, token_seconds=1.0)
    clocks = Shifted()
    async with AuthManager(rotating, clock=clocks.clock) as one, AuthManager(rotating, clock=clocks.clock) as two:
        user_id = await add_ada(one)
        first = _signing(one, clocks.now())
        verified = 0
        for _ in range(3):
            new = make_key("EdDSA", clocks.now() + pace.learn_seconds)
            await asyncio.to_thread(rotate_file, path, new, clocks.now(), pace)
            for step in range(int(pace.learn_seconds) + 5):
                clocks.shift += 1
                for worker, other in ((one, two), (two, one)):
                    assert (await other.get_user_from_token(worker.issue_token(user_id))).id == user_id
                    verified += 1
                if step in (20, 40):  # each in its own time, and long before the key begins to sign
                    await refresh_of(one if step == 20 else two).refresh()
        assert verified == 3 * (pace.learn_seconds + 5) * 2
        assert _signing(one, clocks.now()) == _signing(two, clocks.now()) == new.kid != first


async def test_a_key_used_too_early_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the waiting is for: a worker that has not read the file yet refuses a key that signs at once."""
    monkeypatch.setattr(own, "RETRY_SECONDS", 0.5)
    path = tmp_path / "keys.json"
    await asyncio.to_thread(create_file, path, make_key("EdDSA", 0))
    rotating = quiet(settings, jwt_secret=None, jwt_keys_path=path)
    async with AuthManager(rotating) as one, AuthManager(rotating) as two:
        user_id = await add_ada(one)
        await asyncio.to_thread(rotate_file, path, make_key("EdDSA", 1), 1, Pace(60, 60))
        await refresh_of(one).refresh()
        with pytest.raises(SignatureError):
            await two.get_user_from_token(one.issue_token(user_id))
        learnt = running(one).keys.ring.signing(SYSTEM_CLOCK.now()).kid
        await until(lambda: _signing(two, SYSTEM_CLOCK.now()) == learnt)  # it looks by itself, because of that token
        assert refresh_of(two).readings == 1
        assert (await two.get_user_from_token(one.issue_token(user_id))).id == user_id


class Shifted:
    """The machine's clock, moved on by hand."""

    def __init__(self) -> None:
        self.shift = 0.0
        self.clock = Clock(self.now, SYSTEM_CLOCK.elapsed)

    def now(self) -> float:
        """Seconds since the epoch."""
        return SYSTEM_CLOCK.now() + self.shift


def _signing(auth: AuthManager, now: float) -> str | None:
    return running(auth).keys.ring.signing(now).kid


async def test_keys_are_read_off_the_loop(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files block: they are read in another thread."""
    path = tmp_path / "keys.json"
    await asyncio.to_thread(create_file, path, make_key("EdDSA", 0))
    threads: list[int] = []
    original = own.read_file

    def read(where: Path, what: str) -> bytes:
        threads.append(threading.get_ident())
        return original(where, what)

    monkeypatch.setattr(own, "read_file", read)
    async with AuthManager(quiet(settings, jwt_secret=None, jwt_keys_path=path)) as auth:
        await refresh_of(auth).refresh()
        assert isinstance(running(auth).keys.ring.keys, KeySet)
    assert len(threads) == 2
    assert threading.get_ident() not in threads
