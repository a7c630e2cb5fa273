"""aiosqlite with fewer ways to its thread. Each way costs two switches of threads and a turn of the event loop, more
than SQLite needs for a statement of ours. A statement takes one here, not four (cursor, execute, fetchall, close)."""

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import aiosqlite


class _Done(NamedTuple):
    """What a statement brought. Nothing of SQLite's own leaves the thread."""

    rows: Sequence[Any] = ()
    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class Cursor:
    """As much of an aiosqlite cursor as SQLAlchemy's dialect asks for. All rows are read at once, as it does itself."""

    arraysize = 1

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._done = _Done()

    def __await__(self) -> Generator[Any, None, "Cursor"]:  # which SQLAlchemy 2.0 does, and 2.1 enters it
        yield from ()
        return self

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        """Run a statement and fetch its rows."""
        self._done = await self._connection.call(_execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Iterable[Iterable[Any]]) -> None:
        """Run a statement once for each set of parameters."""
        self._done = await self._connection.call(_execute_many, statement, parameters)

    async def fetchall(self) -> Sequence[Any]:
        """The rows of the last statement."""
        return self._done.rows

    async def close(self) -> None:
        """Has nothing to close."""

    @property
    def description(self) -> Any:
        """Of the columns; None: the statement gives no rows."""
        return self._done.description

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        return self._done.rowcount

    @property
    def lastrowid(self) -> int | None:
        """Of the row that was written last."""
        return self._done.lastrowid


class Connection(aiosqlite.Connection):
    """A connection whose cursors are `Cursor`s."""

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Made without asking the thread."""
        return Cursor(self)

    async def call(self, work: Any, *given: Any) -> _Done:
        """Run `work` in the thread, with SQLite's connection and what is given."""
        done: _Done = await self._execute(work, self._conn, *given)  # type: ignore[no-untyped-call]
        return done


def connect(path: str, **options: Any) -> Connection:
    """As `aiosqlite.connect`, with our cursors."""
    connection = Connection(partial(sqlite3.connect, path, **options), iter_chunk_size=64)
    # As SQLAlchemy does for connections that it makes: a process does not wait for those that are left open. Before
    # aiosqlite 0.22 the connection is the thread itself.
    thread: Any = getattr(connection, "_thread", connection)
    thread.daemon = True
    return connection


def _execute(connection: sqlite3.Connection, statement: str, parameters: Any) -> _Done:
    return _finish(connection.execute(statement, parameters))


def _execute_many(connection: sqlite3.Connection, statement: str, parameters: Any) -> _Done:
    return _finish(connection.executemany(statement, parameters))


def _finish(cursor: sqlite3.Cursor) -> _Done:
    try:
        return _Done(cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()
