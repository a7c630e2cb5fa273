"""A connection that the server has ended, found out by whatever is said on it first."""

from typing import Any

import pytest
from anyio import to_thread
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from asyncauth.db.engine import Database as Asker
from asyncauth.db.engine import make_engine
from tests.conftest import PATIENCE_SECONDS
from tests.databases import BACKENDS, Database

SERVERS = [backend for backend in BACKENDS if not backend.startswith("sqlite")]


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
async def test_a_read_through_an_engine_of_the_application_is_done_again(database: Database) -> None:
    """Such an engine's connections are told the isolation level before each read: that too can be the first to fail."""
    engine = create_async_engine(database.url, pool_size=1, max_overflow=0)
    asker = Asker(engine, timeout_seconds=PATIENCE_SECONDS)

    async def one(session: AsyncSession) -> int:
        return int(await session.scalar(text("SELECT 1")) or 0)

    try:
        for _ in range(3):
            assert await asker.read(one) == 1
            assert await to_thread.run_sync(database.server.terminate_backends, database.name) == 1
        assert await asker.read(one) == 1
    finally:
        await engine.dispose()


@pytest.mark.parametrize("backend", ["postgresql+asyncpg"], indirect=True)
@pytest.mark.parametrize("lost", [True, False])
async def test_a_driver_that_stumbles_over_a_lost_connection(database: Database, lost: bool) -> None:
    """asyncpg asks a connection for what it has no more, between two steps of a statement. Another AttributeError stays
    what it is."""
    engine = make_engine(database.url, pool_size=1, timeout_seconds=PATIENCE_SECONDS)
    asker = Asker(engine, timeout_seconds=PATIENCE_SECONDS)
    attempts = 0

    async def one(session: AsyncSession) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            connection = await session.connection()
            if lost:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                driver.terminate()
            raise AttributeError("'NoneType' object has no attribute 'bind_execute'")
        return int(await session.scalar(text("SELECT 1")) or 0)

    try:
        if lost:
            assert await asker.read(one) == 1
            assert attempts == 2
        else:
            with pytest.raises(AttributeError):
                await asker.read(one)
    finally:
        await engine.dispose()
