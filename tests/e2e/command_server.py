"""`asyncauth` and `airflow` for the pages without the time that imports take: a process that has them loaded forks per
command.

As a program: `command_server.py SOCKET asyncauth` is that process; `command_server.py SOCKET -- ARGUMENT …` is the
command. Airflow reads its configuration as it is imported, so there is one process for each, started when it is asked
for: `command_server.py FOLDER --airflow PYTHON -- ARGUMENT …`. They write their ids into FOLDER, and are ended by them.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

LOADED = {
    "asyncauth": ("asyncauth.cli.app",),
    "airflow": ("airflow.cli.cli_parser", "airflow.cli.commands.db_command", "asyncauth.airflow.manager"),
}
"""Modules that no fork has to import."""
START_SECONDS = 120.0


def serve(path: str, program: str) -> None:
    """Fork for each command that is sent, until terminated."""
    main: Callable[[], None] = import_module("asyncauth.cli" if program == "asyncauth" else "airflow.__main__").main
    for name in LOADED[program]:
        import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        Path(f"{path}.new").rename(path)  # who sees it can connect
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(connection, main, program)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _run(connection: socket.socket, main: Callable[[], None], program: str) -> None:
    """As the caller: with its files, folder, environment and words."""
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
    with connection.makefile("r") as lines:
        folder, environment, words = json.loads(lines.readline())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *words]
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as error:
        code = error.code
    finally:
        if isinstance(code, str):
            print(code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        number = code if isinstance(code, int) else 0 if code is None else 1
        connection.sendall(f"{number}\n".encode())
        os._exit(number)


def call(path: str, words: list[str]) -> int:
    """Have a command run; its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"x"], [0, 1, 2])
        connection.sendall(json.dumps([os.getcwd(), dict(os.environ), words]).encode() + b"\n")  # noqa: PTH109
        with connection.makefile("r") as lines:
            return int(lines.readline())


def find_airflow(folder: Path, python: str) -> str:
    """The socket of the Airflow with this environment's configuration; it is started if it does not run yet."""
    configuration = sorted(pair for pair in os.environ.items() if pair[0].startswith(("AIRFLOW", "PYTHONPATH")))
    path = folder / hashlib.sha256(repr(configuration).encode()).hexdigest()[:16]
    if not path.exists():
        with path.with_suffix(".log").open("wb") as log:
            # A session of its own: who asks for a password finds no terminal, and reads its input.
            started = subprocess.Popen(
                [python, __file__, path, "airflow"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        path.with_suffix(".pid").write_text(str(started.pid))
        give_up = time.monotonic() + START_SECONDS
        while not path.exists():
            if started.poll() is not None or time.monotonic() > give_up:
                sys.exit(f"Airflow did not start: {path.with_suffix('.log').read_text()}")
            time.sleep(0.05)
    return str(path)


if __name__ == "__main__":
    if sys.argv[2] == "--":
        sys.exit(call(sys.argv[1], sys.argv[3:]))
    if sys.argv[2] == "--airflow":
        sys.exit(call(find_airflow(Path(sys.argv[1]), sys.argv[3]), sys.argv[5:]))
    serve(*sys.argv[1:])
