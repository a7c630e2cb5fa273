"""The cache: order of use, deadlines, places among the changes; and the loads in flight."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from types import FrameType
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncauth import cache as cache_module
from asyncauth.cache import Cache, Entry, Flights
from asyncauth.generation import Generation
from asyncauth.tasks import Tasks
from tests.waiting import settle


def entry(value: str, sequence: int = 1, deadline: float = 100) -> Entry[str]:
    """An entry."""
    return Entry(value, sequence, deadline)


def test_a_value_lives_until_its_deadline() -> None:
    """To the very moment, whatever timers say."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("a"))
    for elapsed in (0, 99.999):
        assert cache.find(1, elapsed) == "a"
        assert cache.peek(1, elapsed) == entry("a")
    for elapsed in (100, 100.001, 1e9):
        assert cache.find(1, elapsed) is None
        assert cache.peek(1, elapsed) is None
    assert cache.find(2, 0) is None
    assert cache.peek(2, 0) is None


def test_a_value_that_was_read_too_early() -> None:
    """Is not found by who knows of more changes, and stays."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("a", sequence=7))
    assert [cache.find(1, 0, since) for since in (6, 7, 8, 7)] == ["a", "a", None, "a"]


def test_who_knows_of_no_change_finds_what_was_read_before_any() -> None:
    """In a database in which nothing has changed since the start."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("a", sequence=0))
    assert cache.find(1, 0) == "a"


def test_a_value_that_is_put_while_a_thread_peeks_is_found_the_next_time() -> None:
    """The deadline was looked for before it was there: none, as for what is too old, and no error."""
    cache: Cache[str] = Cache(2, Generation())

    class Meanwhile(dict[int, int]):
        """Another thread puts the value just before this look."""

        def get(self, key: int, default: Any = None) -> Any:
            if key not in self:
                cache._sequences = self
                self[key] = 1
                cache.put(key, entry("a"))
            return super().get(key, default)

    cache._sequences = Meanwhile()
    assert cache.peek(1, 0) is None
    assert cache.peek(1, 0) == entry("a")


def test_a_drop_says_whether_there_was_anything() -> None:
    """The second time there is not."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("a"))
    assert [cache.drop(key) for key in (1, 1, 2)] == [True, False, False]


def test_numbers_of_a_value_are_never_too_new_for_it() -> None:
    """A thread may look between any two steps of a put or a drop: what it finds is at most older than it is."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("7", sequence=7, deadline=7))
    seen: list[Entry[str] | None] = []

    def look(*_: object) -> None:
        """As another thread would, between two lines."""
        seen.append(cache.peek(1, 0))

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename == cache_module.__file__:
            if event == "line":
                look()
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        cache.put(1, entry("8", sequence=8, deadline=8))
        cache.drop(1)
        cache.put(1, entry("9", sequence=9, deadline=9))
    finally:
        sys.settrace(before)
    found = [one for one in seen if one is not None]
    assert {one.value for one in found} == {"7", "8", "9"}
    for one in found:
        assert one.sequence <= int(one.value)
        assert one.deadline <= int(one.value)


def test_the_least_recently_used_goes_first() -> None:
    """Being got and being put count as use; being peeked at does not."""
    cache: Cache[str] = Cache(3, Generation())
    for key in (1, 2, 3):
        cache.put(key, entry("a"))
    cache.find(1, 0)
    cache.peek(2, 0)
    cache.put(4, entry("a"))
    assert [key for key in range(1, 5) if cache.peek(key, 0)] == [1, 3, 4]
    cache.put(3, entry("b"))
    cache.put(5, entry("a"))
    assert [key for key in range(1, 6) if cache.peek(key, 0)] == [3, 4, 5]


def test_an_entry_that_is_too_old_is_no_use() -> None:
    """Asking for it in vain does not make it recently used."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("old", deadline=5))
    cache.put(2, entry("new"))
    cache.find(1, 5)
    cache.put(3, entry("newer"))
    assert cache.peek(2, 5)
    assert not cache.peek(1, 0)


@pytest.mark.parametrize(("sequence", "kept"), [(6, "new"), (7, "later"), (8, "later")])
def test_an_older_value_never_takes_the_place_of_a_newer_one(sequence: int, kept: str) -> None:
    """Loads do not end in the order they began: their places among the changes decide, whatever the deadlines are."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("new", sequence=7, deadline=50))
    cache.put(1, entry("later", sequence=sequence, deadline=500))
    found = cache.peek(1, 0)
    assert found is not None
    assert found.value == kept


