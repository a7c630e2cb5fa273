"""The servers that are compared, each on a database that Airflow made, and what their processes take."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from tests.airflow.process import AUDIENCE, ISSUER, SECRET, sync_url
from tests.apiserver.conftest import Worlds, add_runs
from tests.apiserver.server import FAB, OURS, ApiServer
from tests.databases import Database

from bench.airflow.load import Answers, Load, run

CACHED, UNCACHED, HERE = "FAB", "FAB, no cache", "asyncauth"
MANAGERS = {CACHED: FAB, UNCACHED: FAB, HERE: OURS}
OPTIONS: dict[str, dict[str, Any]] = {UNCACHED: {"AIRFLOW__FAB__CACHE_TTL": "0"}}
BIG_POOL: dict[str, Any] = {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "50"}
QUIET: dict[str, Any] = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}


@dataclass(frozen=True)
class Measured:
    """A load's answers and what they cost the server's workers."""

    answers: Answers
    cpu_ms: float
    """Of processor time, each request."""

    @property
    def per_second(self) -> float:
        """Requests answered with 200 or 201."""
        good = sum(number for status, number in self.answers.statuses.items() if status in {"200", "201"})
        return good / self.answers.seconds

    def quantile(self, share: float) -> float:
        """Latency in ms."""
        ordered = sorted(self.answers.latencies) or [float("inf")]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3


@contextmanager
def servers(
    database: Database, names: list[str], *, workers: int, runs: bool = True, **more: str
) -> Iterator[dict[str, ApiServer]]:
    """Servers by name, started at the same time, on one database."""
    url = sync_url(database)
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(
                closing(ApiServer(url, MANAGERS[name], workers=workers, **QUIET | OPTIONS.get(name, {}) | more))
            )
            for name in names
        }
        for server in started.values():
            server.wait()
        if runs:
            add_runs(next(iter(started.values())))
        yield started


def measure(server: ApiServer, load: Load) -> Measured:
    """Run a load, and look at the workers' clocks."""
    before = sum(cpu_seconds(pid) for pid in server.pids)
    answers = run(load)
    spent = sum(cpu_seconds(pid) for pid in server.pids) - before
    return Measured(answers, spent * 1e3 / max(1, len(answers.latencies)))


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def token(user_id: int) -> str:
    """As either server issues it."""
    now = int(time.time())
    claims = {"sub": str(user_id), "jti": os.urandom(16).hex(), "iss": ISSUER, "aud": AUDIENCE}
    return jwt.encode(claims | {"iat": now, "nbf": now, "exp": now + 3600}, SECRET, "HS512")


__all__ = ["BIG_POOL", "CACHED", "HERE", "UNCACHED", "Measured", "Worlds", "measure", "peak_mib", "servers", "token"]
