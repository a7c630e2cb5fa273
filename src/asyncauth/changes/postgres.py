"""PostgreSQL's LISTEN: a connection of its own that wakes the follower within milliseconds of a commit.

Nothing rests on it: the follower goes on polling. When it is lost, loudly or silently, it is made anew.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.db.deadline import cut_off
from asyncauth.db.record_triggers import CHANNEL

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 5.0
_RETRY_SECONDS = 1.0


class Listener:
    """Keeps one connection listening.

    Args:
        engine: where the connection comes from; it is taken out of the pool for good.
        wake: called with every announcement, and after every new connection, since announcements are not replayed.
        timeout_seconds: deadline of connecting and of each heartbeat.
    """

    def __init__(self, engine: AsyncEngine, wake: Callable[[str], None], *, timeout_seconds: float) -> None:
        self.listening = False
        self.trouble: str | None = None
        """Why listening ended the last time."""
        self._engine = engine
        self._wake = wake
        self._timeout_seconds = timeout_seconds

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001  whatever it is, the next attempt may go well
                if self.trouble is None:
                    log.warning("cannot listen for changes (%s): polling only", type(error).__name__)
                self.trouble = type(error).__name__
            finally:
                self.listening = False
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._connection() as connection:
            if hasattr(connection, "add_listener"):
                await self._listen_asyncpg(connection)
            else:
                await self._listen_psycopg(connection)

    async def _listen_asyncpg(self, connection: Any) -> None:
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        async with asyncio.timeout(self._timeout_seconds):
            await connection.add_listener(CHANNEL, lambda *notified: self._wake(notified[-1]))
        self._ready()
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await ended.wait()
            if not ended.is_set():
                await connection.execute("SELECT 1", timeout=self._timeout_seconds)

    async def _listen_psycopg(self, connection: Any) -> None:
        with cut_off(connection, self._deadline()):
            await connection.set_autocommit(True)
            await connection.execute(f"LISTEN {CHANNEL}")
        self._ready()
        while True:
            async for notified in connection.notifies(timeout=HEARTBEAT_SECONDS):
                self._wake(notified.payload)
            with cut_off(connection, self._deadline()):
                await connection.execute("SELECT 1")

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_seconds

    def _ready(self) -> None:
        self.listening = True
        self.trouble = None
        self._wake("")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """The bare driver's connection. It is held here: one that nothing refers to goes deaf without a word."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._timeout_seconds):
                pooled = await stack.enter_async_context(self._engine.connect())
                raw: Any = await pooled.get_raw_connection()
            driver = raw.driver_connection
            raw.detach()  # the pool may open another one in its place
            try:
                yield driver
            finally:
                if hasattr(driver, "terminate"):
                    driver.terminate()  # asyncpg's close() waits for a server that may be gone
                else:
                    await driver.close()  # psycopg's waits for nobody
                await pooled.invalidate()  # or SQLAlchemy sends a rollback
