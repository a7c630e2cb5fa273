"""The runs: each a plan, the orders of its workers, and the figures that it gives."""

import asyncio
import os
import shutil
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from sqlalchemy import make_url

from asyncauth import Settings
from bench.data import filled
from bench.figures import Figure
from bench.fresh.crew import Run, run
from bench.fresh.faults import Faults
from bench.fresh.history import Verdict, check, latencies
from bench.fresh.plan import Plan, WorkerOrder
from bench.fresh.proxy import proxied
from bench.fresh.worker import FAILED, GRANTED, REFUSED, REQUEST, UNKNOWN
from bench.sizes import Sizes

POLL_SECONDS: float = Settings.model_fields["poll_interval_seconds"].default
LEASE_SECONDS: float = Settings.model_fields["max_staleness_seconds"].default
CHECKED_LEASE_SECONDS = 1.0
"""While decisions are checked: a short lease, so that an answer that outlives it shows."""
CHECKED_SECONDS = 0.05
"""From one change to the next, meanwhile: each subject's changes are further apart than the lease."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs on one database have in common."""

    url: str
    sizes: Sizes
    uvloop: bool

    async def follow(
        self,
        workers: int,
        *,
        saturated: bool = False,
        cores: tuple[int, ...] = (),
        own: bool = False,
        **settings: Any,
    ) -> Run:
        """Rights are taken and given, while workers are asked."""
        pushed = _has_push(self.url) and settings.get("listen", True)
        watched = 0.05 if pushed or "redis_url" in settings else POLL_SECONDS + 0.1
        revokes = self.sizes.revokes
        if saturated or not pushed:
            revokes = min(revokes, max(1000, revokes // 4))
        plan = Plan(2 * revokes, self.sizes.change_seconds, watched_seconds=watched, rest_seconds=2 * watched)
        if not _is_server(self.url):  # seldom and few: any change makes each worker load everybody again
            changes = min(plan.changes, 2000)
            plan = replace(plan, changes=changes, subjects=16, interval_seconds=4 * plan.interval_seconds)
        order = WorkerOrder(self.url, plan, settings, self.uvloop, saturated, cores=cores)
        async with filled(self.url, lambda filler: filler.subjects(plan.subjects)):
            return await run(plan, self.url, [order] * workers, own=settings if own else None)

    async def quiet(self, **settings: Any) -> Run:
        """Nothing changes."""
        plan = Plan(0, 1, rest_seconds=self.sizes.quiet_seconds)
        order = WorkerOrder(self.url, plan, settings, self.uvloop, decisions_per_second=1000)
        async with filled(self.url, lambda filler: filler.subjects(plan.subjects)):
            return await run(plan, self.url, [order])

    async def partition(
        self, lease_seconds: float, *, before_seconds: float = 1.0, after_seconds: float = 1.5
    ) -> tuple[Run, float]:
        """One worker's database is black-holed after `before_seconds`; and when. It is asked on for its lease and
        `after_seconds`."""
        plan = Plan(0, 1, rest_seconds=before_seconds + lease_seconds + after_seconds)
        black_holed = 0.0
        async with filled(self.url, lambda filler: filler.subjects(plan.subjects)), proxied(self.url) as (url, proxy):

            async def meddle(begin: float, _: Sequence[Process]) -> None:
                nonlocal black_holed
                await asyncio.sleep(begin + before_seconds - time.monotonic())
                proxy.deaf = True
                black_holed = time.monotonic()  # afterwards: what the proxy forwarded came before
                await asyncio.sleep(plan.rest_seconds)  # till the worker has been asked enough
                proxy.deaf = False

            order = WorkerOrder(url, plan, {"max_staleness_seconds": lease_seconds}, self.uvloop)
            return await run(plan, self.url, [order], meddle=meddle), black_holed

    async def consistency(
        self, workers: int, decisions: int, rate: float, *, late_seconds: float = 0.0
    ) -> tuple[Run, Verdict, list[str]]:
        """A fault every second, and every decision checked."""
        seconds = decisions / workers / rate
        # Any change makes a worker on SQLite load everybody again: fewer users, who change as seldom.
        interval_seconds, subjects = (CHECKED_SECONDS, 64) if _is_server(self.url) else (5 * CHECKED_SECONDS, 8)
        plan = Plan(round(seconds / interval_seconds), interval_seconds, subjects, deactivated_every=16)
        lease = {"max_staleness_seconds": CHECKED_LEASE_SECONDS, "database_timeout_seconds": 0.8}
        async with filled(self.url, lambda filler: filler.subjects(plan.subjects)), AsyncExitStack() as stack:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="asyncauth-bench-"))
            stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder)
            logs = [folder / str(number) for number in range(workers)]
            order = WorkerOrder(self.url, plan, lease, self.uvloop, decisions_per_second=rate)
            ways = [await stack.enter_async_context(proxied(self.url)) for _ in logs if _is_server(self.url)]
            urls = [url for url, _ in ways] or [self.url] * workers
            orders = [replace(order, url=url, log=str(log)) for url, log in zip(urls, logs, strict=True)]
            orders[0] = replace(orders[0], late_seconds=late_seconds)
            faults = Faults(self.url, [proxy for _, proxy in ways], CHECKED_LEASE_SECONDS, plan.seconds - 1)
            done = await run(plan, self.url, orders, meddle=None if late_seconds else faults.meddle)
            verdict = await asyncio.to_thread(check, plan, done.commits, logs, CHECKED_LEASE_SECONDS)
            return done, verdict, faults.struck


