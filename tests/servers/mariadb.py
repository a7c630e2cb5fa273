"""A MariaDB server."""

import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import cast

import pymysql

from tests.servers.base import ADMIN, CONNECT_SECONDS, Connection, Cursor, Server
from tests.servers.find import HOST, find_program
from tests.waiting import poll

OPTIONS = (
    f"--bind-address={HOST}",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--max-connections=300",
    # A server in New York: nothing may depend on the time zone of a connection that somebody else has made.
    "--default-time-zone=-05:00",
    # The data lives as long as the tests do: nothing has to survive a power cut.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--performance-schema=OFF",
)


class MariaDB(Server):
    """A MariaDB server, with the default collation of its version."""

    dialect = "mysql"
    sync_driver = "pymysql"
    sync_query = "?ssl_disabled=1"  # as in `connect`
    users = ("mysql",)
    stop_signal = signal.SIGTERM
    unavailable = pymysql.err.OperationalError

    def initialise(self) -> None:
        install = find_program("mariadb-install-db", "mysql_install_db", package="mariadb-server")
        options = ("--skip-test-db", "--auth-root-authentication-method=normal", "--innodb-log-file-size=32M")
        self.run([install, "--no-defaults", f"--datadir={self.data}", *options])
        (self.folder / "init.sql").write_text(
            f"CREATE OR REPLACE USER {ADMIN}@'{HOST}' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {ADMIN}@'{HOST}' WITH GRANT OPTION;\n"
            f"DELETE FROM mysql.global_priv WHERE User <> '{ADMIN}' AND User <> 'mariadb.sys';\n"
            "FLUSH PRIVILEGES;\n"
        )

    def command(self) -> list[str]:
        program = find_program("mariadbd", "mysqld", package="mariadb-server")
        return [
            program,
            "--no-defaults",  # first, or it is not understood
            f"--datadir={self.data}",
            f"--port={self.port}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self.folder}/init.sql",
            *OPTIONS,
        ]

    def connect(self, database: str | None = None) -> Connection:
        connection = pymysql.connect(
            host=HOST,
            port=self.port,
            user=ADMIN,
            password=self.password,
            database=database,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            ssl_disabled=True,  # else it reads all certificates of the machine each time, for twenty milliseconds
        )
        return cast("Connection", connection)

    def create_database(self, name: str) -> None:
        self.execute(f"CREATE DATABASE `{name}`")

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def copy_database(self, template: str, name: str) -> None:
        self.create_database(name)
        with closing(self.connect(name)) as connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0, sql_mode = ''")
            for statement in self._dump(cursor, template):
                cursor.execute(statement)

    def _dump(self, cursor: Cursor, source: str) -> Iterator[str]:
        """The statements that make the tables, sequences, rows and triggers of `source` again."""

        def fetch(statement: str) -> list[tuple[object, ...]]:
            cursor.execute(statement)
            return list(cursor.fetchall())

        for table, kind in fetch(f"SHOW FULL TABLES FROM `{source}`"):
            yield str(fetch(f"SHOW CREATE TABLE `{source}`.`{table}`")[0][1])
            if kind == "SEQUENCE":
                ((position, start),) = fetch(f"SELECT next_not_cached_value, start_value FROM `{source}`.`{table}`")
                if position != start:
                    yield f"ALTER SEQUENCE `{table}` RESTART {position}"
            elif fetch(f"SELECT EXISTS (SELECT 1 FROM `{source}`.`{table}`)")[0][0]:
                yield f"INSERT INTO `{table}` SELECT * FROM `{source}`.`{table}`"
        for trigger, *_ in fetch(f"SHOW TRIGGERS FROM `{source}`"):
            yield str(fetch(f"SHOW CREATE TRIGGER `{source}`.`{trigger}`")[0][2])

    def terminate_backends(self, database: str) -> int:
        with closing(self.connect()) as connection, connection.cursor() as cursor:

            def there() -> set[object]:
                cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (database,))
                return {row[0] for row in cursor.fetchall()}

            ids = there()
            for id_ in ids:
                with suppress(pymysql.err.OperationalError):  # gone in the meantime
                    cursor.execute(f"KILL CONNECTION {id_}")
            poll(lambda: ids.isdisjoint(there()))
            return len(ids)
