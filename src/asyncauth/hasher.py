"""Password hashes off the event loop: a few at a time, a bounded queue before them, and behind everything else."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, fail_after

from asyncauth import passwords
from asyncauth.errors import BusyError
from asyncauth.passwords import Scheme

T = TypeVar("T")
NICER = 5
"""How much lower the priority of a hash is: a third of what an event loop gets of a core that both want (sched(7))."""


def go_last() -> None:
    """Let the event loops of all workers go before this thread. On Linux, where each thread has a priority of its own:
    a burst of logins takes all cores for seconds, and everybody else would wait for a turn at each step.

    Elsewhere, and where it may not be changed, it stays.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)


class PasswordHasher:
    """`passwords.check` and `make` off the event loop: a few at a time, a bounded queue behind them.

    Args:
        concurrency: hashes computed at the same time.
        queue_size: callers that may wait.
        queue_seconds: how long each may wait.
        scheme: how new hashes are made; None: the default.
    """

    def __init__(
        self, *, concurrency: int, queue_size: int, queue_seconds: float, scheme: Scheme | None = None
    ) -> None:
        self._scheme = scheme or passwords.DEFAULT_SCHEME
        self._chosen = scheme is not None
        self._places = CapacityLimiter(concurrency)
        # Not anyio's threads: the application may hold all of those, and would get them back with the priority they had
        # here. They end with the last reference to this.
        self._threads = ThreadPoolExecutor(concurrency, "asyncauth hash", go_last)
        self._queue_size = queue_size
        self._queue_seconds = queue_seconds

    async def check(self, stored: str | None, password: str) -> bool:
        """See `check`. Raises BusyError when the queue is full or the wait too long."""
        async with self._place():
            return await self._run(partial(passwords.check, stored, password, self._scheme))

    async def make(self, password: str) -> str:
        """See `make`. Raises BusyError when the queue is full or the wait too long."""
        async with self._place():
            return await self._run(partial(passwords.make, password, self._scheme))

    def is_weak(self, stored: str | None) -> bool:
        """Whether a hash is weaker than new ones are. Of another kind only if somebody has chosen this one: where FAB
        was told to make PBKDF2, it may run on a machine that has no scrypt (FIPS)."""
        found = passwords.read_scheme(stored)
        comparable = found is not None and (self._chosen or found.digest == self._scheme.digest)
        return found is not None and comparable and found.is_weaker(self._scheme)

    async def _run(self, work: Callable[[], T]) -> T:
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        with CancelScope(shield=True):  # a thread cannot be called back: its place is free when it has ended
            await asyncio.wait([done])
        return done.result()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places.statistics().tasks_waiting >= self._queue_size and not self._places.available_tokens:
            raise BusyError("the queue of password checks is full")
        try:
            with fail_after(self._queue_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise BusyError("waited too long for a password check", retry_after_seconds=5) from None
        try:
            yield
        finally:
            self._places.release()
