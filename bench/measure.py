"""How everything here is measured: in turn, many times over, and the median of it."""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from anyio import sleep

BEAT_SECONDS = 0.001
_REST_SECONDS = 0.005
_SLICE = 100

Sample = Mapping[str, float]
Measure = Callable[[], Awaitable[Sample]]


class Medians:
    """What `interleaved` found, by name."""

    def __init__(self, samples: list[dict[str, float]]) -> None:
        self._values = {name: [sample[name] for sample in samples] for name in samples[0]}

    def __getitem__(self, name: str) -> float:
        return statistics.median(self._values[name])

    def worst(self, name: str) -> float:
        """The highest of all rounds."""
        return max(self._values[name])


async def interleaved(rounds: int, *measures: Measure) -> Medians:
    """Run the measures in turn, `rounds` times over: what slows the machine down for a while slows all of them. Each
    begins with a collected heap. One round before is not counted: it fills caches that are not the subject."""
    samples: list[dict[str, float]] = []
    for _ in range(rounds + 1):
        sample: dict[str, float] = {}
        for measure in measures:
            gc.collect()
            sample |= await measure()
        samples.append(sample)
    return Medians(samples[1:])


async def per_call(calls: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Seconds of one call where one takes microseconds. `work(n)` makes n calls. Timed in slices shorter than those of
    the system's scheduler, of which it is the median: other processes on the same core do not count."""
    slices = []
    for _ in range(max(1, calls // _SLICE)):
        start = time.perf_counter()
        await work(_SLICE)
        slices.append((time.perf_counter() - start) / _SLICE)
    return statistics.median(slices)


class Collector:
    """Adds up the seconds that garbage collections take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def note(self, phase: str, _: Mapping[str, Any]) -> None:
        """For `gc.callbacks`."""
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.seconds += time.perf_counter() - self._began


class Heartbeat:
    """Watches the event loop inside an `async with`: a timer that asks to run every millisecond, and the longest gap
    between two of its runs, less the garbage collections in it. An idle loop has gaps of 1 to 2 ms, so the number is
    never too low and up to 2 ms too high."""

    def __init__(self) -> None:
        self.held_seconds = 0.0
        self.worked_seconds = 0.0
        """The same in processor time of this thread: what a machine without other work would show, unless it waits."""
        self.collecting_seconds = 0.0
        """All garbage collections meanwhile."""
        self._collector = Collector()
        self._beaten = self._worked = self._collected = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        gc.callbacks.append(self._collector.note)
        self._beat()
        await sleep(_REST_SECONDS)
        self.held_seconds = self.worked_seconds = 0.0
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await sleep(_REST_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        gc.callbacks.remove(self._collector.note)
        self.collecting_seconds = self._collector.seconds

    def _beat(self) -> None:
        now, worked, collected = time.perf_counter(), time.thread_time(), self._collector.seconds
        collecting = collected - self._collected
        self.held_seconds = max(self.held_seconds, now - self._beaten - collecting)
        self.worked_seconds = max(self.worked_seconds, worked - self._worked - collecting)
        self._beaten, self._worked, self._collected = now, worked, collected
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)
