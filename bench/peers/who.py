"""Who is this? The same tokens and the same user table, over HTTP on uvicorn. Peers: fastapi-users, Litestar's JWTAuth.

All of them verify HS512 with one secret. The peers then read the user's row, on an open connection; ours knows the user
with all roles and permissions already (warm), or reads them (cold).
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

from bench.data import filled
from bench.figures import Figure
from bench.http.load import CONNECTIONS, BenchServer, serving
from bench.http.requests import by_header
from bench.measure import Measure, Medians, Sample, interleaved
from bench.parts import NAME, SECRET, started
from bench.peers.places import MISSING, find_python
from bench.progress import say
from bench.sizes import Sizes

FASTAPI, LITESTAR = "asyncauth on FastAPI", "asyncauth on Litestar"
FASTAPI_USERS, JWT_AUTH = "fastapi-users", "Litestar's JWTAuth"
COLD = "asyncauth, cold"
COLD_TIMES = 2
ROUNDS = 10


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """Processor time and throughput of a request, in turn with the peers."""
    rounds = min(ROUNDS, sizes.rounds)
    warm, cold = max(CONNECTIONS, sizes.http_requests // 4), max(2, sizes.http_requests // 20)
    users = CONNECTIONS + cold * (rounds + 1)  # a cold user is asked for once; one round is not counted
    async with filled(url, lambda filler: filler.crowd(users)):
        async with started(url) as auth:
            requests = [by_header(number, auth.issue_token(number)) for number in range(1, users + 1)]
        known, strangers = requests[:CONNECTIONS], iter(requests[CONNECTIONS:])
        with ExitStack() as stack:
            servers = _start(stack, {"url": url, "secret": SECRET, "name": NAME, "connections": CONNECTIONS})
            measures = [_asking(server, name, known, warm) for name, server in servers.items()]
            found = await interleaved(rounds, *measures, _asking_cold(servers[FASTAPI], strangers, known, cold))
    figures = [_figure("who is this? Litestar, warm", found, LITESTAR, JWT_AUTH)]
    if FASTAPI_USERS in servers:
        figures += [
            _figure("who is this? FastAPI, warm", found, FASTAPI, FASTAPI_USERS),
            _figure("who is this? FastAPI, cold, with all permissions", found, COLD, FASTAPI_USERS, times=COLD_TIMES),
        ]
    return figures


def _start(stack: ExitStack, given: dict[str, Any]) -> dict[str, BenchServer]:
    ours = stack.enter_context(serving([sys.executable, "-m", "bench.peers.server"], given))
    servers = dict.fromkeys((FASTAPI, LITESTAR, JWT_AUTH), ours)
    python = find_python()
    if python is None:
        say(MISSING)
    else:
        command = [python, "-m", "bench.peers.fastapi_users_server"]
        servers[FASTAPI_USERS] = stack.enter_context(serving(command, given))
    return servers


def _asking(server: BenchServer, name: str, requests: Sequence[bytes], count: int) -> Measure:
    async def measure() -> Sample:
        spent = server.ask(name, requests, count)
        return {name: spent.cpu, f"{name} wall": spent.wall}

    return measure


def _asking_cold(server: BenchServer, strangers: Iterator[bytes], known: Sequence[bytes], count: int) -> Measure:
    async def measure() -> Sample:
        spent = server.ask(FASTAPI, list(islice(strangers, count)), count, first=known)
        return {COLD: spent.cpu, f"{COLD} wall": spent.wall}

    return measure


def _figure(what: str, found: Medians, here: str, peer: str, *, times: float = 1) -> Figure:
    cpu = found[peer] * 1e6
    notes = {f"requests a second, {name}": round(1 / found[f"{name} wall"]) for name in (here, peer)}
    goal = f"no more than {peer}" if times == 1 else f"{times:g} times {peer}, which reads no permission"
    return Figure(what, "µs", found[here] * 1e6, cpu * times, goal, peers={peer: cpu}, notes=notes)
