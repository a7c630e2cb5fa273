"""A MySQL server. Debian's `mysqld` is MariaDB's, so its version is asked."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.servers.base import ADMIN
from tests.servers.find import FOLDERS, HOST, ServerError
from tests.servers.mariadb import OPTIONS as MARIADB_OPTIONS
from tests.servers.mariadb import MariaDB

VARIABLE = "ASYNCAUTH_TEST_MYSQL"
"""Names the program of a MySQL server; else it is looked for. On Debian `mysqld` is MariaDB's."""
VERSION_SECONDS = 60.0
OPTIONS = (
    *(option for option in MARIADB_OPTIONS if not option.startswith("--innodb-log-file-size")),
    "--innodb-redo-log-capacity=64M",
    "--disable-log-bin",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",
)


def mysql_version(answer: str) -> tuple[int, int] | None:
    """Major and minor version in what `mysqld --version` says; None if that is not MySQL (MariaDB names itself)."""
    found = re.search(r"\bVer (\d+)\.(\d+)\.\d+", answer)
    if found is None or "mariadb" in answer.lower():
        return None
    return int(found[1]), int(found[2])


@cache
def find_mysqld() -> str | None:
    """The program of a MySQL server: the one that `ASYNCAUTH_TEST_MYSQL` names, else any `mysqld` that is MySQL's.

    Raises:
        ServerError: the program that is named is not one.
    """
    if named := os.environ.get(VARIABLE):
        if _version(named) is None:
            raise ServerError(f"{VARIABLE} has to name the program of a MySQL server, as /usr/sbin/mysqld is one")
        return named
    paths = [
        shutil.which("mysqld"),
        *(str(path) for folder in FOLDERS for path in Path("/").glob(f"{folder[1:]}/mysqld")),
    ]
    return next((path for path in paths if path is not None and _version(path) is not None), None)


def _version(program: str) -> tuple[int, int] | None:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        ).stdout
    except OSError:
        return None
    return mysql_version(answer)


class MySQL(MariaDB):
    """A MySQL server, 8.0 or newer: MariaDB's, but for how it is made and started."""

    def initialise(self) -> None:
        self.run([self._program(), "--no-defaults", "--initialize-insecure", f"--datadir={self.data}"])
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {ADMIN}@'{HOST}' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {ADMIN}@'{HOST}' WITH GRANT OPTION;\n"
            "DROP USER IF EXISTS root@localhost;\n"
        )

    def command(self) -> list[str]:
        return [
            self._program(),
            "--no-defaults",  # first, or it is not understood
            f"--datadir={self.data}",
            f"--port={self.port}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self.folder}/init.sql",
            *OPTIONS,
        ]

    def _program(self) -> str:
        program = find_mysqld()
        if program is None:
            raise ServerError(f"the tests found no MySQL server (MariaDB is not one): {VARIABLE} says where it is")
        return program
