"""Password hashes off the event loop: bounded in number, in wait and in what they take from others."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from anyio import to_thread

from asyncauth import passwords
from asyncauth.errors import BusyError
from asyncauth.hasher import NICER, PasswordHasher
from tests.waiting import settle, until


class Gate:
    """Hashes that stand still in their worker threads until they are let go."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.calls = 0
        self._lock = threading.Lock()
        self._open = threading.Event()

    def __call__(self, *_: object) -> bool:
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self._open.wait(60)
        with self._lock:
            self.running -= 1
        return True

    def open(self) -> None:
        """Let all go, and all that come."""
        self._open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate in place of every password check."""
    made = Gate()
    monkeypatch.setattr(passwords, "check", made)
    yield made
    made.open()


def hasher(*, concurrency: int = 2, queue_size: int = 3, queue_seconds: float = 60) -> PasswordHasher:
    """A hasher with a short queue."""
    return PasswordHasher(concurrency=concurrency, queue_size=queue_size, queue_seconds=queue_seconds)


async def test_hashes_run_a_few_at_a_time_and_the_queue_is_bounded(gate: Gate) -> None:
    """Two are computed, three wait, the sixth is refused at once; all five get their answer."""
    checker = hasher()
    tasks = [asyncio.create_task(checker.check("stored", "password")) for _ in range(5)]
    await until(lambda: gate.running == 2)
    with pytest.raises(BusyError) as caught:
        await checker.check("stored", "password")
    assert caught.value.status == 503
    assert caught.value.retry_after_seconds > 0
    gate.open()
    assert await asyncio.gather(*tasks) == [True] * 5
    assert gate.most == 2
    assert gate.calls == 5


async def test_a_queue_of_none_still_computes(gate: Gate) -> None:
    """With a queue of no places a free worker takes a password, and a busy one refuses it."""
    checker = hasher(concurrency=1, queue_size=0)
    task = asyncio.create_task(checker.check("stored", "password"))
    await until(lambda: gate.running == 1)
    with pytest.raises(BusyError):
        await checker.check("stored", "password")
    gate.open()
    assert await task
    assert await checker.check("stored", "password")


async def test_a_wait_that_is_too_long_is_refused(gate: Gate) -> None:
    """Who waits longer than `queue_seconds` is refused, and leaves no trace in the queue."""
    checker = hasher(concurrency=1, queue_size=1, queue_seconds=0.01)
    task = asyncio.create_task(checker.check("stored", "password"))
    await until(lambda: gate.running == 1)
    for _ in range(3):
        with pytest.raises(BusyError, match="waited too long"):
            await checker.check("stored", "password")
    gate.open()
    assert await task
    assert await checker.check("stored", "password")


async def test_a_cancelled_waiter_gives_its_place_back(gate: Gate) -> None:
    """The place of a waiter that goes away is free for the next one, and is never handed a worker."""
    checker = hasher(concurrency=1, queue_size=1)
    first = asyncio.create_task(checker.check("stored", "password"))
    await until(lambda: gate.running == 1)
    for _ in range(3):
        waiter = asyncio.create_task(checker.check("stored", "password"))
        await settle()
        waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled()
    last = asyncio.create_task(checker.check("stored", "password"))
    await settle()
    gate.open()
    assert all(await asyncio.gather(first, last))
    assert gate.calls == 2


async def test_a_failing_hash_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a worker reaches its caller and nobody else."""
    checker = hasher(concurrency=1, queue_size=0)

    def fail(*_: object) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(passwords, "check", fail)
        for _ in range(3):
            with pytest.raises(MemoryError):
                await checker.check("stored", "password")
    monkeypatch.setattr(passwords, "check", lambda *_: True)
    assert await checker.check("stored", "password")


async def test_making_a_hash_takes_a_place_too(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """New hashes and checks share the places."""
    monkeypatch.setattr(passwords, "make", gate)
    checker = hasher(concurrency=2, queue_size=2)
    making = asyncio.create_task(checker.make("password"))
    tasks = [asyncio.create_task(checker.check("stored", "password")) for _ in range(3)]
    await until(lambda: gate.running == 2)
    with pytest.raises(BusyError):
        await checker.make("password")
    gate.open()
    await asyncio.gather(making, *tasks)
    assert gate.most == 2


async def test_hashing_is_off_the_event_loop() -> None:
    """A real hash of a real password, made and checked: the safety net of the tests finds nothing on the loop."""
    checker = hasher()
    stored = await checker.make("correct horse")
    assert await checker.check(stored, "correct horse")
    assert not await checker.check(stored, "correct mule")


async def test_a_hash_goes_behind_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread has a lower priority; ours and those that the application's own blocking calls run in keep theirs."""
    seen: list[tuple[int, int]] = []

    def note(*_: object) -> bool:
        thread = threading.get_native_id()
        seen.append((thread, os.getpriority(os.PRIO_PROCESS, thread)))
        return True

    monkeypatch.setattr(passwords, "check", note)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    await hasher().check("stored", "password")
    await to_thread.run_sync(note)
    (hash_thread, priority), (other_thread, kept) = seen
    assert hash_thread != other_thread
    assert priority == (min(before + NICER, 19) if sys.platform == "linux" else before)
    assert os.getpriority(os.PRIO_PROCESS, 0) == kept == before


async def test_where_priorities_may_not_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sandboxes forbid the call: the hash is computed all the same."""

    def refuse(*_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "setpriority", refuse)
    checker = hasher()
    assert await checker.check(await checker.make("correct horse"), "correct horse")
