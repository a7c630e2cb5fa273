"""The database drivers alone: what the same rows cost without SQLAlchemy and without asyncauth."""

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, make_url

Fetch = Callable[[str], Awaitable[Sequence[Any]]]
"""Statement → all its rows."""


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Fetch]:
    """One open connection of the driver that `url` names."""
    parsed = make_url(url)
    async with _DRIVERS[parsed.get_driver_name()](parsed) as fetch:
        yield fetch


@asynccontextmanager
async def _asyncpg(url: URL) -> AsyncIterator[Fetch]:
    driver = importlib.import_module("asyncpg")
    connection = await driver.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, database=url.database
    )
    try:
        yield connection.fetch
    finally:
        await connection.close()


@asynccontextmanager
async def _psycopg(url: URL) -> AsyncIterator[Fetch]:
    driver = importlib.import_module("psycopg")
    connection = await driver.AsyncConnection.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database, autocommit=True
    )

    async def fetch(statement: str) -> Sequence[Any]:
        cursor = await connection.execute(statement)
        rows: Sequence[Any] = await cursor.fetchall()
        return rows

    try:
        yield fetch
    finally:
        await connection.close()


@asynccontextmanager
async def _aiomysql(url: URL) -> AsyncIterator[Fetch]:
    driver = importlib.import_module("aiomysql")
    connection = await driver.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password,
        db=url.database,
        autocommit=True,
    )

    async def fetch(statement: str) -> Sequence[Any]:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
            rows: Sequence[Any] = await cursor.fetchall()
            return rows

    try:
        yield fetch
    finally:
        await connection.ensure_closed()


@asynccontextmanager
async def _aiosqlite(url: URL) -> AsyncIterator[Fetch]:
    driver = importlib.import_module("aiosqlite")
    async with driver.connect(url.database) as connection:
        yield connection.execute_fetchall


_DRIVERS = {"asyncpg": _asyncpg, "psycopg": _psycopg, "aiomysql": _aiomysql, "aiosqlite": _aiosqlite}
