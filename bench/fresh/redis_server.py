"""A Redis of our own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import ConnectionError as NotYet
from tests.servers.find import HOST, find_program, free_port

START_SECONDS = 10.0


@contextmanager
def redis_server() -> Iterator[str]:
    """Its URL; it ends with the block.

    Raises:
        tests.servers.ServerError: it is not installed.
    """
    port = free_port()
    command = [find_program("redis-server", package="redis-server"), "--port", str(port), "--bind", HOST, "--save", ""]
    with tempfile.TemporaryDirectory(prefix="asyncauth-redis-") as folder:
        server = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL, stderr=sys.stderr)
        try:
            _wait(port)
            yield f"redis://{HOST}:{port}"
        finally:
            server.terminate()
            server.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Redis(HOST, port) as client:
        while time.monotonic() < deadline:
            with suppress(NotYet):
                client.ping()
                return
            time.sleep(0.02)
    raise TimeoutError("redis-server did not start")
