"""Databases used by one test after the other: emptying one takes a tenth of the time of making one."""

import os
import sqlite3
from contextlib import closing
from typing import Any

from asyncauth.db.tables import changes, fab, feed, own
from tests.databases import Database, Databases


class Reused:
    """Migrated databases that go from test to test, for tests that change no table; those they add are dropped."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._free: dict[tuple[int, str], list[Database]] = {}
        """By process: forked ones leave each other's alone."""

    def take(self, backend: str) -> Database:
        """A database with all tables and no rows; its ids go on where they stopped."""
        free = self._free.setdefault((os.getpid(), backend), [])
        return free.pop() if free else self._databases.migrated(backend)

    def give_back(self, backend: str, database: Database) -> None:
        """Empty a database for the next test."""
        empty(database)
        self._free[os.getpid(), backend].append(database)


_PREPARE = {  # no checks of foreign keys, which can take long; and SQLite as it was, if a test chose another journal
    "sqlite": ("PRAGMA foreign_keys = OFF", "PRAGMA journal_mode = DELETE", "BEGIN"),
    "postgresql": ("BEGIN", "SET LOCAL session_replication_role = replica"),
    "mysql": ("BEGIN", "SET foreign_key_checks = 0"),
}
_FIND = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    "mysql": "SHOW FULL TABLES WHERE table_type = 'BASE TABLE'",
}
_KNOWN = {*fab.tables, *own.tables, "asyncauth_alembic_version"}
_TABLES = (
    *reversed(fab.sorted_tables),
    *(table for table in own.sorted_tables if table not in (changes, feed)),
    changes,
)
"""The log is the last: where triggers go on, they write into it what is deleted before."""
_EMPTY = (*(f"DELETE FROM {table.name}" for table in _TABLES), f"UPDATE {feed.name} SET purged = 0")


def empty(database: Database) -> None:
    """Remove all rows and all tables that are not ours. Plain SQL: an engine would compile each statement anew."""
    dialect = database.host.dialect
    quote = "`" if dialect == "mysql" else '"'
    with closing(_connect(database)) as connection, closing(connection.cursor()) as cursor:
        for statement in _PREPARE[dialect]:
            cursor.execute(statement)
        cursor.execute(_FIND[dialect])
        for name in {str(row[0]) for row in cursor.fetchall()} - _KNOWN:
            cursor.execute(f"DROP TABLE {quote}{name}{quote}")
        for statement in [";".join(_EMPTY)] if dialect == "postgresql" else _EMPTY:  # there, in one round trip
            cursor.execute(statement)
        cursor.execute("COMMIT")


def _connect(database: Database) -> Any:
    """A connection of the driver's own, in autocommit mode."""
    if database.host.dialect == "sqlite":
        return sqlite3.connect(database.sync_url.partition(":///")[2], isolation_level=None, timeout=60)
    return database.server.connect(database.name)
