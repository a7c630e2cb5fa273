"""A load generator in a process of its own: keep-alive connections that each send their next request at once.

python -m bench.airflow.load    (one JSON object on standard input, one on standard output)
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from subprocess import PIPE, Popen
from typing import Any

from bench.airflow.wire import Connection, request

_ATTEMPTS = 100
PROBE = request("GET", "/probe/pid").encode()
"""Which worker answers."""


@dataclass(frozen=True)
class Load:
    """What to send.

    Args:
        requests: each as the bytes of one HTTP request; connection after connection takes the next, round and round.
        number: how many in all; None: until the time is over.
        seconds: no request is begun later, and nothing is waited for longer than `patience_seconds` after.
        workers: of the server, over which the connections are spread evenly. Else one worker often gets all of them: it
            accepts all that are waiting, and the other one sleeps on.
    """

    port: int
    requests: list[str]
    connections: int
    number: int | None = None
    seconds: float = 60.0
    patience_seconds: float = 0.0
    workers: int = 1


@dataclass
class Answers:
    """What came back: begin and duration in seconds, and the status, of each request that was answered."""

    seconds: float = 0.0
    unanswered: int = 0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)


class Running:
    """A load under way in its process."""

    def __init__(self, load: Load) -> None:
        self._process = Popen([sys.executable, "-m", "bench.airflow.load"], stdin=PIPE, stdout=PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(load)))
        self._process.stdin.close()

    def wait(self) -> Answers:
        """Its end."""
        assert self._process.stdout is not None
        with self._process:
            return Answers(**json.loads(self._process.stdout.read()))


def run(load: Load) -> Answers:
    """From the first request to the last answer."""
    return Running(load).wait()


async def send_all(load: Load) -> Answers:
    """In this process."""
    answers = Answers()
    numbers: Iterator[int] = iter(range(load.number)) if load.number is not None else count()
    connections = await _spread(load)
    begin = time.perf_counter()
    end = begin + load.seconds
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_client(load, one, numbers, end, answers)) for one in connections]
        group.create_task(_give_up(tasks, load.seconds + load.patience_seconds))
    answers.seconds = time.perf_counter() - begin
    return answers


async def _spread(load: Load) -> list[Connection]:
    """The connections; where there are several workers, opened one after the other and shared out among them."""
    if load.workers == 1:
        return [Connection(load.port) for _ in range(load.connections)]
    most = -(-load.connections // load.workers)
    found: dict[bytes, list[Connection]] = {}
    for _ in range(_ATTEMPTS * load.connections):
        if sum(map(len, found.values())) == load.connections:
            break
        connection = Connection(load.port)
        held = found.setdefault(await connection.ask_for(PROBE), [])
        if len(held) < most:
            held.append(connection)
        else:
            connection.close()
    else:
        raise RuntimeError(f"the connections cannot be spread: {[len(held) for held in found.values()]}")
    return [connection for held in found.values() for connection in held]


async def _client(load: Load, connection: Connection, numbers: Iterator[int], end: float, answers: Answers) -> None:
    async with connection:
        for number in numbers:
            begin = time.perf_counter()
            if begin >= end:
                return
            answers.unanswered += 1
            status = await connection.ask(load.requests[number % len(load.requests)].encode())
            answers.unanswered -= 1
            answers.latencies.append(time.perf_counter() - begin)
            answers.statuses[str(status)] = answers.statuses.get(str(status), 0) + 1


async def _give_up(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    _, waiting = await asyncio.wait(tasks, timeout=seconds)
    for task in waiting:
        task.cancel()


def main() -> None:
    """Read, send, write."""
    load = Load(**json.load(sys.stdin))
    run_loop: Any = asyncio.run
    try:
        import uvloop
    except ImportError:
        pass
    else:
        run_loop = uvloop.run
    print(json.dumps(asdict(run_loop(send_all(load)))))


if __name__ == "__main__":
    main()
