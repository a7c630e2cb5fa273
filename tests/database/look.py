"""What the tests of migrations look at, in any database."""

import re

import anyio.to_thread
from sqlalchemy import create_engine, inspect

from asyncauth.db.findings import Finding
from asyncauth.db.migrate import check
from tests.airflow.describe import Description, describe, read_rows
from tests.databases import Database

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIALECTS = ("sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql")
"""One driver for each."""


def table_names(database: Database) -> set[str]:
    """The tables of a database."""
    engine = create_engine(database.sync_url)
    with engine.connect() as connection:
        names = set(inspect(connection).get_table_names())
    engine.dispose()
    return names


def execute(database: Database, *statements: str) -> None:
    """Run statements in one transaction."""
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


async def described(database: Database) -> tuple[Description, Description]:
    """All tables and all rows, but for the name that each database is given."""
    tables = await anyio.to_thread.run_sync(describe, database)
    rows = await anyio.to_thread.run_sync(read_rows, database)
    return tables, {name: [_UUID.sub("UUID", line) for line in lines] for name, lines in rows.items()}


async def wrong(database: Database) -> list[Finding]:
    """What `check` does not like."""
    return [finding for finding in await check(database.url) if not finding.ok]
