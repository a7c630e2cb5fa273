"""Which runs are made on which database."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import make_url

from bench.figures import Figure
from bench.fresh.draw import drawn
from bench.fresh.history import latencies
from bench.fresh.redis_server import redis_server
from bench.fresh.scenarios import (
    LEASE_SECONDS,
    POLL_SECONDS,
    Bench,
    consistency_figures,
    follow_figures,
    partition_figures,
    quiet_figures,
    two_cores,
)
from bench.sizes import Sizes

PUSH_GOALS = {0.5: 2.0, 0.99: 25.0, 0.999: 25.0}
SATURATED_GOALS = {0.5: 20.0, 0.99: 20.0, 0.999: 50.0}
POLL_GOALS = {0.5: POLL_SECONDS * 1e3, 0.99: POLL_SECONDS * 1e3 + 50, 0.999: POLL_SECONDS * 1e3 + 50}
REDIS_GOALS = {0.5: 25.0, 0.99: 25.0}
SATURATED_WORKERS = 4
CHECKED_WORKERS = 4


async def fresh(url: str, sizes: Sizes) -> list[Figure]:
    """From the commit to the last grant, by each way that the database has."""
    bench = Bench(url, sizes, _is_uvloop())
    figures = [figure async for figure in _follow(bench)]
    figures += quiet_figures(await bench.quiet())
    if make_url(url).get_backend_name() != "sqlite":
        lease_seconds = min(LEASE_SECONDS, sizes.lease_seconds)
        figures += partition_figures(*await bench.partition(lease_seconds), lease_seconds)
    return figures


async def consistency(url: str, sizes: Sizes) -> list[Figure]:
    """Every decision against what was committed, a fault every second; then with a bug planted."""
    bench = Bench(url, sizes, _is_uvloop())
    workers = sizes.workers or CHECKED_WORKERS
    done, verdict, struck = await bench.consistency(workers, sizes.decisions, sizes.decisions_per_second)
    figures = consistency_figures(done, verdict, struck)
    if make_url(url).get_backend_name() != "sqlite":  # there the next change, of anybody, drops everything
        caught = await catch_planted(bench)
        figures.append(Figure("planted bug, one change applied late: caught (0: yes)", "", float(not caught), 0))
    return figures


async def catch_planted(bench: Bench) -> int:
    """Wrong grants of a worker that applies one change late; there ought to be some."""
    rate = bench.sizes.decisions_per_second
    _, verdict, _ = await bench.consistency(2, round(rate * 2 * 4.5), rate, late_seconds=3.0)
    return verdict.wrong_grants


async def _follow(bench: Bench) -> AsyncIterator[Figure]:
    workers, dialect = bench.sizes.workers or os.cpu_count() or 1, make_url(bench.url).get_backend_name()
    runs: list[tuple[str, dict[float, float], dict[str, Any]]] = []
    polling: dict[str, Any] = {"workers": workers}
    if dialect == "postgresql":
        if bench.sizes.push:
            saturated = {"workers": SATURATED_WORKERS, "saturated": True, "cores": two_cores()}
            runs.append((f"push, {workers} workers", PUSH_GOALS, {"workers": workers}))
            runs.append((f"push, {SATURATED_WORKERS} saturated workers on 2 cores", SATURATED_GOALS, saturated))
        polling["listen"] = False
    runs.append((f"polling, {workers} workers", POLL_GOALS, polling))
    async with AsyncExitStack() as stack:
        if dialect in {"mysql", "mariadb"} and bench.sizes.push:
            redis_url = stack.enter_context(redis_server())
            runs.append(
                ("Redis, our own writer", REDIS_GOALS, {"workers": workers, "own": True, "redis_url": redis_url})
            )
        for what, goals, how in runs:
            done = await bench.follow(**how)
            name = f"{make_url(bench.url).get_driver_name()}: {what}"
            drawn[name] = latencies(done)[0], [one for worker in done.workers for one in worker.datagrams]
            above = goals in (POLL_GOALS, REDIS_GOALS)
            for figure in follow_figures(what, done, goals, above_baseline=above):
                yield figure


def _is_uvloop() -> bool:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0] == "uvloop"
