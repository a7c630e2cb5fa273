"""What the database servers have in common: found, started as nobody in particular, waited for, ended."""

import atexit
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Protocol

from sqlalchemy import URL

from tests.servers.find import HOST, ServerError, free_port, make_folder, unprivileged_user
from tests.servers.host import Host

ADMIN = "asyncauth"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
CONNECT_SECONDS = 30


class Cursor(Protocol):
    """What the tests need of a DB-API cursor."""

    def execute(self, statement: str, parameters: tuple[object, ...] = (), /) -> object: ...
    def fetchall(self) -> Sequence[tuple[object, ...]]: ...


class Connection(Protocol):
    """What the tests need of a DB-API connection."""

    def cursor(self) -> AbstractContextManager[Cursor]: ...
    def close(self) -> None: ...


class Server(Host):
    """One server process. Start it from the main thread: it is told to end when the thread that started it does.

    Raises:
        ServerError: the program is missing, or the server did not come up.
    """

    users: ClassVar[tuple[str, ...]]
    """System users to run as when we are root."""
    stop_signal: ClassVar[signal.Signals]
    unavailable: ClassVar[type[Exception]]
    """What the driver raises while nobody answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.user = unprivileged_user(*self.users)
        self.folder = make_folder(self.dialect)
        atexit.register(self.close)
        self._log = (self.folder / "log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        if self.user is not None:
            shutil.chown(self.folder, self.user)

    @property
    def data(self) -> Path:
        """The folder of the server's data."""
        return self.folder / "data"

    @abstractmethod
    def initialise(self) -> None:
        """Make the data folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """How to start the server."""

    @abstractmethod
    def connect(self, database: str | None = None) -> Connection:
        """A synchronous connection of the administrator, in autocommit mode."""

    @abstractmethod
    def terminate_backends(self, database: str) -> int:
        """Cut every connection to a database, as an administrator would, and wait until the server knows them no more;
        returns how many there were."""

    def url(self, database: str, driver: str) -> str:
        url = URL.create(f"{self.dialect}+{driver}", ADMIN, self.password, HOST, self.port, database)
        return url.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements, each in a transaction of its own."""
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def start(self) -> None:
        """Start, and wait until the server answers."""
        if not self.data.exists():
            self.initialise()
        self._process = self._popen(self.command())
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
            except self.unavailable as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise ServerError(f"{self.dialect} did not start: {error}\n{self._tail()}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End the server in order; kill it if that takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Stop and start on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        atexit.unregister(self.close)
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, command: list[str]) -> None:
        """Run a program of the server to its end, as the server's user."""
        if self._popen(command).wait(START_SECONDS) != 0:
            raise ServerError(f"{command[0]} failed:\n{self._tail()}")

    def _popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        # Should we be killed, which runs no clean-up of ours, the kernel ends the server.
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, f"--pdeathsig={self.stop_signal.name.removeprefix('SIG')}", "--", *command]
        group = None if self.user is None else pwd.getpwnam(self.user).pw_gid
        # A MariaDB that starts empties its temporary folder of tables, those of another one too, which then crashes.
        variables = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TMPDIR": str(self.folder)}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            user=self.user,
            group=group,
            extra_groups=None if group is None else [],
            start_new_session=True,  # Ctrl-C is for the tests, which then stop the server in order
        )

    def _tail(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]
