"""Where to measure: throw-away databases on servers of our own, or one that the caller names."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import make_url
from tests.databases import Databases

from asyncauth.db.migrate import upgrade

BACKENDS = {
    "sqlite": ("sqlite+aiosqlite",),
    "postgresql": ("postgresql+asyncpg", "postgresql+psycopg"),
    "mariadb": ("mysql+aiomysql",),
    "asyncpg": ("postgresql+asyncpg",),
    "psycopg": ("postgresql+psycopg",),
}
ALL = ["sqlite", "postgresql", "mariadb"]
NAMES = {
    "sqlite+aiosqlite": "SQLite (aiosqlite)",
    "postgresql+asyncpg": "PostgreSQL (asyncpg)",
    "postgresql+psycopg": "PostgreSQL (psycopg)",
    "mysql+aiomysql": "MariaDB (aiomysql)",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A database with all tables."""

    name: str
    url: str


def given(url: str) -> Place:
    """The caller's database, brought up to date."""
    asyncio.run(upgrade(url))
    driver = make_url(url).drivername
    return Place(NAMES.get(driver, driver), url)


@contextmanager
def throw_away(databases: list[str]) -> Iterator[list[Place]]:
    """A new database for each driver of `databases` (keys of `BACKENDS`), gone when the block ends."""
    made = Databases()
    try:
        backends = [backend for database in databases for backend in BACKENDS[database]]
        yield [Place(NAMES[backend], made.migrated(backend).url) for backend in backends]
    finally:
        made.close()
