"""Our cursors of aiosqlite: what SQLAlchemy reads of them, and how often they go to SQLite's thread."""

import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncauth.db.sqlite import Connection, connect


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """With a table of two rows."""
    made = connect(":memory:")
    async with made:
        cursor = made.cursor()
        await cursor.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
        await cursor.executemany("INSERT INTO t (name) VALUES (?)", [("ada",), ("bob",)])
        assert cursor.rowcount == 2
        yield made


async def test_a_statement_goes_to_the_thread_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a cursor, fetching and closing take no way of their own."""
    ways = []
    original: Any = connection._execute

    async def execute(*given: object) -> object:
        ways.append(given)
        return await original(*given)

    monkeypatch.setattr(connection, "_execute", execute)
    cursor = connection.cursor()
    await cursor.execute("SELECT id, name FROM t WHERE id = ?", (2,))
    assert [column[0] for column in cursor.description] == ["id", "name"]
    assert await cursor.fetchall() == [(2, "bob")]
    await cursor.close()
    assert len(ways) == 1


async def test_what_is_written_is_counted(connection: Connection) -> None:
    """Rows written and the last id, and no description where there are no rows to read."""
    cursor = await connection.cursor()  # so does SQLAlchemy 2.0
    await cursor.execute("INSERT INTO t (name) VALUES ('eve')")
    assert (cursor.rowcount, cursor.lastrowid, cursor.description) == (1, 3, None)
    assert list(await cursor.fetchall()) == []
    await cursor.execute("UPDATE t SET name = 'all'")
    assert cursor.rowcount == 3


async def test_an_error_leaves_the_connection_as_it_was(connection: Connection) -> None:
    """SQLite's own error comes through, and the next statement runs."""
    cursor = connection.cursor()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await cursor.execute("SELECT * FROM absent")
    await cursor.execute("SELECT count(*) FROM t")
    assert await cursor.fetchall() == [(2,)]


async def test_a_thread_does_not_keep_a_process_alive() -> None:
    """As with the connections that SQLAlchemy makes."""
    connection = connect(":memory:")
    thread: Any = getattr(connection, "_thread", connection)
    assert thread.daemon
    async with connection:
        pass
