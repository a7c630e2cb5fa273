"""A connection that the server has ended, found out by whatever is said on it first."""

import pytest
from anyio import to_thread
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from asyncauth.db.engine import Database as Asker
from tests.databases import BACKENDS, Database

SERVERS = [backend for backend in BACKENDS if not backend.startswith("sqlite")]


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
async def test_a_read_through_an_engine_of_the_application_is_done_again(database: Database) -> None:
    """Such an engine's connections are told the isolation level before each read: that too can be the first to fail."""
    engine = create_async_engine(database.url, pool_size=1, max_overflow=0)
    asker = Asker(engine, timeout_seconds=5)

    async def one(session: AsyncSession) -> int:
        return int(await session.scalar(text("SELECT 1")) or 0)

    try:
        for _ in range(3):
            assert await asker.read(one) == 1
            assert await to_thread.run_sync(database.server.terminate_backends, database.name) == 1
        assert await asker.read(one) == 1
    finally:
        await engine.dispose()
