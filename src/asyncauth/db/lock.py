"""One upgrade at a time per database, whatever process or host it runs in."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError

from asyncauth.errors import ConfigurationError

WAIT_SECONDS = 300
_WAL_ATTEMPTS = 20
_KEY = 0x6173796E63617574  # "asyncaut": PostgreSQL's locks are named by a 64-bit number
# GET_LOCK's names are those of the server, and have 64 characters at most; MySQL has lost MD5 and SHA1 with 9.6.
_NAME = func.concat("asyncauth.", func.left(func.sha2(func.database(), 256), 32))


@contextmanager
def upgrade_lock(connection: Connection) -> Iterator[None]:
    """Hold the lock; commit at the end, roll back on an error. The connection must be fresh: no statement sent yet.

    Raises:
        ConfigurationError: another process holds the lock for `WAIT_SECONDS`.
    """
    hold = {"sqlite": _sqlite, "postgresql": _postgresql}.get(connection.dialect.name, _mysql)
    with hold(connection):
        try:
            yield
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@contextmanager
def _sqlite(connection: Connection) -> Iterator[None]:
    timeout_milliseconds = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
    # The engine may have begun a transaction that only reads so far, which could not become a writer safely. Its driver
    # begins none before DDL: each CREATE TABLE would be a transaction of its own.
    if _driver(connection).in_transaction:
        connection.exec_driver_sql("ROLLBACK")
    _log_ahead(connection)
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(timeout_milliseconds)}")
        connection.rollback()


def _log_ahead(connection: Connection) -> None:
    """Give a file that nobody has used yet a write-ahead log: readers and a writer then never wait for each other.
    Where somebody reads it all the while, it does without."""
    for _ in range(_WAL_ATTEMPTS):
        if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            return
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except OperationalError:  # where two do it at once, SQLite fails one of them without letting it wait
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # this does wait for whoever is at it
            connection.exec_driver_sql("ROLLBACK")
        else:
            return


@contextmanager
def _postgresql(connection: Connection) -> Iterator[None]:
    # After the wait every statement has to see what the other process committed, not the snapshot of its first one.
    connection.execution_options(isolation_level="READ COMMITTED")
    # Asked for again and again instead of waited for: the engine's own timeouts do not cut the wait short. Released
    # with the transaction, so it works behind a pooler as well.
    _wait(connection, select(func.pg_try_advisory_xact_lock(_KEY)), pause=select(func.pg_sleep(0.1)))
    yield


@contextmanager
def _mysql(connection: Connection) -> Iterator[None]:
    # Reads no table, so the snapshot of REPEATABLE READ begins after the wait. The nodes of a Galera cluster do not
    # share these locks: there, let one process upgrade.
    _wait(connection, select(func.get_lock(_NAME, 1)), pause=text("DO 0"))
    try:
        yield
    finally:
        connection.execute(select(func.release_lock(_NAME)))
        connection.rollback()


def _wait(connection: Connection, question: Any, *, pause: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not connection.execute(question).scalar_one():
        if time.monotonic() > deadline:
            raise ConfigurationError(
                "another process has been upgrading this database for minutes: look after it first"
            )
        connection.execute(pause)


def _driver(connection: Connection) -> Any:
    pooled = connection.connection
    return pooled.driver_connection
