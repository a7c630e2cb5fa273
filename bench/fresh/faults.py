"""A fault every second, drawn by lot."""

import asyncio
import contextlib
import importlib
import random
import signal
import sqlite3
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from sqlalchemy import make_url

from bench.fresh.proxy import Proxy
from bench.fresh.writer import NAME

EVERY_SECONDS = 1.0
Fault = Callable[[int], Coroutine[Any, Any, None]]
"""Given the number of the worker that it strikes."""


class Faults:
    """Strikes while a run lasts.

    Args:
        url: the database itself, past the proxies.
        proxies: of the workers, in order; none for SQLite.
        lease_seconds: how long workers trust their memory: some faults last longer.
        seconds: how long to go on.
    """

    def __init__(self, url: str, proxies: Sequence[Proxy], lease_seconds: float, seconds: float) -> None:
        self.struck: list[str] = []
        """What was done, in order."""
        self._url = make_url(url)
        self._proxies = proxies
        self._lease_seconds = lease_seconds
        self._seconds = seconds

    async def meddle(self, begin: float, workers: Sequence[Process]) -> None:
        """For `crew.run`."""
        lot = random.Random(1)
        kinds = dict(self._kinds(workers))
        names: list[str] = []
        at = begin
        async with asyncio.TaskGroup() as group:
            while (at := at + EVERY_SECONDS) < begin + self._seconds:
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                if not names:  # each comes before any comes again
                    names = lot.sample(sorted(kinds), len(kinds))
                name = names.pop()
                group.create_task(kinds[name](lot.randrange(len(workers))))
                self.struck.append(name)

    def _kinds(self, workers: Sequence[Process]) -> Iterator[tuple[str, Fault]]:
        async def freeze(worker: int) -> None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended, late in the run
                workers[worker].send_signal(signal.SIGSTOP)
                await asyncio.sleep(self._lease_seconds + 0.2)
                workers[worker].send_signal(signal.SIGCONT)

        yield "a worker frozen for longer than its lease", freeze
        if self._proxies:
            yield "a worker's connections reset", self._cut
            yield "a worker's database slow", self._slow
            yield "a worker's database deaf for longer than its lease", self._deaf
        if self._url.get_backend_name() == "postgresql":
            yield "LISTEN terminated", self._terminate("AND query LIKE 'LISTEN%'")
            yield "all workers' backends terminated", self._terminate("")
        if self._url.get_backend_name() == "sqlite":
            yield "the file locked", self._lock

    async def _cut(self, worker: int) -> None:
        self._proxies[worker].cut()

    async def _slow(self, worker: int) -> None:
        self._proxies[worker].delay_seconds = 0.1
        await asyncio.sleep(0.6)
        self._proxies[worker].delay_seconds = 0.0

    async def _deaf(self, worker: int) -> None:
        self._proxies[worker].deaf = True
        await asyncio.sleep(self._lease_seconds + 0.2)
        self._proxies[worker].deaf = False

    def _terminate(self, condition: str) -> Fault:
        async def terminate(_: int) -> None:
            url = self._url
            driver: Any = importlib.import_module("psycopg")
            async with await driver.AsyncConnection.connect(
                host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
            ) as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    f"AND pid <> pg_backend_pid() AND application_name <> '{NAME}' {condition}"
                )

        return terminate

    async def _lock(self, _: int) -> None:
        def hold() -> None:
            with contextlib.closing(sqlite3.connect(self._url.database or "", timeout=30)) as connection:
                connection.execute("BEGIN EXCLUSIVE")
                time.sleep(0.3)
                connection.rollback()

        await asyncio.to_thread(hold)
