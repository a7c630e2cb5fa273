"""A TCP proxy between a worker and its database that can be slow, deaf or cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import make_url

_CHUNK = 65_536


class Proxy:
    """Forwards both ways, unless told otherwise. A connection that was deaf for a moment goes on where it stopped."""

    def __init__(self, host: str, port: int) -> None:
        self.delay_seconds = 0.0
        self._target = host, port
        self._hears = asyncio.Event()
        self._hears.set()
        self._writers = set[asyncio.StreamWriter]()

    @property
    def deaf(self) -> bool:
        """Whether it forwards nothing, and tells nobody. New connections are still accepted."""
        return not self._hears.is_set()

    @deaf.setter
    def deaf(self, yes: bool) -> None:
        if yes:
            self._hears.clear()
        else:
            self._hears.set()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            await self._hears.wait()
            there_reader, there = await asyncio.open_connection(*self._target)
            self._writers.add(there)
            await asyncio.gather(self._pump(reader, there), self._pump(there_reader, writer))
            self._writers.discard(there)
        self._writers.discard(writer)
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._hears.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, Proxy]]:
    """The same database through a proxy of its own on a free port."""
    parsed = make_url(url)
    proxy = Proxy(parsed.host or "127.0.0.1", parsed.port or (5432 if "postgresql" in url else 3306))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield parsed.set(host="127.0.0.1", port=port).render_as_string(hide_password=False), proxy
    finally:
        server.close()
        proxy.deaf = False
        proxy.cut()
