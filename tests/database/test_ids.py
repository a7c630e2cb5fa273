"""New rows get free ids whoever made the tables, and whoever inserts besides us."""

from functools import partial
from typing import cast

import anyio.to_thread
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from asyncauth.db.ids import insert_row
from asyncauth.db.migrate import upgrade
from asyncauth.db.tables import fab, roles
from tests.database.foreign import insert_as_owner, make_fab
from tests.database.look import DIALECTS
from tests.databases import Database


@pytest.fixture(params=DIALECTS)
def backend(request: pytest.FixtureRequest) -> str:
    """How ids are drawn does not depend on the driver."""
    return cast("str", request.param)


@pytest.fixture(params=["ours", "new Airflow", "old Airflow"])
async def tables(request: pytest.FixtureRequest, empty_database: Database) -> tuple[Database, bool]:
    """A database by who made its tables, and whether these number their rows themselves."""
    numbered = request.param == "old Airflow"
    if request.param != "ours":
        await anyio.to_thread.run_sync(lambda: make_fab(empty_database, numbered=numbered))
    await upgrade(empty_database.url)
    return empty_database, numbered


async def test_every_insert_returns_its_id(tables: tuple[Database, bool]) -> None:
    database, numbered = tables
    engine = create_async_engine(database.url)
    ids = []
    for number in range(3):
        async with engine.begin() as connection:
            ids.append(await insert_row(connection, roles, name=f"ours {number}"))
            ids.append(await insert_row(connection, roles, name=f"ours too {number}"))
        theirs = partial(insert_as_owner, database, roles, numbered, name=f"theirs {number}")
        await anyio.to_thread.run_sync(theirs)
    async with engine.connect() as connection:
        found = {name: id_ for id_, name in await connection.execute(select(roles.c.id, roles.c.name))}
    await engine.dispose()
    assert ids == [found[f"ours{too} {number}"] for number in range(3) for too in ("", " too")]
    assert len({*found.values()}) == len(found) >= 9


async def test_every_table_takes_rows(tables: tuple[Database, bool]) -> None:
    database, _ = tables
    engine = create_async_engine(database.url)
    made: dict[str, int] = {}
    async with engine.begin() as connection:
        for table in fab.sorted_tables:
            values = {
                column.name: made[next(iter(column.foreign_keys)).column.table.name]
                if column.foreign_keys
                else f"{table.name} {column.name}"
                for column in table.columns
                if not column.nullable and not column.primary_key
            }
            made[table.name] = await insert_row(connection, table, **values)
    async with engine.connect() as connection:
        for table in fab.sorted_tables:
            assert made[table.name] in (await connection.execute(select(table.c.id))).scalars().all()
    await engine.dispose()


async def test_a_name_that_is_taken_is_refused_by_the_database(tables: tuple[Database, bool]) -> None:
    engine = create_async_engine(tables[0].url)
    async with engine.begin() as connection:
        await insert_row(connection, roles, name="Viewer")
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await insert_row(connection, roles, name="Viewer")
    await engine.dispose()
