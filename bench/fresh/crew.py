"""Starts the worker and writer processes, begins at one moment, and brings their results."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.fresh.plan import Commit, Plan, WorkerOrder, WriterOrder

ROOT = Path(__file__).parents[2]
LEAD_SECONDS = 0.5
_LINE = 2**28

Meddle = Callable[[float, Sequence[Process]], Coroutine[Any, Any, None]]
"""Given the moment of the beginning and the workers."""


class CrewError(Exception):
    """A process of the bench ended with an error, which it has printed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one worker tells at the end; see `bench.fresh.worker`."""

    capacity: float
    rate: float
    seconds: float
    answers: tuple[int, int, int, int]
    failures: dict[str, int]
    unavailable: dict[str, int]
    ends: list[tuple[int, float, float]]
    last_grant: float
    unknown_after_grant: int
    statements: dict[str, int]
    datagrams: list[float]
    status: dict[str, Any]
    last_grant_asked: float = 0.0
    """When the last answer that grants was asked for; `last_grant`: when it was there."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought."""

    plan: Plan
    begin: float
    commits: list[Commit]
    workers: list[Seen]


async def run(
    plan: Plan,
    url: str,
    workers: Sequence[WorkerOrder],
    *,
    own: dict[str, Any] | None = None,
    meddle: Meddle | None = None,
) -> Run:
    """Run all processes to their end.

    Args:
        plan: what is changed when.
        url: where the writer writes.
        workers: an order for each.
        own: settings of a writer that is asyncauth itself; None: plain SQL.
        meddle: goes on beside the run.

    Raises:
        CrewError: one of them failed.
    """
    async with AsyncExitStack() as stack:
        crew = [await _start(stack, "bench.fresh.worker", order.dump()) for order in workers]
        ports = tuple([int(await _hear(one)) for one in crew])
        await _tell(crew, "measure", 0)
        for one in crew:
            await _hear(one)
        everyone = list(crew)
        if plan.changes:
            writer = await _start(stack, "bench.fresh.writer", WriterOrder(url, plan, ports, own).dump())
            await _hear(writer)
            everyone.append(writer)
        begin = time.monotonic() + LEAD_SECONDS
        await _tell(everyone, "begin", begin)
        beside = asyncio.create_task(meddle(begin, crew)) if meddle is not None else None
        lines = await asyncio.gather(*(_hear(one) for one in everyone))
        if beside is not None:
            await beside
    seen = [Seen(**json.loads(line)) for line in lines[: len(crew)]]
    commits = [Commit(*one) for line in lines[len(crew) :] for one in json.loads(line)]
    return Run(plan, begin, commits, seen)


async def _start(stack: AsyncExitStack, module: str, order: str) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=PIPE, stdout=PIPE, cwd=ROOT, limit=_LINE
    )
    stack.push_async_callback(_end, process)
    assert process.stdin is not None
    process.stdin.write(f"{order}\n".encode())
    return process


async def _hear(process: Process) -> str:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise CrewError("a process of the bench failed; what it printed stands above")
    return line.decode()


async def _tell(crew: Sequence[Process], command: str, value: float) -> None:
    for process in crew:
        assert process.stdin is not None
        process.stdin.write(f"{command} {value}\n".encode())
        await process.stdin.drain()


async def _end(process: Process) -> None:
    if process.returncode is None:
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
