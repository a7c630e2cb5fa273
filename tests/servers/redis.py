"""A Redis server."""

import atexit
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.servers.find import HOST, ServerError, find_program, free_port

START_SECONDS = 120.0


class Redis:
    """A Redis server that keeps nothing. Start it from the main thread: it ends with the thread that started it.

    Raises:
        ServerError: the program is missing, or the server did not come up.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="asyncauth-redis-"))
        atexit.register(self.close)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For clients."""
        return f"redis://{HOST}:{self.port}"

    def start(self) -> None:
        """Start, and wait until the server answers."""
        program = find_program("redis-server", package="redis-server")
        command = [program, "--bind", HOST, "--port", str(self.port), "--save", "", "--dir", str(self.folder)]
        if setpriv := shutil.which("setpriv"):  # should we be killed, the kernel ends the server
            command = [setpriv, "--pdeathsig=TERM", "--", *command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError("redis did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill it: whoever is connected finds out."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it and remove its folder."""
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False
