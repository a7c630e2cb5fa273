"""Tasks that a manager owns: a caller that is cancelled leaves them running, and they inherit nothing from it."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from anyio import CancelScope

from asyncauth.errors import ClosedError, ConfigurationError

T = TypeVar("T")
BACKGROUND = "asyncauth background"
"""Name of the tasks that no request waits for."""


async def run_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end. If the caller is cancelled meanwhile, that is raised afterwards: half an end is none."""
    task = asyncio.ensure_future(work)
    cancelled = False
    with CancelScope(shield=True):  # which keeps out anyio's cancellations, but not those of Task.cancel()
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()


class Tasks:
    """A set of running tasks that can be waited for and ended."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` in a task of its own, with empty context variables: a shared load belongs to no request.

        Raises:
            ClosedError: after `close`.
            ConfigurationError: called on another event loop than the one it was made on.
        """
        if self._closed or asyncio.get_running_loop() is not self._loop:
            work.close()
            if self._closed:
                raise ClosedError("the auth manager is closed")
            raise ConfigurationError("an auth manager belongs to the event loop that started it: start one per loop")
        task = self._loop.create_task(work, name=name, context=Context())
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def run(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Wait for `work`. If the waiting is cancelled, the work still goes on to its end (every piece of it has a
        deadline): a connection is never given up in the middle of a statement because a client went away.

        Raises:
            ClosedError: `close` ended the work before it was done.
        """
        task = self.start(work, name)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise ClosedError("the auth manager was closed meanwhile") from None
            raise

    async def close(self, *, drain_seconds: float) -> None:
        """Let the running tasks end for at most `drain_seconds`, then cancel what is left."""
        self._closed = True
        if self._running:
            await asyncio.wait(self._running, timeout=drain_seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as seen: its waiter may be gone
