"""`asyncauth` for the pages without the time that its import takes: a process that has it loaded forks per command.

As a program: `command_server.py SOCKET` is that process; `command_server.py SOCKET -- ARGUMENT …` is the command.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module


def serve(path: str) -> None:
    """Fork for each command that is sent, until terminated."""
    from asyncauth.cli import main

    import_module("asyncauth.cli.app")  # here, so that no fork has to
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(connection, main)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _run(connection: socket.socket, main: Callable[[], None]) -> None:
    """As the caller: with its files, folder, environment and words."""
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
    with connection.makefile("r") as lines:
        folder, environment, words = json.loads(lines.readline())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["asyncauth", *words]
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


if __name__ == "__main__":
    if sys.argv[2:3] == ["--"]:
        sys.exit(call(sys.argv[1], sys.argv[3:]))
    serve(sys.argv[1])
