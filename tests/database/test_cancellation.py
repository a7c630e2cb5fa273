"""Whenever a read is cancelled, it ends as cancelled and its connection is back in the pool or closed."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.db.engine import Database, make_engine
from asyncauth.db.tables import feed
from tests.conftest import PATIENCE_SECONDS

STEP_SECONDS = 0.0002


async def read(session: AsyncSession) -> Sequence[Any]:
    return (await session.execute(select(feed))).all()


async def test_a_read_cancelled_at_any_moment_leaves_no_connection(database_url: str, full: bool) -> None:
    engine = make_engine(database_url, pool_size=2, timeout_seconds=PATIENCE_SECONDS)
    database = Database(engine, timeout_seconds=PATIENCE_SECONDS)
    expected = await database.read(read)
    for step in range(200 if full else 40):
        task = asyncio.create_task(database.read(read))
        await asyncio.sleep(step * STEP_SECONDS)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.result() == expected
        # Also sees to it that no new connection is being made when the next read is cancelled: asyncpg reports that.
        assert await database.read(read) == expected
    gc.collect()  # a connection that nobody gave back would be found here, and warn
    await database.engine.dispose()
