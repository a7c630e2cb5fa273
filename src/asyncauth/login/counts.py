"""Counters that expire, of the `limits` library: in memory, and beside them those that workers share."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from asyncauth.clock import Clock

T = TypeVar("T")


class BoundedMemory(Storage):
    """In place of limits' own: that one has no bound, reads the system's clock, and starts tasks that nobody owns.

    Args:
        size: counters at most; the one that was touched least recently goes first.
        clock: passes the time.
    """

    STORAGE_SCHEME = None

    def __init__(self, size: int, clock: Clock) -> None:
        super().__init__()
        self._size = size
        self._clock = clock
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """None of its own."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; the first one decides when the counter expires, in `expiry` seconds."""
        count, until = self._find(key) or (0, self._clock.elapsed() + expiry)
        self._counters[key] = count + amount, until
        self._counters.move_to_end(key)
        if len(self._counters) > self._size:
            self._counters.popitem(last=False)
        return count + amount

    async def get(self, key: str) -> int:
        """The count."""
        return (self._find(key) or (0, 0.0))[0]

    async def get_expiry(self, key: str) -> float:
        """When the counter expires, in seconds since the epoch."""
        found = self._find(key)
        return self._clock.now() + (found[1] - self._clock.elapsed() if found else 0.0)

    async def check(self) -> bool:
        """Whether it can be used: always."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        count = len(self._counters)
        self._counters.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one counter."""
        self._counters.pop(key, None)

    def _find(self, key: str) -> tuple[int, float] | None:
        found = self._counters.get(key)
        if found is not None and found[1] <= self._clock.elapsed():
            del self._counters[key]
            return None
        return found


class Shared(Protocol):
    """Counters that several workers share; see `login/shared.py`."""

    async def ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T | None:
        """The answer; None: they cannot be reached."""

    async def close(self) -> None:
        """Close the connections."""


class Counts:
    """Counters in memory and shared ones. Everything is counted in both; while the shared ones cannot be reached, those
    in memory answer."""

    def __init__(self, size: int, clock: Clock, shared: Shared | None) -> None:
        self._own = FixedWindowRateLimiter(BoundedMemory(size, clock))
        self._shared = shared

    async def is_below(self, limit: RateLimitItem, key: str) -> bool:
        """Whether less than the limit has been counted."""
        return await self._ask(lambda limiter: limiter.test(limit, key))

    async def add(self, limit: RateLimitItem, key: str) -> bool:
        """Count one; False: that is more than the limit."""
        own = await self._own.hit(limit, key)
        answer = await self._shared.ask(lambda limiter: limiter.hit(limit, key)) if self._shared else None
        return own if answer is None else answer

    async def clear(self, limit: RateLimitItem, key: str) -> None:
        """Begin anew."""
        await self._own.clear(limit, key)
        if self._shared is not None:
            await self._shared.ask(lambda limiter: limiter.clear(limit, key))

    async def expires_at(self, limit: RateLimitItem, key: str) -> float:
        """When counting begins anew, in seconds since the epoch."""
        return (await self._ask(lambda limiter: limiter.get_window_stats(limit, key))).reset_time

    async def _ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        answer = await self._shared.ask(question) if self._shared else None
        return await question(self._own) if answer is None else answer
