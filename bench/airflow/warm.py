"""Requests per second, latency and processor time of what the pages ask all the time, everybody warm."""

from collections.abc import Callable
from statistics import median

from tests.apiserver.conftest import Worlds
from tests.apiserver.server import ApiServer

from bench.airflow.crew import BIG_POOL, CACHED, HERE, UNCACHED, Measured, measure, servers, token
from bench.airflow.hangs import ADMIN, PATH
from bench.airflow.load import Load
from bench.airflow.sizes import Sizes
from bench.airflow.wire import request
from bench.figures import Figure, Section

NAMES = [CACHED, UNCACHED, HERE]
CONNECTIONS = 50
Rounds = dict[str, list[Measured]]


def measure_warm(worlds: Worlds, sizes: Sizes, drawn: dict[str, list[float]]) -> list[Section]:
    """All three kinds of request, interleaved; `drawn` gets the latencies of `latest_run` in seconds."""
    database = worlds.copy("postgresql")
    with servers(database, NAMES, workers=2, **BIG_POOL) as started:
        latest = _rounds(started, PATH, sizes.requests, sizes.slow_requests, sizes.rounds, cookie=True)
        tails = _rounds(_without_slow(started), PATH, sizes.requests, 0, sizes.tail_rounds - sizes.rounds, cookie=True)
        config = _rounds(started, "/ui/config", sizes.requests, sizes.slow_requests, sizes.rounds, cookie=True)
        pools = _rounds(started, "/api/v2/pools", sizes.slow_requests, sizes.slow_requests, sizes.rounds, cookie=False)
        _freeze(_without_slow(started))
        frozen = _rounds(_without_slow(started), PATH, sizes.requests, 0, sizes.tail_rounds, cookie=True)
    for name in (CACHED, HERE):
        latest_all = latest[name] + tails.get(name, [])
        drawn[name] = [one for measured in latest_all for one in measured.answers.latencies]
        tails[name] = latest_all
    figures = (
        *_throughput("latest_run, by cookie", latest, 1.25),
        _tail("p99", tails),
        _tail("p99, both after gc.freeze", frozen),
        *_throughput("/ui/config, by cookie", config, 1.25),
        *_throughput("/api/v2/pools, by header", pools, 1.0),
        _processor("/api/v2/pools, by header", pools),
    )
    return [Section("warm", "PostgreSQL, pool of 50", "2 workers", figures)]


def _without_slow(started: dict[str, ApiServer]) -> dict[str, ApiServer]:
    return {name: server for name, server in started.items() if name != UNCACHED}


def _freeze(started: dict[str, ApiServer]) -> None:
    """On every worker: a full garbage collection takes 0.4 s, and hides what else makes a request late."""
    for server in started.values():
        done: set[int] = set()
        while len(done) < server.workers:
            with server.client() as client:  # a connection of its own each time, to whoever takes it
                done.add(client.post("/probe/freeze").raise_for_status().json())


def _rounds(started: dict[str, ApiServer], path: str, requests: int, slow: int, rounds: int, *, cookie: bool) -> Rounds:
    found: Rounds = {name: [] for name in started}
    asked = [request("GET", path, token=token(ADMIN), cookie=cookie)]
    for server in started.values():  # warm up
        measure(server, Load(server.port, asked, 8, 32))
    for _ in range(rounds):
        for name, server in started.items():
            number = slow if name == UNCACHED else requests
            found[name].append(measure(server, Load(server.port, asked, CONNECTIONS, number, workers=server.workers)))
    return found


def _middle(rounds: Rounds, name: str, of: Callable[[Measured], float]) -> float:
    return median(of(measured) for measured in rounds[name])


def _ms(measured: Measured) -> float:
    """Of one request, when as many as possible are answered."""
    return 1e3 / measured.per_second if measured.per_second else float("inf")


def _throughput(what: str, rounds: Rounds, times: float) -> tuple[Figure, Figure]:
    values = {name: _middle(rounds, name, _ms) for name in NAMES}
    beside = {f"{name}, req/s": 1e3 / value for name, value in values.items()}
    beside |= {f"{name}, CPU ms": _middle(rounds, name, lambda one: one.cpu_ms) for name in NAMES}
    beside |= {f"{name}, p50 ms": _middle(rounds, name, lambda one: one.quantile(0.5)) for name in NAMES}
    cached, uncached = values[CACHED] / times, values[UNCACHED] / 4
    return (
        Figure(what, "ms a request", values[HERE], cached, f"{times:g}x FAB's throughput", beside),
        Figure(f"{what}: against FAB without its cache", "ms a request", values[HERE], uncached, "4x its throughput"),
    )


def _tail(which: str, rounds: Rounds) -> Figure:
    values = {name: _middle(rounds, name, lambda one: one.quantile(0.99)) for name in (CACHED, HERE)}
    what = f"latest_run, by cookie: {which}, median of {len(rounds[HERE])} rounds"
    return Figure(what, "ms", values[HERE], 0.7 * values[CACHED], "0.7x FAB's", {CACHED: values[CACHED]})


def _processor(what: str, rounds: Rounds) -> Figure:
    values = {name: _middle(rounds, name, lambda one: one.cpu_ms) for name in NAMES}
    beside = {name: values[name] for name in (CACHED, UNCACHED)}
    return Figure(f"{what}: processor time", "ms a request", values[HERE], values[CACHED], "less than FAB's", beside)
