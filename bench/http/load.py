"""A server of the bench as a process, and a client that keeps it busy."""

import json
import selectors
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONNECTIONS = 16
_GOOD = b"HTTP/1.1 200 "


@dataclass(frozen=True, slots=True)
class Spent:
    """What requests cost the server: processor time and time, seconds each."""

    cpu: float
    wall: float


class BenchServer:
    """A process that runs `serving.serve`."""

    def __init__(self, process: "subprocess.Popen[str]", given: dict[str, Any]) -> None:
        self._process = process
        self._tell(json.dumps(given))
        self.ports: dict[str, int] = self._read()

    def cpu_seconds(self) -> float:
        """Its processor time so far."""
        self._tell("")
        spent: float = self._read()
        return spent

    def ask(self, name: str, requests: Sequence[bytes], count: int, *, first: Sequence[bytes] = ()) -> Spent:
        """Send `count` requests to the app of this name, `requests` in turn, over 16 connections: each sends the next
        as soon as it has the answer to its last. Those before, not counted, open connections and warm what can be warm:
        `first`, or `requests` themselves.

        Raises:
            RuntimeError: an answer was not 200.
        """
        with _Connections(self.ports[name]) as connections:
            connections.learn((first or requests)[0])
            connections.send(first or requests, max(2 * CONNECTIONS, len(first)))
            before, start = self.cpu_seconds(), time.perf_counter()
            connections.send(requests, count)
            wall, cpu = time.perf_counter() - start, self.cpu_seconds() - before
        return Spent(cpu / count, wall / count)

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a server of the bench ended: its own message stands above")
        return json.loads(line)


@contextmanager
def serving(command: Sequence[str], given: dict[str, Any]) -> Iterator[BenchServer]:
    """Run `command`, which calls `serving.serve`, until the block ends. `given`: for its `make_apps`."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield BenchServer(process, given)
    finally:
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
            process.stdout.close()


class _Connections:
    """Keep-alive connections without any HTTP library, which would cost as much as the server. All answers of an app
    are equally long, so the first one says when an answer is complete; each must begin with 200."""

    def __init__(self, port: int) -> None:
        self._connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
        self._selector = selectors.DefaultSelector()
        self._size = 0

    def __enter__(self) -> "_Connections":
        for connection in self._connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.close()

    def learn(self, request: bytes) -> None:
        """How long an answer is."""
        self._connections[0].sendall(request)
        self._size = len(_read_first(self._connections[0]))

    def send(self, requests: Sequence[bytes], count: int) -> None:
        """Send `count` of the requests, in turn, and wait for their answers."""
        following = islice(cycle(requests), count)
        answered = 0
        came = dict.fromkeys(self._connections, b"")
        for fresh, request in zip(self._connections, following, strict=False):
            fresh.sendall(request)
        while answered < count:
            for key, _ in self._selector.select():
                connection: Any = key.fileobj
                answer = came[connection] + connection.recv(65536)
                if len(answer) < self._size and answer != came[connection]:
                    came[connection] = answer
                    continue
                _require(len(answer) == self._size and answer.startswith(_GOOD), answer)
                came[connection] = b""
                answered += 1
                if request := next(following, b""):
                    connection.sendall(request)


def _read_first(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536) or _require(False, answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    length = next(int(value) for name, _, value in lines if name == b"content-length")
    while len(body) < length:
        body += connection.recv(65536) or _require(False, answer)
    answer = head + b"\r\n\r\n" + body
    _require(answer.startswith(_GOOD), answer)
    return answer


def _require(good: bool, answer: bytes) -> bytes:
    if not good:
        raise RuntimeError(f"the server's answer was not the expected one: {answer[:200]!r}")
    return answer