def test_an_older_value_evicts_nothing() -> None:
    """A value that is not taken pushes nobody out and counts as no use."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("a", sequence=7))
    cache.put(2, entry("b", sequence=7))
    cache.put(1, entry("older", sequence=6))
    cache.put(3, entry("c", sequence=7))
    assert [key for key in (1, 2, 3) if cache.peek(key, 0)] == [2, 3]


def test_clearing() -> None:
    """Nothing is left, and the cache goes on."""
    cache: Cache[str] = Cache(2, Generation())
    cache.put(1, entry("a", sequence=9))
    cache.clear()
    assert len(cache) == 0
    assert cache.find(1, 0) is None
    cache.put(1, entry("b", sequence=2))
    assert cache.peek(1, 0) == entry("b", sequence=2)


class Thing:
    """Something of which one can tell whether it is still in memory."""


def test_what_was_cleared_is_freed_bit_by_bit() -> None:
    """At once it would hold the event loop; later puts free some of it each, until all is gone."""
    cache: Cache[Thing] = Cache(1000, Generation())
    things: WeakSet[Thing] = WeakSet()
    for _ in range(2):
        for key in range(100):
            thing = Thing()
            things.add(thing)
            cache.put(key, Entry(thing, 1, 100))
        del thing
        cache.clear()
        assert len(things) == 100
    freed = []
    for key in range(100):
        before = len(things)
        cache.put(key, Entry(Thing(), 2, 100))
        freed.append(before - len(things))
        assert all(len({len(part) for part in parts}) == 1 for parts in cache._forgotten)  # numbers and deadlines too
    assert max(freed) <= 10
    assert sum(freed) == 100


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60), st.integers(1, 4))
def test_the_cache_against_a_list(steps: list[tuple[int, int]], size: int) -> None:
    """Whatever is put and got in whatever order, the cache holds what a plain list of recent keys would."""
    cache: Cache[str] = Cache(size, Generation())
    model: list[tuple[int, int]] = []  # (key, sequence), least recently used first
    for key, sequence in steps:
        held = dict(model)
        if sequence == 0:
            found = cache.peek(key, 0)
            assert (found.sequence if found else None) == held.get(key)
            assert cache.find(key, 0) == (found.value if found else None)
            used = key in held
        else:
            cache.put(key, entry("", sequence))
            used = held.get(key, 0) <= sequence
            held[key] = max(sequence, held.get(key, 0))
        if used:
            model = [(other, at) for other, at in model if other != key] + [(key, held[key])]
        model = model[-size:]
        assert len(cache) == len(model)
        assert all(cache.peek(other, 0) == entry("", at) for other, at in model)


# ── loads in flight ──


class Loads:
    """Loads that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Future[str]] = []

    async def __call__(self, *_: int) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.begun.append(future)
        return await future


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """The tasks that a manager would own."""
    made = Tasks()
    yield made
    await made.close(drain_seconds=0)


@pytest.fixture
def loads() -> Loads:
    """The loads that the flights begin."""
    return Loads()


Join = Callable[..., Coroutine[None, None, str]]


@pytest.fixture
async def join(loads: Loads, tasks: Tasks) -> Join:
    """Joins a flight as `Users` does."""
    return Flights(loads, tasks).join


async def test_all_who_ask_meanwhile_share_one_load(loads: Loads, join: Join) -> None:
    """Same key, same result; another key, another load."""
    callers = [asyncio.create_task(join(1, 0)) for _ in range(100)]
    other = asyncio.create_task(join(1, 1))
    await settle()
    assert len(loads.begun) == 2
    assert "asyncauth wait for a load" in {task.get_name() for task in asyncio.all_tasks()}  # who debugs sees it
    for future, result in zip(loads.begun, ("first", "second"), strict=True):
        future.set_result(result)
    assert await asyncio.gather(*callers) == ["first"] * 100
    assert await other == "second"


async def test_a_result_is_not_kept(loads: Loads, join: Join) -> None:
    """The next caller begins a new load: keeping values is the cache's part."""
    for number in range(3):
        caller = asyncio.create_task(join(1))
        await settle()
        loads.begun[number].set_result(str(number))
        assert await caller == str(number)


async def test_an_error_reaches_all_who_waited_and_nobody_else(loads: Loads, join: Join) -> None:
    """Errors are shared like values, and kept as little."""
    callers = [asyncio.create_task(join(1)) for _ in range(5)]
    await settle()
    loads.begun[0].set_exception(ValueError("no"))
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(result) for result in results] == ["no"] * 5
    again = asyncio.create_task(join(1))
    await settle()
    loads.begun[1].set_result("yes")
    assert await again == "yes"


@pytest.mark.parametrize("cancelled", range(2**4))
async def test_any_callers_may_go_away(loads: Loads, join: Join, cancelled: int) -> None:
    """Whichever of the callers are cancelled, the first and all of them included, the load goes on for the others and
    for whoever comes next."""
    callers = [asyncio.create_task(join(1)) for _ in range(4)]
    await settle()
    for number, caller in enumerate(callers):
        if cancelled >> number & 1:
            caller.cancel()
    late = asyncio.create_task(join(1))
    await settle()
    later = asyncio.create_task(join(1))
    await settle()
    assert len(loads.begun) == 1
    loads.begun[0].set_result("value")
    results = await asyncio.gather(*callers, late, later, return_exceptions=True)
    for number, result in enumerate(results):
        gone = number < 4 and cancelled >> number & 1
        assert isinstance(result, asyncio.CancelledError) if gone else result == "value"


async def test_a_caller_cancelled_before_the_load_began(loads: Loads, join: Join) -> None:
    """A caller that goes away in the same turn of the loop leaves no half-begun load."""
    first = asyncio.create_task(join(1))
    await asyncio.sleep(0)
    first.cancel()
    await settle()
    second = asyncio.create_task(join(1))
    await settle()
    loads.begun[-1].set_result("value")
    assert await second == "value"
    for future in loads.begun:
        assert future.done()


def test_only_what_may_have_changed_ends_the_generation() -> None:
    """Even if it was not there: it may have made room. What makes room ends none, and neither does a look."""
    generation = Generation()
    cache: Cache[str] = Cache(1, generation)
    for key in (1, 2):
        cache.put(key, Entry("value", 0, 10.0))
        assert (cache.find(key, 0.0), len(cache), cache.deadline(key)) == ("value", 1, 10.0)
    assert generation.number == 0
    cache.drop(1)
    assert generation.number == 1
    cache.clear()
    cache.clear()
    assert generation.number == 3