def follow_figures(what: str, done: Run, goals: dict[float, float], *, above_baseline: bool = False) -> list[Figure]:
    """The latencies of a run, each beside a datagram's. `goals`: share → milliseconds."""
    seconds, missed = latencies(done)
    datagrams = [one for worker in done.workers for one in worker.datagrams]
    figures = [Figure(f"{what}: revokes not seen before the right came back", "", missed, 0)]
    for share, goal in goals.items():
        datagram = percentile(datagrams, share) * 1e3
        limit = goal + datagram if above_baseline else goal
        figures.append(
            Figure(
                f"{what}: commit returned to last grant, p{share * 100:g}",
                "ms",
                percentile(seconds, share) * 1e3,
                limit,
                f"a datagram + {goal:g}" if above_baseline else "",
                {"datagram": datagram},
                notes={"samples": len(seconds), "requests/s": median(w.rate for w in done.workers)},
            )
        )
    failed = sum(worker.answers[FAILED] + worker.answers[UNKNOWN] for worker in done.workers)
    return [
        *figures,
        Figure(f"{what}: requests that got neither yes nor no", "", failed, 0),
        Figure(f"{what}: SQL statements of requests answered from memory", "", warm_statements(done), 0),
    ]


def warm_statements(done: Run) -> int:
    """What the requests' own tasks sent: a load runs in a task of the manager."""
    return sum(n for worker in done.workers for task, n in worker.statements.items() if task.startswith(REQUEST))


def quiet_figures(done: Run) -> list[Figure]:
    """What following costs while nothing changes."""
    worker = done.workers[0]
    rate = (worker.statements.get("asyncauth background", 0) - 1) / worker.seconds  # the first one stands at the start
    return [Figure("the follower's statements, nothing changes", "/s", rate, 4.0)]


def partition_figures(done: Run, black_holed: float, lease_seconds: float) -> list[Figure]:
    """What a worker without a database answers."""
    (worker,) = done.workers
    what = f"black hole, max_staleness_seconds {lease_seconds:g}"
    counts = {"grants": worker.answers[GRANTED], "503 after the last": worker.unknown_after_grant}
    return [
        Figure(f"{what}: last grant after", "s", worker.last_grant - black_holed, lease_seconds + 0.1, notes=counts),
        Figure(f"{what}: answers that were no 503 nor yes", "", worker.answers[REFUSED] + worker.answers[FAILED], 0),
        Figure(f"{what}: 503 given (0: yes)", "", float(worker.unknown_after_grant == 0), 0),
    ]


def consistency_figures(done: Run, verdict: Verdict, struck: list[str]) -> list[Figure]:
    """Counts of a checked run."""
    notes = {
        "decisions": verdict.decisions,
        "near a commit that changes them": verdict.near,
        "commits": len(done.commits),
        "faults": len(struck),
        "503": verdict.unknown,
    }
    failures = sum((Counter(worker.failures) for worker in done.workers), Counter[str]())
    return [
        Figure("wrong grants", "", verdict.wrong_grants, 0, notes=notes),
        Figure("wrong refusals", "", verdict.wrong_refusals, 0),
        Figure("decisions older than what their worker had shown", "", verdict.went_back, 0),
        Figure("requests that failed otherwise", "", failures.total(), 0, notes=dict(failures)),
        Figure(
            "of a tenth of them, missing near a commit that changes them",
            "",
            max(0, verdict.decisions // 10 - verdict.near),
            0,
        ),
        Figure("SQL statements of requests answered from memory", "", warm_statements(done), 0),
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def two_cores() -> tuple[int, ...]:
    """Where saturated workers are put."""
    return tuple(sorted(os.sched_getaffinity(0))[:2])


def _has_push(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"


def _is_server(url: str) -> bool:
    return make_url(url).get_backend_name() != "sqlite"
