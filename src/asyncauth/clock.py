"""The two clocks: what time it is, and how much time has passed. Injected, so that tests own both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

__all__ = ["Clock"]

# time.monotonic() stands still while a machine sleeps, so a lease measured with it would survive the sleep.
_elapsed: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


@dataclass(frozen=True, slots=True)
class Clock:
    """`now()`: seconds since the epoch, UTC, may jump. `elapsed()`: seconds since some start, never goes back."""

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = _elapsed


SYSTEM_CLOCK = Clock()
