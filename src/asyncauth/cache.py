"""The async LRU cache. Each value carries its place among the changes and its own deadline, and those decide.

async-lru joins the loads in flight and nothing more. As the store it would keep a finished Task per entry (131 to
203 MB for 100,000 users), expire by a loop timer that a busy loop delays (a value was served at 6 times its age), and
let an old load that fails evict the entry of a newer one.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from async_lru import alru_cache

from asyncauth.tasks import Tasks

V = TypeVar("V")
_FREED_WITH_EACH = 10


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """A value, how many changes were known when it was read, and when it becomes too old whatever happens (a time on
    the clock that runs through suspension)."""

    value: V
    sequence: int
    deadline: float


class Cache(Generic[V]):
    """Values by id, least recently used first. `get` and `put` are for the loop's thread; `peek` is right in any."""

    def __init__(self, size: int) -> None:
        self._entries: OrderedDict[int, Entry[V]] = OrderedDict()
        self._forgotten: list[OrderedDict[int, Entry[V]]] = []
        self._size = size

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: int, elapsed: float) -> Entry[V] | None:
        """The entry for `key` if it is not too old at the time `elapsed`; it becomes the most recently used."""
        entry = self._entries.get(key)
        if entry is None or entry.deadline <= elapsed:
            return None
        self._entries.move_to_end(key)
        return entry

    def peek(self, key: int, elapsed: float) -> Entry[V] | None:
        """The same, leaving the order of use alone."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.deadline > elapsed else None

    def put(self, key: int, entry: Entry[V]) -> None:
        """Store an entry unless a newer one is there: loads do not end in the order they began."""
        current = self._entries.get(key)
        if current is not None and current.sequence > entry.sequence:
            return
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        self._free_some()

    def drop(self, key: int) -> bool:
        """Forget one entry; whether it was there."""
        return self._entries.pop(key, None) is not None

    def clear(self) -> None:
        """Forget everything. Its memory is freed with later `put`s, some entries with each: 100,000 users at once
        would hold the event loop for 30 ms."""
        if self._entries:
            self._forgotten.append(self._entries)
        self._entries = OrderedDict()

    def _free_some(self) -> None:
        if self._forgotten:
            entries = self._forgotten[-1]
            for _ in range(min(len(entries), _FREED_WITH_EACH)):
                entries.popitem()
            if not entries:
                self._forgotten.pop()


class Flights(Generic[V]):
    """Loads in flight: whoever asks for the same key meanwhile gets the same result, value or error."""

    def __init__(self, load: Callable[..., Awaitable[V]], tasks: Tasks) -> None:
        self._load = load
        self._tasks = tasks
        self._join = alru_cache(maxsize=None)(self._fly)

    async def join(self, *key: Hashable) -> V:
        """Wait for the load of `key`, begun by somebody else or now."""
        # In a task that no caller ends: async-lru drops a load with its last waiter, and clients that give up and come
        # again would begin one load each.
        return await self._tasks.run(self._join(*key), "asyncauth wait for a load")

    async def _fly(self, *key: Hashable) -> V:
        try:
            return await self._load(*key)
        finally:
            self._join.cache_invalidate(*key)
