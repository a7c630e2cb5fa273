"""The one way to the database: short sessions, each in one snapshot or one transaction, each with a deadline."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Executable, event
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from asyncauth.db.deadline import given_up
from asyncauth.db.explain import explain
from asyncauth.db.quiet import keep_quiet
from asyncauth.db.url import parse_url
from asyncauth.errors import DatabaseUnavailableError, TakenError

T = TypeVar("T")
_REPEATABLE_READ = "asyncauth_repeatable_read"
"""Option of an engine all of whose connections begin transactions of this isolation."""


def make_engine(url: str, *, pool_size: int, timeout_seconds: float) -> AsyncEngine:
    """An engine that connects with our settings. Does not connect yet.

    Raises:
        ConfigurationError: the URL cannot be used; the message says why.
    """
    parsed = parse_url(url)
    in_memory = parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}
    engine = create_async_engine(
        parsed,
        connect_args=connect_args(parsed.get_driver_name(), timeout_seconds),
        **engine_args(parsed, pool_size=1 if in_memory else pool_size, timeout_seconds=timeout_seconds),
    )
    prepare_connections(engine)
    return engine


def engine_args(url: URL, *, pool_size: int, timeout_seconds: float) -> dict[str, Any]:
    """What `create_async_engine` is called with, for whoever has to call it himself."""
    options: dict[str, Any] = {}
    if url.get_backend_name() in {"mysql", "mariadb"}:
        # Elsewhere it is chosen for each snapshot, without a round trip; here that would take four.
        options = {"isolation_level": "REPEATABLE READ", "execution_options": {_REPEATABLE_READ: True}}
    return {
        "hide_parameters": True,
        # One kind of pool everywhere: two transactions at once must not share a connection, in memory either.
        "poolclass": AsyncAdaptedQueuePool,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": timeout_seconds,
        "pool_recycle": 1800,
        **options,
    }


def prepare_connections(engine: AsyncEngine, *statements: str) -> None:
    """Have every new connection of an engine set up as ours are, then by these statements."""
    prepared = (_PREPARATION.get(engine.dialect.name, _PREPARATION["mysql"]), *statements)
    event.listen(engine.sync_engine, "connect", partial(_prepare, prepared))


def connect_args(driver: str, timeout_seconds: float) -> dict[str, Any]:
    """What each driver is told when it connects."""
    match driver:
        case "psycopg":
            return {"connect_timeout": max(1, round(timeout_seconds))}
        case "aiomysql":
            return {"connect_timeout": timeout_seconds}
        case "aiosqlite":
            from asyncauth.db import sqlite  # which only those have who use it

            return {"timeout": timeout_seconds, "async_creator_fn": sqlite.connect}  # to wait for another writer
        case _:  # to connect
            return {"timeout": timeout_seconds}


_PREPARATION = {
    "sqlite": "PRAGMA foreign_keys = ON",
    # TIMESTAMP columns are read and written in the time zone of the connection; the second is the most it may be,
    # because a longer aggregate is cut with a warning only.
    "mysql": "SET time_zone = '+00:00', group_concat_max_len = 4294967295",
    # Since version 14: a statement that was given up at its deadline ends. One that was planned badly was seen to go on
    # for minutes after its client had gone, and others like it beside it.
    "postgresql": """
        SELECT CASE WHEN current_setting('server_version_num')::int >= 140000
        THEN set_config('client_connection_check_interval', '1s', false) END""",
}


def _prepare(statements: Sequence[str], connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    connection.commit()


class Database:
    """Reads and writes with a deadline, errors of the driver turned into ours.

    Args:
        engine: made by `make_engine` or by the application.
        timeout_seconds: deadline of each read and write as a whole, the wait for a connection included.
    """

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self.engine = engine
        self._quiet = keep_quiet(engine)
        self.dialect = engine.dialect.name
        self._repeatable_read = _REPEATABLE_READ in engine.get_execution_options()
        self._timeout_seconds = timeout_seconds
        # Outside of statements the driver's own errors come as they are: while the isolation level is set, for one.
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

    async def read(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `work` in one snapshot: all its statements see the same committed state. It must be safe to run twice:
        after a lost connection it is retried once on a new one.

        Raises:
            DatabaseUnavailableError: no answer within the deadline, or an error twice.
        """
        return await self._twice(lambda deadline: self._read_once(work, deadline))

    async def ask(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The rows of one statement that is safe to run twice, without a transaction where that saves round trips.

        Raises:
            DatabaseUnavailableError: as `read`.
        """

        async def once(deadline: float) -> Sequence[Any]:
            async with self._connected(deadline) as connection:
                if self.dialect == "postgresql":
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                return (await connection.execute(statement, parameters)).all()

        return await self._twice(once)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in one transaction and commit it. Never retried.

        Raises:
            TakenError: a unique constraint refused it; nothing was written.
            DatabaseUnavailableError: nothing was written, unless the commit itself was cut off: then nobody knows.
        """
        try:
            deadline = asyncio.get_running_loop().time() + self._timeout_seconds
            async with asyncio.timeout_at(deadline), self._connected(deadline) as connection:
                if self.dialect == "sqlite":
                    # A transaction that starts as a reader and then writes fails at once if another one wrote.
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                result = await work(connection)
                await connection.commit()
                return result
        except IntegrityError:
            raise TakenError("the database holds one already that it takes for the same") from None
        except (SQLAlchemyError, OSError, self._driver_error) as error:
            raise self._unavailable(error) from None

    async def _twice(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                try:
                    return await attempt(deadline)
                except (DBAPIError, OSError, self._driver_error) as error:
                    if isinstance(error, TimeoutError):
                        raise
                    return await attempt(deadline)
        except (SQLAlchemyError, OSError, self._driver_error) as error:  # a TimeoutError is an OSError
            raise self._unavailable(error) from None

    async def _read_once(self, work: Callable[[AsyncSession], Awaitable[T]], deadline: float) -> T:
        async with self._connected(deadline) as connection:
            await connection.run_sync(self._begin)  # all of it in one greenlet
            session = AsyncSession(connection, expire_on_commit=False, autoflush=False)
            try:
                result = await work(session)
            finally:
                session.sync_session.close()  # without a word to the database: the transaction is the connection's
            if self.dialect == "postgresql":
                await connection.commit()  # at a rollback psycopg forgets the statements that it has prepared
            return result

    def _begin(self, connection: Connection) -> None:
        if self.dialect != "sqlite" and not self._repeatable_read:
            connection.execution_options(**_snapshot(self.dialect))
        connection.begin()
        if self.dialect == "sqlite":
            # The driver sends no BEGIN before a SELECT: two of them would see two states.
            cursor = connection.connection.cursor()
            cursor.execute("BEGIN")
            cursor.close()

    @asynccontextmanager
    async def _connected(self, deadline: float) -> AsyncIterator[AsyncConnection]:
        """A connection that goes back to the pool however the block ends.

        Options such as the isolation level are set inside the block, never on the engine: what is cancelled while the
        engine sets them leaves the connection to the garbage collector (tried, with psycopg and aiomysql).
        """
        async with self._quiet.connect() as connection, given_up(connection, deadline):
            yield connection

    def _unavailable(self, error: Exception) -> DatabaseUnavailableError:
        if isinstance(error, TimeoutError):
            return DatabaseUnavailableError(f"the database gave no answer within {self._timeout_seconds:g} s")
        # Never the driver's own words: they quote values.
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        kind = type(cause).__name__
        state = getattr(cause, "sqlstate", None)
        sentence = explain(error, self.engine.url) or "the database refused a statement"
        return DatabaseUnavailableError(f"{sentence} ({kind}{f' {state}' if state else ''})")


def _snapshot(dialect: str) -> dict[str, Any]:
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
    if dialect == "postgresql":
        options["postgresql_readonly"] = True
    return options
