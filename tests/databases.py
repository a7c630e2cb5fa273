"""Databases for the tests: each test gets one of its own, empty or a copy of a migrated template."""

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass

from asyncauth.db.migrate import upgrade
from tests.servers import Host, MariaDB, MySQL, PostgreSQL, Server, SQLite

FULL = os.environ.get("ASYNCAUTH_TEST_ALL") == "1"
"""Run with full numbers (`make test-all`) instead of those that fit into `make test`."""
BACKENDS = ("sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql")
"""What the one suite runs on: dialect and driver."""
HOSTS: dict[str, Callable[[], Host]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MySQL if os.environ.get("ASYNCAUTH_TEST_SERVER") == "mysql" else MariaDB,
}
"""The dialect `mysql` is MariaDB's; the part `mysql` of `make test` runs the same tests on MySQL itself."""


@dataclass(frozen=True)
class Database:
    """A database of one test."""

    host: Host
    name: str
    driver: str

    @property
    def url(self) -> str:
        """For async engines."""
        return self.host.url(self.name, self.driver)

    @property
    def sync_url(self) -> str:
        """For sync engines."""
        return self.host.url(self.name, self.host.sync_driver) + self.host.sync_query

    @property
    def has_sequences(self) -> bool:
        """Whether ids come from sequences: not on SQLite, nor on MySQL itself."""
        return not isinstance(self.host, SQLite | MySQL)

    @property
    def server(self) -> Server:
        """Where the database lives, for tests that stop it or cut connections; SQLite has none."""
        assert isinstance(self.host, Server), "SQLite has no server"
        return self.host


class Databases:
    """All databases of a test run. Servers start when the first database is asked for."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}
        self._migrated: set[str] = set()
        self._numbers = itertools.count(1)

    def empty(self, backend: str) -> Database:
        """A new database without tables."""
        database = self._name(backend)
        database.host.create_database(database.name)
        return database

    def migrated(self, backend: str) -> Database:
        """A new database with all tables, as `asyncauth db upgrade` leaves them. Migrated once and then copied."""
        database = self._name(backend)
        template = Database(database.host, "template_migrated", database.driver)
        if database.host.dialect not in self._migrated:
            template.host.create_database(template.name)
            try:
                asyncio.run(upgrade(template.url))
            except BaseException:
                template.host.drop_database(template.name)  # or the next test would tell of this instead
                raise
            if isinstance(database.host, Server):
                database.host.terminate_backends(template.name)  # while one lives, PostgreSQL copies nothing
            self._migrated.add(database.host.dialect)
        database.host.copy_database(template.name, database.name)
        return database

    def host(self, dialect: str) -> Host:
        """The server of a dialect, started if need be."""
        if dialect not in self._hosts:
            host = self._hosts[dialect] = HOSTS[dialect]()
            if isinstance(host, Server):
                host.start()
        return self._hosts[dialect]

    def close(self) -> None:
        """End all servers and remove their data."""
        for host in self._hosts.values():
            host.close()
        self._hosts.clear()

    def _name(self, backend: str) -> Database:
        dialect, driver = backend.split("+")
        # With the process's number: forked ones share the servers (tools/trying.py).
        return Database(self.host(dialect), f"test_{os.getpid()}_{next(self._numbers)}", driver)
