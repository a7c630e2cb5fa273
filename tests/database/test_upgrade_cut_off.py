"""An upgrade that is cut off: nothing of it is left where DDL is transactional; elsewhere the next one finishes it."""

from collections.abc import Callable
from contextlib import suppress

import anyio.to_thread
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from asyncauth.db.migrate import upgrade
from tests.database.look import described, table_names
from tests.databases import Database

TRANSACTIONAL = pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)
MARIADB = pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)


class CutError(Exception):
    """Stands for the end of the process."""


def cut_after(statements: int) -> Callable[..., None]:
    """An event listener that ends the upgrade before one of its statements that change something."""
    left = iter(range(statements))

    def listener(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("CREATE", "INSERT", "DELETE")) and next(left, None) is None:
            raise CutError

    return listener


async def upgrade_cut(database: Database, after: int) -> bool:
    """Upgrade, but not to the end; returns whether it got there before it was cut."""
    engine = create_async_engine(database.url)
    event.listen(engine.sync_engine, "before_cursor_execute", cut_after(after))
    try:
        with suppress(CutError):
            await upgrade(engine)
            return True
        return False
    finally:
        await engine.dispose()


@TRANSACTIONAL
@pytest.mark.parametrize("after", [1, 10, 20])
async def test_an_upgrade_that_is_cut_off_leaves_nothing(empty_database: Database, after: int) -> None:
    assert not await upgrade_cut(empty_database, after)
    assert await anyio.to_thread.run_sync(table_names, empty_database) == set()


@MARIADB
async def test_an_upgrade_that_is_cut_off_anywhere_is_finished_by_the_next(
    database: Database, empty_database: Database, full: bool
) -> None:
    expected, rows = await described(database)
    for after in range(0, 1000, 1 if full else 9):
        if await upgrade_cut(empty_database, after):
            break
        await upgrade(empty_database.url)
        found, found_rows = await described(empty_database)
        assert found == expected
        assert found_rows["asyncauth_feed"] == rows["asyncauth_feed"]
        for again in (empty_database.host.drop_database, empty_database.host.create_database):
            await anyio.to_thread.run_sync(again, empty_database.name)
    assert after > 30
