"""Twenty logins at once, for seconds: how others fare meanwhile, and what memory the workers take."""

from statistics import median

from tests.apiserver.conftest import Worlds
from tests.apiserver.server import ApiServer

from bench.airflow.crew import BIG_POOL, CACHED, HERE, Measured, peak_mib, servers, token
from bench.airflow.hangs import ADMIN, PATH
from bench.airflow.load import Answers, Load, Running, run
from bench.airflow.sizes import Sizes
from bench.airflow.wire import request
from bench.figures import Figure, Section

NAMES = [CACHED, HERE]
AT_ONCE = 20
OTHERS = 4
"""Connections of those who do something else."""
PATIENCE_SECONDS = 20.0


def measure(worlds: Worlds, sizes: Sizes) -> list[Section]:
    """Two workers each, interleaved."""
    idle: dict[str, list[float]] = {name: [] for name in NAMES}
    busy: dict[str, list[float]] = {name: [] for name in NAMES}
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    with servers(worlds.copy("postgresql"), NAMES, workers=2, **BIG_POOL) as started:
        for server in started.values():  # warm up
            _round(server, 1.0)
        for _ in range(sizes.rounds):
            for name, server in started.items():
                alone, beside, logins = _round(server, sizes.login_seconds)
                idle[name].append(alone)
                busy[name].append(beside)
                rates[name].append(logins)
        peaks = {name: max(map(peak_mib, server.pids)) for name, server in started.items()}
    return [Section("logins", "PostgreSQL, pool of 50", "2 workers", _figures(idle, busy, rates, peaks))]


def _round(server: ApiServer, seconds: float) -> tuple[float, float, float]:
    """p99 of others in ms, alone and beside logins; logins per second."""
    others = Load(server.port, [request("GET", PATH, token=token(ADMIN), cookie=True)], OTHERS, None, seconds, 20)
    body = {"username": "vera", "password": "the password of vera"}
    logins = Load(server.port, [request("POST", "/auth/token", body=body)], AT_ONCE, None, seconds, PATIENCE_SECONDS)
    alone = run(others)
    both = [Running(load) for load in (logins, others)]
    done, beside = (running.wait() for running in both)
    return _p99(alone), _p99(beside), done.statuses.get("201", 0) / done.seconds


def _p99(answers: Answers) -> float:
    return Measured(answers, 0.0).quantile(0.99)


def _figures(
    idle: dict[str, list[float]], busy: dict[str, list[float]], rates: dict[str, list[float]], peaks: dict[str, float]
) -> tuple[Figure, ...]:
    what = f"POST /auth/token, {AT_ONCE} at once"
    beside = {
        "idle": median(idle[HERE]),
        f"{CACHED}": median(busy[CACHED]),
        f"{CACHED}, idle": median(idle[CACHED]),
        "logins/s": median(rates[HERE]),
        f"{CACHED}, logins/s": median(rates[CACHED]),
    }
    return (
        Figure(f"{what}: other requests' p99", "ms", median(busy[HERE]), 2 * median(idle[HERE]), "2x idle", beside),
        Figure(f"{what}: peak memory of a worker", "MiB", peaks[HERE], 330, beside={CACHED: peaks[CACHED]}),
    )
