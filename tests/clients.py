"""Plain SQL from another program: `psql`, `mariadb`, and Python's own SQLite."""

import os
import sqlite3
import subprocess
from contextlib import closing

from tests.databases import Database
from tests.servers.base import ADMIN
from tests.servers.find import HOST, find_program

TIMEOUT_SECONDS = 120


class ClientError(Exception):
    """The program failed; its own words."""


def run_sql(database: Database, script: str, *, user: str = ADMIN, password: str | None = None) -> str:
    """Run statements as somebody else's program does; what it printed.

    Args:
        user: an account of the server, by default the administrator's; SQLite has none.

    Raises:
        ClientError: a statement was refused.
    """
    if database.host.dialect == "sqlite":
        return _run_sqlite(database, script)
    server = database.server
    secret = server.password if password is None else password
    if database.host.dialect == "postgresql":
        program = find_program("psql", package="postgresql-client")
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        command = [program, *options, f"--host={HOST}", f"--port={server.port}", f"--username={user}", database.name]
        environment = {"PGPASSWORD": secret}
    else:
        program = find_program("mariadb", "mysql", package="mariadb-client")
        options = ["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP"]
        command = [program, *options, f"--host={HOST}", f"--port={server.port}", f"--user={user}", database.name]
        environment = {"MYSQL_PWD": secret}
    done = subprocess.run(
        command,
        input=script,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ClientError(done.stderr)
    return done.stdout


def _run_sqlite(database: Database, script: str) -> str:
    path = database.sync_url.partition(":///")[2]
    with closing(sqlite3.connect(path, timeout=TIMEOUT_SECONDS)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            connection.executescript(script)
        except sqlite3.Error as error:
            raise ClientError(str(error)) from None
        connection.commit()
    return ""
