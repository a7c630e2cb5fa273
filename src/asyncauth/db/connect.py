"""One connection for a command: to a URL of an async or a sync driver, or from an engine."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import URL, Connection, NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.db.engine import make_engine
from asyncauth.db.explain import explained
from asyncauth.db.url import is_async, parse_url
from asyncauth.errors import ConfigurationError

T = TypeVar("T")
CONNECT_SECONDS = 10
LOOK_SECONDS = 30
UPGRADE_SECONDS = 600
"""Longer than one waits for another process (`lock.WAIT_SECONDS`)."""


async def with_connection(
    target: str | AsyncEngine, work: Callable[[Connection], T], *, create: bool, patience_seconds: float | None = None
) -> T:
    """Run `work` with a new connection; a sync driver runs in a worker thread.

    Who is cancelled meanwhile waits for its end, which every async driver reaches within `LOOK_SECONDS`, or
    `UPGRADE_SECONDS` with `create`: given up in the middle, MariaDB would be left half upgraded.

    Args:
        target: a URL, or an engine, which stays open.
        work: commits what it wants to keep.
        create: whether an upgrade is meant, so that an SQLite file that does not exist may be made.
        patience_seconds: how long an async driver may take; None: as said above.

    Raises:
        ConfigurationError: the URL cannot be used, or the database refuses; the message says why.
    """
    seconds = patience_seconds or (UPGRADE_SECONDS if create else LOOK_SECONDS)
    if isinstance(target, AsyncEngine):
        return await _with_engine(target, work, seconds)
    url = await anyio.to_thread.run_sync(_parse, target, create)
    if not is_async(url):
        return await anyio.to_thread.run_sync(_with_sync_driver, url, work)
    engine = await anyio.to_thread.run_sync(_make_engine, url)  # reads the modules of the driver
    try:
        return await _with_engine(engine, work, seconds)
    finally:
        with anyio.CancelScope(shield=True):
            await engine.dispose()


async def _with_engine(engine: AsyncEngine, work: Callable[[Connection], T], seconds: float) -> T:
    with explained(engine.url), anyio.fail_after(seconds, shield=True):
        async with AsyncExitStack() as stack:
            with anyio.fail_after(CONNECT_SECONDS):
                connection = await stack.enter_async_context(engine.connect())
            return await connection.run_sync(work)


def _make_engine(url: URL) -> AsyncEngine:
    return make_engine(url.render_as_string(hide_password=False), pool_size=1, timeout_seconds=CONNECT_SECONDS)


def _with_sync_driver(url: URL, work: Callable[[Connection], T]) -> T:
    bounded = url.get_backend_name() == "sqlite" or "connect_timeout" in url.query
    arguments = {} if bounded else {"connect_timeout": CONNECT_SECONDS}
    with explained(url):
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
        with engine.connect() as connection:
            return work(connection)


def _parse(text: str, create: bool) -> URL:
    url = parse_url(text, sync=True)
    path = url.database or ""
    is_file = url.get_backend_name() == "sqlite" and path and not path.startswith((":", "file:"))
    if is_file and not create and not Path(path).exists():  # connecting would make an empty one
        raise ConfigurationError(f"there is no SQLite file {path}: correct the path or run asyncauth db upgrade")
    # aiosqlite's thread outlives a connection that fails, and complains if the event loop has ended meanwhile.
    return url.set(drivername="sqlite+pysqlite") if url.get_backend_name() == "sqlite" else url
