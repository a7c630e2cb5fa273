"""A PostgreSQL server."""

import signal
from contextlib import closing
from functools import cached_property
from typing import cast

import psycopg

from tests.servers.base import ADMIN, CONNECT_SECONDS, Connection, Server
from tests.servers.find import HOST, find_program
from tests.waiting import poll

OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    # The data lives as long as the tests do: nothing has to survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "autovacuum": "off",  # it would lock tables, be counted as a connection and change plans, now and then
    "jit": "off",  # it takes longer to compile any of our statements than to run it
}


class PostgreSQL(Server):
    """A PostgreSQL server."""

    dialect = "postgresql"
    sync_driver = "psycopg"
    users = ("postgres",)
    stop_signal = signal.SIGINT
    unavailable = psycopg.OperationalError

    @cached_property
    def version(self) -> tuple[int, ...]:
        """As the server says."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            return divmod(int(str(cursor.fetchall()[0][0])), 10000)

    def initialise(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(self.password)
        initdb = find_program("initdb", package="postgresql")
        # By MD5, since every test connects anew: the server counts to 4,096 to compare a SCRAM secret with a password.
        options = ("--no-sync", "--auth=md5", "--encoding=UTF8", "--locale=C.UTF-8", f"--username={ADMIN}")
        self.run([initdb, *options, f"--pwfile={secret}", f"--pgdata={self.data}"])

    def command(self) -> list[str]:
        options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
        return [find_program("postgres", package="postgresql"), "-D", str(self.data), f"-p{self.port}", *options]

    def connect(self, database: str | None = None) -> Connection:
        connection = psycopg.connect(
            host=HOST,
            port=self.port,
            user=ADMIN,
            password=self.password,
            dbname=database or "postgres",
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
        )
        return cast("Connection", connection)

    def create_database(self, name: str) -> None:
        self.copy_database("template0", name)

    def drop_database(self, name: str) -> None:
        drop = f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
        try:
            self.execute(drop)
        except psycopg.errors.ObjectInUse:  # it waits 5 s for connections to end
            self.terminate_backends(name)
            self.execute(drop)

    def copy_database(self, template: str, name: str) -> None:
        # The other strategy, from version 15 on, writes every page to the log as well.
        strategy = "STRATEGY FILE_COPY" if self.version >= (15,) else ""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {strategy}')

    def terminate_backends(self, database: str) -> int:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", (database,))
            ids = [row[0] for row in cursor.fetchall()]
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", (ids,))

            def gone() -> bool:
                cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", (ids,))
                return not cursor.fetchall()

            poll(gone)
            return len(ids)
