"""What the processes of `rules` measure of themselves."""

import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.machine import resident_bytes

AT_MOST_SECONDS = 1.0
_SLICES = 20


def read_given() -> dict[str, Any]:
    """What to measure."""
    given: dict[str, Any] = json.load(sys.stdin)
    return given


def megabytes() -> float:
    """Resident memory."""
    gc.collect()
    return resident_bytes() / 1e6


async def microseconds(work: Callable[[int], Awaitable[None]], calls: int) -> float:
    """Of a call; `work(n)` makes n. The median of slices, as many as fit into a second: some peers take 100 ms."""
    await work(1)
    start = time.perf_counter()
    slices: list[float] = []
    size = max(1, calls // _SLICES)
    while len(slices) < _SLICES and time.perf_counter() - start < AT_MOST_SECONDS:
        begin = time.perf_counter()
        await work(size)
        slices.append((time.perf_counter() - begin) / size)
        size = max(1, min(size, int(AT_MOST_SECONDS / _SLICES / slices[0])))
    return statistics.median(slices) * 1e6
