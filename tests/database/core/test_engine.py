"""Connections that asyncauth makes itself."""

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from asyncauth.db.engine import Database, make_engine
from asyncauth.errors import DatabaseUnavailableError
from tests.waiting import GIVE_UP_SECONDS

RUNNING = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE state = 'active' AND query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()""")


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True)
async def test_a_statement_that_was_given_up_ends_on_the_server(database_url: str, engine: AsyncEngine) -> None:
    """It would go on for as long as it takes, and those of the next requests beside it."""
    own = make_engine(database_url, pool_size=1, timeout_seconds=1)

    async def sleep(session: AsyncSession) -> None:
        await session.execute(select(text("pg_sleep(600)")))

    try:
        with pytest.raises(DatabaseUnavailableError):
            await Database(own, timeout_seconds=1).read(sleep)
        async with asyncio.timeout(GIVE_UP_SECONDS), engine.connect() as connection:
            while await connection.scalar(RUNNING):
                await connection.rollback()
                await asyncio.sleep(0.1)
    finally:
        await own.dispose()
