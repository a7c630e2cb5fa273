"""Where a page runs: a process that is as before afterwards, programs of its own, a server on a free port."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.airflow.installed import variables
from tests.airflow.process import find_python
from tests.e2e.page_code import ROOT, PageError
from tests.servers.find import free_port

START_SECONDS = 120.0
"""Airflow's server takes ten, on a machine that does nothing else."""
STOP_SECONDS = 60.0
COMMAND_SERVER = str(ROOT / "tests/e2e/command_server.py")


@contextmanager
def same_process_afterwards(used: Path) -> Iterator[None]:
    """Environment, folder and modules are as before, whatever a page does to them."""
    environment, folder, path, modules = dict(os.environ), Path.cwd(), list(sys.path), set(sys.modules)
    for name in [name for name in os.environ if re.match("ASYNCAUTH_(?!TEST_)", name)]:
        del os.environ[name]
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            if name == "page" or str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(used)):
                del sys.modules[name]
        os.chdir(folder)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)


@contextmanager
def serve_commands(folder: Path) -> Iterator[Path]:
    """Where `command_server` runs commands; see there."""
    path = folder / "commands"
    server = subprocess.Popen([sys.executable, COMMAND_SERVER, str(path), "asyncauth"])
    try:
        give_up = time.monotonic() + START_SECONDS
        while not path.exists():
            assert server.poll() is None, "the commands cannot be served"
            assert time.monotonic() < give_up, "the commands are not served"
            time.sleep(0.05)
        yield path
    finally:
        server.terminate()
        server.wait()


def make_programs(folder: Path, commands: Path) -> Path:
    """What the pages call that is not to be the real thing: see `pip_stand_in`; `make` only says what it would do."""
    folder.mkdir()
    python = shlex.quote(sys.executable)
    make = shutil.which("make")
    programs = {
        # A server is one to be terminated: not the child of another process.
        "asyncauth": f'[ "${{1:-}}" = serve ] && exec {python} -m asyncauth "$@"\n'
        f'exec {python} -IS {shlex.quote(COMMAND_SERVER)} {shlex.quote(str(commands))} -- "$@"',
        "pip": f'exec {python} {shlex.quote(str(ROOT / "tests/e2e/pip_stand_in.py"))} "$@"',
        "make": f'exec {make} --no-print-directory --dry-run -C {shlex.quote(str(ROOT))} "$@" > /dev/null',
    }
    for name, text in programs.items():
        _write_program(folder / name, text)
    return folder


def _write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


@contextmanager
def airflow_on_path(programs: Path, folder: Path, *, fab: bool) -> Iterator[None]:
    """`airflow` among the programs is the real one, with asyncauth installed; `fab`: and the FAB provider."""
    folder.mkdir()
    (folder / "installed").mkdir()
    python = shlex.quote(find_python())
    served = f"{shlex.quote(sys.executable)} -IS {shlex.quote(COMMAND_SERVER)} {shlex.quote(str(folder))}"
    _write_program(
        programs / "airflow",
        # A server is one to be terminated: not the child of another process.
        f'[ "${{1:-}}" = api-server ] && exec {python} -m airflow "$@"\nexec {served} --airflow {python} -- "$@"',
    )
    made = variables(folder / "installed", fab=fab)
    os.environ |= {name: made[name] for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    try:
        yield
    finally:
        for path in folder.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGTERM)


class Server:
    """The server of a page, if it has one now."""

    def __init__(self, log: Path) -> None:
        self.port = 0
        """Where the last one was; 0: there was none."""
        self.running: subprocess.Popen[bytes] | None = None
        self._log = log

    def start(self, command: str, where: str) -> None:
        """Start another one in its place, and wait until it answers.

        Raises:
            PageError: it does not.
        """
        self.stop()
        self.port = free_port()
        words = [*shlex.split(command.replace("--port 8000", "")), "--port", str(self.port)]
        with self._log.open("wb") as output:
            self.running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        give_up = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            if self.running.poll() is not None or time.monotonic() > give_up:
                raise PageError(f"{where}: the server did not start\n{self._log.read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        server, self.running = self.running, None
        if server is not None:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
