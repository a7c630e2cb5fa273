"""The async LRU cache. Each value carries its place among the changes and its own deadline, and those decide.

async-lru joins the loads in flight and nothing more. As the store it would keep a finished Task per entry (131 to
203 MB for 100,000 users), expire by a loop timer that a busy loop delays (a value was served at 6 times its age), and
let an old load that fails evict the entry of a newer one.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from async_lru import alru_cache

from asyncauth.generation import Generation
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
    """Values by id, least recently used first. `find` and `put` are for the loop's thread; `peek` is right in any.

    Entries are made when they are asked for: one object more for each of 100,000 values, with what it refers to, would
    make a full garbage collection three times as long. Dicts of numbers cost it nothing.

    INVARIANT: a value is written before its numbers and goes before them; readers read the numbers first. So a thread
    that reads meanwhile may find numbers that are too old for the value, never too new.

    Args:
        size: values kept at most.
        generation: ended whenever something is dropped because it may have changed, even if it was not here: what was
            found before may rest on it. What only has to make room ends none.
    """

    def __init__(self, size: int, generation: Generation) -> None:
        self.values: OrderedDict[int, V] = OrderedDict()
        """Not to be kept: `clear` puts another in its place. Whoever uses a value by hand moves it to the end."""
        self._generation = generation
        self._sequences: dict[int, int] = {}
        self._deadlines: dict[int, float] = {}
        self._forgotten: list[tuple[dict[int, Any], ...]] = []
        self._size = size

    def __len__(self) -> int:
        return len(self.values)

    def find(self, key: int, elapsed: float, since: int = 0) -> V | None:
        """The value for `key` if it is not too old at the time `elapsed`, nor read when fewer changes than `since` were
        known; it becomes the most recently used."""
        if self._deadlines.get(key, 0.0) <= elapsed or self._sequences[key] < since:
            return None
        self.values.move_to_end(key)
        return self.values[key]

    def peek(self, key: int, elapsed: float) -> Entry[V] | None:
        """The entry for `key` if it is not too old, leaving the order of use alone."""
        deadline, sequence = self._deadlines.get(key, 0.0), self._sequences.get(key)
        value = self.values.get(key)
        if value is None or sequence is None or deadline <= elapsed:
            return None
        return Entry(value, sequence, deadline)

    def deadline(self, key: int) -> float:
        """When the value for `key` becomes too old; it has to be there."""
        return self._deadlines[key]

    def put(self, key: int, entry: Entry[V]) -> None:
        """Store an entry unless a newer one is there: loads do not end in the order they began."""
        if self._sequences.get(key, entry.sequence) > entry.sequence:
            return
        self.values[key] = entry.value
        self.values.move_to_end(key)
        self._sequences[key] = entry.sequence
        self._deadlines[key] = entry.deadline
        if len(self.values) > self._size:
            self._remove(next(iter(self.values)))
        self._free_some()

    def drop(self, key: int) -> bool:
        """Forget one entry, which may have changed; whether it was there."""
        self._generation.end()
        return self._remove(key)

    def _remove(self, key: int) -> bool:
        if self.values.pop(key, None) is None:
            return False
        del self._sequences[key], self._deadlines[key]
        return True

    def clear(self) -> None:
        """Forget everything. Its memory is freed with later `put`s, some entries with each: 100,000 users at once
        would hold the event loop for 30 ms."""
        self._generation.end()
        if self.values:
            self._forgotten.append((self.values, self._sequences, self._deadlines))
        self.values, self._sequences, self._deadlines = OrderedDict(), {}, {}

    def _free_some(self) -> None:
        if self._forgotten:
            parts = self._forgotten[-1]
            for part in parts:
                for _ in range(min(len(part), _FREED_WITH_EACH)):
                    part.popitem()
            if not parts[0]:
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
