"""Keys that are read anew: when, how often, and what is said of trouble."""

import asyncio
import logging
import threading
from collections.abc import Iterable

import pytest

from asyncauth.errors import KeysUnavailableError
from asyncauth.tasks import Tasks
from asyncauth.tokens import refresh as refresh_module
from asyncauth.tokens import remote
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.refresh import Refresh
from asyncauth.tokens.remote import fetch
from asyncauth.tokens.rotation import make_key
from tests.waiting import settle, until

KEY = make_key("EdDSA", 0)
DOWN = KeysUnavailableError("it is down")


class Source:
    """Where keys come from: what is in `answers`, one after the other, and the last of them for ever."""

    def __init__(self, *answers: Iterable[Key] | Exception) -> None:
        self._answers = list(answers)

    async def __call__(self) -> Iterable[Key]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def make(ring: KeyRing, source: Source, *, every: float = 3600, retry: float = 60) -> Refresh:
    """What reads the keys of `there`."""
    return Refresh("there", ring, source, refresh_seconds=every, retry_seconds=retry)


async def test_trouble_is_told_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Once each, with what it means to tokens: before the first keys they are answered 503, later nothing changes."""
    ring = KeyRing()
    caplog.set_level(logging.INFO)
    refresh = make(ring, Source(DOWN, DOWN, [KEY], [KEY], DOWN, DOWN, [KEY]))
    troubles = []
    for _ in range(7):
        await refresh.refresh()
        troubles.append(refresh.trouble)
    assert troubles == ["it is down", "it is down", None, None, "it is down", "it is down", None]
    assert [record.getMessage() for record in caplog.records] == [
        "cannot read the keys of there, its tokens are answered 503 until then: it is down",
        "the keys of there are read again",
        "cannot read the keys of there, those known stay: it is down",
        "the keys of there are read again",
    ]
    assert refresh.readings == 7


async def test_an_error_that_nobody_thought_of(caplog: pytest.LogCaptureFixture) -> None:
    """Is trouble like any other, and is logged with its traceback."""
    ring = KeyRing(KeySet([KEY]))
    before = ring.keys
    refresh = make(ring, Source(ZeroDivisionError()))
    await refresh.refresh()
    assert (refresh.trouble, ring.keys) == ("reading failed", before)
    assert caplog.records[0].exc_info is not None


def test_pauses_are_a_little_longer_than_they_have_to_be() -> None:
    """By a tenth at most, and never by the same."""
    pauses = [refresh_module._spread(100) for _ in range(1000)]
    assert 100 <= min(pauses) < 101
    assert 109 < max(pauses) <= 110


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were begun, none of which takes any time; a limit that nobody waits for is over at once."""
    pauses: list[float] = []
    sleep, timeout = asyncio.sleep, asyncio.timeout

    async def nap(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    def limit(seconds: float) -> asyncio.Timeout:
        pauses.append(seconds)
        return timeout(0)

    monkeypatch.setattr(refresh_module.asyncio, "sleep", nap)
    monkeypatch.setattr(refresh_module.asyncio, "timeout", limit)
    monkeypatch.setattr(refresh_module, "_spread", lambda seconds: seconds)
    return pauses


async def test_when_keys_are_read(slept: list[float]) -> None:
    """Nobody's keys at once and then after each short pause; known ones after the short pause and the rest of the long
    one."""
    ring = KeyRing()
    await make(ring, Source(DOWN))._pause()
    assert slept == [60]
    ring.replace(KeySet([KEY]))
    await make(ring, Source(DOWN))._pause()
    assert slept == [60, 60, 3600 - 60]
    await make(ring, Source(DOWN), every=10)._pause()
    assert slept[3:] == [10, 0]


@pytest.mark.parametrize("known", [False, True])
async def test_the_first_reading(known: bool) -> None:
    """At once where there are no keys yet, not before the first pause is over where there are; each in a task that
    whoever closes the manager lets end."""
    ring = KeyRing(KeySet([KEY]) if known else None)
    refresh = make(ring, Source([KEY]))
    tasks = Tasks()
    running = asyncio.create_task(refresh.run(tasks))
    await settle()
    assert refresh.readings == (0 if known else 1)
    running.cancel()
    await tasks.close(drain_seconds=0)


async def test_an_unknown_key_is_asked_for_soon() -> None:
    """After the short pause, and once: the wish is over when the keys are read."""
    ring = KeyRing(KeySet([KEY]))
    refresh = make(ring, Source([KEY]), retry=0.01)
    tasks = Tasks()
    running = asyncio.create_task(refresh.run(tasks))
    ring.wanted.set()
    await until(lambda: refresh.readings == 1)
    await settle()
    assert not ring.wanted.is_set()
    assert refresh.readings == 1
    running.cancel()
    await tasks.close(drain_seconds=0)


def test_how_an_issuer_is_asked() -> None:
    """For an answer that is not compressed, so that its limit counts; and no redirect is followed."""
    client = remote._client(3.0)
    assert (client.headers["Accept-Encoding"], client.follow_redirects) == ("identity", False)
    assert "application/jwk-set+json" in client.headers["Accept"]
    assert client.timeout.read == 3.0


async def test_the_deadline_counts_while_certificates_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk holds up a thread, and nobody who waits for keys."""
    gate, ended = threading.Event(), threading.Event()

    def slow(_: float) -> None:
        gate.wait(10)
        ended.set()

    monkeypatch.setattr(remote, "_client", slow)
    with pytest.raises(KeysUnavailableError, match=r"no whole answer within 0\.05 s"):
        await fetch("http://127.0.0.1:1/", timeout_seconds=0.05)
    assert not ended.is_set()
    gate.set()
    await until(ended.is_set)
