"""Wait for what other tasks and threads are about to do, without guessing how long they take."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

GIVE_UP_SECONDS = 60.0
"""Of what takes milliseconds; on a busy machine any process may stand still for seconds, and several in turn."""
T = TypeVar("T")


async def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds; a `TimeoutError` if it does not come to that."""
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while not condition():  # noqa: ASYNC110  # a worker thread cannot set an Event of the loop
            await asyncio.sleep(0.001)


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float | None = None) -> None:
    """The same for a condition that has to be asked for; a `TimeoutError` after so many seconds, if not the usual."""
    async with asyncio.timeout(GIVE_UP_SECONDS if seconds is None else seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def settle() -> None:
    """Let every task go on as far as it can without I/O."""
    for _ in range(20):
        await asyncio.sleep(0)


def poll(ask: Callable[[], T], why: Callable[[], str] = lambda: "in vain", seconds: float = GIVE_UP_SECONDS) -> T:
    """What `ask` answers, once that is true, where there is no loop; an `AssertionError` if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if value := ask():
            return value
        assert begun < deadline, why()  # one that began before may have taken long itself
        time.sleep(0.02)
