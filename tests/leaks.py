"""What a test must not leave behind: connections taken from a pool, and tasks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Pool, event

Task = asyncio.Task[Any]


@contextmanager
def no_connection_left() -> Iterator[None]:
    """Fail if a connection that was checked out of any engine's pool inside the block is not back at its end."""
    out: dict[int, str] = {}

    def check_out(_connection: object, record: object, _proxy: object) -> None:
        out[id(record)] = repr(asyncio.current_task()) if _in_loop() else "outside the loop"

    def check_in(_connection: object, record: object) -> None:
        out.pop(id(record), None)

    listeners = (("checkout", check_out), ("checkin", check_in), ("detach", check_in))
    for name, listener in listeners:
        event.listen(Pool, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(Pool, name, listener)
    assert not out, f"{len(out)} connections are still checked out, by {', '.join(out.values())}"


@contextmanager
def no_connection_open() -> Iterator[None]:
    """Fail if a connection that was taken from any engine's pool inside the block is still open at its end. One that is
    cut off before it can be taken is left to the garbage collector by SQLAlchemy."""
    opened: set[int] = set()

    def check_out(_connection: object, record: object, _proxy: object) -> None:
        opened.add(id(record))

    def close(_connection: object, record: object) -> None:
        opened.discard(id(record))

    event.listen(Pool, "checkout", check_out)
    event.listen(Pool, "close", close)
    try:
        yield
    finally:
        event.remove(Pool, "checkout", check_out)
        event.remove(Pool, "close", close)
    assert not opened, f"{len(opened)} connections are still open"


@contextmanager
def no_task_left() -> Iterator[None]:
    """Fail if a task that was started inside the block still runs at its end. Needs a running event loop."""
    before = asyncio.all_tasks()
    yield
    left = [task for task in asyncio.all_tasks() - before if not _is_of_runner(task)]
    assert not left, f"{len(left)} tasks still run: {left}"


def _is_of_runner(task: Task) -> bool:
    """Whether a task is one in which anyio's plugin runs tests and fixtures."""
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
