"""The tests' own safety nets hold: each catches what it is there for."""

import asyncio
import time

import pytest
from blockbuster import BlockingError
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.databases import Database
from tests.leaks import no_connection_left, no_task_left
from tests.statements import count_statements


async def test_blocking_the_loop_is_an_error() -> None:
    with pytest.raises(BlockingError):
        time.sleep(0)  # noqa: ASYNC251


async def test_a_task_left_over_is_found() -> None:
    with pytest.raises(AssertionError, match="1 tasks still run"), no_task_left():
        task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()
    await asyncio.wait([task])


async def test_a_connection_left_over_is_found(database: Database) -> None:
    engine = create_async_engine(database.url)
    with pytest.raises(AssertionError, match="1 connections are still checked out"), no_connection_left():
        connection = await engine.connect()
    await connection.close()
    await engine.dispose()


async def test_statements_are_counted_without_transactions(database: Database) -> None:
    engine = create_async_engine(database.url)
    with count_statements(engine) as statements:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))
            await connection.execute(text("SELECT 2"))
    assert statements == ["SELECT 1", "SELECT 2"]
    await engine.dispose()


def test_a_statement_is_compiled_once_for_all_engines(database: Database) -> None:
    found = []
    for _ in range(2):
        with create_engine(database.sync_url, poolclass=NullPool).connect() as connection:
            found.append(connection.execute(text("SELECT 1")).context.cache_hit.name)
    assert found[-1] == "CACHE_HIT"


def test_each_database_is_a_copy_of_its_own(database: Database, empty_database: Database) -> None:
    assert database.url != empty_database.url
