"""The tasks that a manager owns outlive their callers, and end with the manager."""

import asyncio
import threading
from contextvars import ContextVar, copy_context

import pytest
from anyio import CancelScope

from asyncauth.errors import ClosedError, ConfigurationError
from asyncauth.tasks import Tasks, run_to_end
from tests.noise import collect_noise
from tests.waiting import settle

request_id: ContextVar[str] = ContextVar("request_id")


async def value() -> str:
    """A piece of work."""
    await asyncio.sleep(0)
    return "value"


async def fail() -> None:
    """A piece of work that fails."""
    raise ValueError("no")


async def test_a_result_and_an_error_reach_the_caller() -> None:
    """As if the caller had done the work."""
    tasks = Tasks()
    assert await tasks.run(value(), "work") == "value"
    with pytest.raises(ValueError, match="no"):
        await tasks.run(fail(), "work")
    await tasks.close(drain_seconds=1)


async def test_work_outlives_a_cancelled_caller() -> None:
    """The caller ends at once, the work goes on to its end."""
    tasks = Tasks()
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    caller = asyncio.create_task(tasks.run(work(), "work"))
    await settle()
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert not done.is_set()
    go.set()
    await done.wait()
    await tasks.close(drain_seconds=1)


async def test_an_error_that_nobody_waits_for_is_no_noise() -> None:
    """The error of work whose caller is gone does not end in the event loop's handler."""
    with collect_noise() as noise:
        tasks = Tasks()
        caller = asyncio.create_task(tasks.run(fail(), "work"))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        await tasks.close(drain_seconds=1)
        await settle()
        del caller
    assert noise == []


async def test_work_inherits_nothing() -> None:
    """Shared work belongs to no request: its context variables are empty, and what it sets stays with it."""
    tasks = Tasks()
    request_id.set("mine")

    async def work() -> int:
        seen = len(copy_context())
        request_id.set("its own")
        return seen

    assert await tasks.run(work(), "work") == 0
    assert request_id.get() == "mine"
    await tasks.close(drain_seconds=1)


async def test_closing_waits_for_what_is_under_way() -> None:
    """Work that ends within the time is not cut off."""
    tasks = Tasks()
    go = asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "value"

    caller = asyncio.create_task(tasks.run(work(), "work"))
    await settle()
    closing = asyncio.create_task(tasks.close(drain_seconds=10))
    await settle()
    assert not closing.done()
    go.set()
    await closing
    assert await caller == "value"


async def test_closing_ends_what_takes_too_long() -> None:
    """Work that does not end is cancelled; its caller, who was not, is told that all is closed (503)."""
    tasks = Tasks()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    caller = asyncio.create_task(tasks.run(work(), "work"))
    await settle()
    await tasks.close(drain_seconds=0.01)
    assert ended.is_set()
    with pytest.raises(ClosedError):
        await caller


async def test_a_caller_cancelled_while_all_ends_is_cancelled() -> None:
    """A cancellation of the caller's own is never turned into an error."""
    tasks = Tasks()
    caller = asyncio.create_task(tasks.run(asyncio.Event().wait(), "work"))
    await settle()
    caller.cancel()
    await tasks.close(drain_seconds=0)
    await asyncio.wait([caller])
    assert caller.cancelled()


async def test_nothing_begins_after_the_end() -> None:
    """503, and the work that was handed over is put away without a warning."""
    tasks = Tasks()
    await tasks.close(drain_seconds=1)
    with pytest.raises(ClosedError) as caught:
        await tasks.run(value(), "work")
    assert caught.value.status == 503
    await tasks.close(drain_seconds=1)


async def test_closing_with_nothing_to_do_takes_no_time() -> None:
    """No task, no wait."""
    tasks = Tasks()
    await asyncio.wait_for(tasks.close(drain_seconds=1000), 100)


def test_another_event_loop_is_refused() -> None:
    """What began on one loop cannot be used on another: the message says to start one manager per loop."""
    made: list[Tasks] = []
    stop = threading.Event()
    ready = threading.Event()

    async def own() -> None:
        made.append(Tasks())
        ready.set()
        await asyncio.to_thread(stop.wait, 10)

    async def use() -> None:
        with pytest.raises(ConfigurationError, match="start one per loop"):
            await made[0].run(value(), "work")

    thread = threading.Thread(target=asyncio.run, args=(own(),))
    thread.start()
    ready.wait(10)
    asyncio.run(use())
    stop.set()
    thread.join()


async def test_an_end_is_run_to_its_end() -> None:
    """However often the caller is cancelled, by whatever: first the work ends, then the cancellation is raised."""
    for cancellations in range(4):
        go, ended = asyncio.Event(), asyncio.Event()

        async def work(go: asyncio.Event = go, ended: asyncio.Event = ended) -> None:
            await go.wait()
            ended.set()

        caller = asyncio.create_task(run_to_end(work()))
        for _ in range(cancellations):
            await settle()
            caller.cancel()
        await settle()
        assert not caller.done()
        go.set()
        await asyncio.wait([caller])
        assert ended.is_set()
        assert caller.cancelled() is bool(cancellations)
    with CancelScope() as scope:
        scope.cancel()
        go.clear()
        asyncio.get_running_loop().call_later(0.001, go.set)
        await run_to_end(work(go, ended := asyncio.Event()))
    assert ended.is_set()
    with pytest.raises(ValueError, match="no"):
        await run_to_end(fail())
