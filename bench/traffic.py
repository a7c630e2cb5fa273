"""Warm requests at a fixed rate, as of clients that do not wait for each other: how long until each is answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles
from types import TracebackType
from typing import Self

from bench.measure import Heartbeat

RATE = 500
"""Requests a second: few enough to be no load."""


class Traffic:
    """Asks while an `async with` lasts. The time of a request counts from when it was due, so that a loop that is held
    delays all that were due meanwhile, not one."""

    def __init__(self, call: Callable[[], Awaitable[object]]) -> None:
        self._call = call
        self._heartbeat = Heartbeat()
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self.seconds: list[float] = []

    @property
    def p99_seconds(self) -> float:
        """Of all requests, 99 in 100 were answered by then."""
        return quantiles(self.seconds, n=100, method="inclusive")[98] if len(self.seconds) > 1 else self.seconds[0]

    @property
    def held_seconds(self) -> float:
        """For how long the loop was held at most; see `Heartbeat`."""
        return self._heartbeat.held_seconds

    async def __aenter__(self) -> Self:
        await self._heartbeat.__aenter__()
        self._task = asyncio.create_task(self._ask())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        if self._task is not None:
            await self._task
        await self._heartbeat.__aexit__(kind, error, traceback)

    async def _ask(self) -> None:
        began = time.perf_counter()
        while not self._ended:
            due = began + len(self.seconds) / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self._call()
            self.seconds.append(time.perf_counter() - due)
