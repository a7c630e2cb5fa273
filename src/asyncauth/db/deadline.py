"""Connections whose server falls silent, given up in time.

Cancelled in the middle of a statement, psycopg asks the server for up to 10 s to stop; after asyncpg is cancelled,
SQLAlchemy sends a rollback and waits 2 s for a goodbye. A silent server does nothing of it. So the line is cut a moment
before: then whatever waits fails at once.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection


@asynccontextmanager
async def given_up(connection: AsyncConnection, deadline: float) -> AsyncIterator[None]:
    """Give `connection` up at `deadline`, a time of the event loop at which the block is cancelled, or when it is
    cancelled before.

    Raises:
        ConnectionResetError: the connection was lost, and the driver stumbled over that.
    """
    driver: Any = connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
    sooner_seconds = (deadline - asyncio.get_running_loop().time()) / 10
    try:
        with cut_off(driver, deadline - sooner_seconds):
            yield
    except asyncio.CancelledError:
        if hasattr(driver, "terminate"):
            driver.terminate()
        # Cut off in the middle of an answer: a rollback would read the rest of it.
        await connection.invalidate()
        raise
    except AttributeError:
        # asyncpg's own words for a connection that was lost between two steps of a statement: its protocol is None.
        if not hasattr(driver, "is_closed") or not driver.is_closed():
            raise
        await connection.invalidate()
        raise ConnectionResetError("the connection was lost") from None


@contextmanager
def cut_off(driver: Any, deadline: float) -> Iterator[None]:
    """Cut a driver's connection off at a time of the event loop, if the block lasts so long. Does nothing to drivers
    that end well when they are cancelled."""
    if not hasattr(driver, "terminate") and not hasattr(driver, "pgconn"):
        yield
        return
    timer = asyncio.get_running_loop().call_at(deadline, _cut, driver)
    try:
        yield
    finally:
        timer.cancel()


def _cut(driver: Any) -> None:
    if hasattr(driver, "terminate"):  # asyncpg
        driver.terminate()
        return
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(driver.pgconn.socket)) as line:  # psycopg
        line.shutdown(socket.SHUT_RDWR)
