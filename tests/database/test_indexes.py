"""The one index of ours on FAB's tables: made on request, once, while others write."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from asyncauth.db.indexes import NAME, lacks_index
from asyncauth.db.migrate import add_indexes
from asyncauth.errors import ConfigurationError
from tests.database.look import DIALECTS
from tests.databases import Database

in_each = pytest.mark.parametrize("backend", DIALECTS, indirect=True)


@in_each
async def test_it_is_made_once(database: Database) -> None:
    """Where the database has none by itself: MariaDB makes one for every foreign key."""
    by_itself = database.host.dialect == "mysql"
    assert await add_indexes(database.url) is not by_itself
    assert await add_indexes(database.url) is False
    engine = create_async_engine(database.url)
    async with engine.connect() as connection:
        assert not await connection.run_sync(lacks_index)
    await engine.dispose()


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True)
async def test_one_that_could_not_be_finished_is_made_again(database: Database) -> None:
    """PostgreSQL leaves it behind, unused and in the way of the next attempt."""
    engine: AsyncEngine = create_async_engine(database.url)
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE INDEX {NAME} ON ab_user_role (role_id)"))
        await connection.execute(text(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{NAME}'::regclass"))
    assert await add_indexes(engine) is True
    assert await add_indexes(engine) is False
    await engine.dispose()


@in_each
async def test_without_tables(empty_database: Database) -> None:
    """One sentence."""
    with pytest.raises(ConfigurationError):
        await add_indexes(empty_database.url)
