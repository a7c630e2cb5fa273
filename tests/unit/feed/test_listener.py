"""PostgreSQL's LISTEN with either driver: what is announced wakes, and whatever ends it, it begins again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from asyncauth.changes import postgres
from asyncauth.changes.postgres import Listener
from asyncauth.db.record_triggers import CHANNEL
from tests.unit.feed.fakes import as_real
from tests.waiting import settle, until

TIMEOUT_SECONDS = 5.0
NEVER_SECONDS = 3600.0


class Asyncpg:
    """A connection of asyncpg."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.hear: Callable[..., None] = print
        self.end: Callable[[Any], None] = print
        self.error: Exception | None = None

    def add_termination_listener(self, callback: Callable[[Any], None]) -> None:
        self.end = callback

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        self.done.append(channel)
        if self.error is not None:
            raise self.error
        self.hear = callback

    async def execute(self, statement: str, timeout: float) -> None:
        self.done.append((statement, timeout))
        if self.error is not None:
            raise self.error

    def terminate(self) -> None:
        self.done.append("ended")

    def announce(self, text: str) -> None:
        """As asyncpg does: connection, process, channel, text."""
        self.hear(self, 4711, CHANNEL, text)


class Psycopg:
    """A connection of psycopg."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.announced: asyncio.Queue[str] = asyncio.Queue()
        self.error: Exception | None = None

    async def set_autocommit(self, value: bool) -> None:
        self.done.append(("autocommit", value))

    async def execute(self, statement: str) -> None:
        self.done.append(statement)
        if self.error is not None:
            raise self.error

    async def notifies(self, timeout: float) -> AsyncIterator[Any]:
        while True:
            try:
                async with asyncio.timeout(timeout):
                    text = await self.announced.get()
            except TimeoutError:
                return
            yield SimpleNamespace(payload=text)

    async def close(self) -> None:
        self.done.append("ended")

    def announce(self, text: str) -> None:
        """As the server does."""
        self.announced.put_nowait(text)


class Engine:
    """Gives one connection after the other."""

    def __init__(self, *drivers: Any) -> None:
        self.drivers = list(drivers)
        self.given: list[str] = []

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        """As an engine does."""
        driver = self.drivers.pop(0) if self.drivers else OSError("no more")
        if isinstance(driver, Exception):
            raise driver

        async def get_raw_connection() -> Any:
            return SimpleNamespace(driver_connection=driver, detach=lambda: self.given.append("detached"))

        async def invalidate() -> None:
            self.given.append("invalidated")

        yield SimpleNamespace(get_raw_connection=get_raw_connection, invalidate=invalidate)


class Running:
    """A listener that runs, what it was woken with, and the deadlines that it set."""

    def __init__(self, *drivers: Any) -> None:
        self.engine = as_real(Engine(*drivers))
        self.woken: list[str] = []
        self.listener = Listener(self.engine, self.woken.append, timeout_seconds=TIMEOUT_SECONDS)
        assert (self.listener.listening, self.listener.trouble) == (False, None)
        self.task = asyncio.create_task(self.listener.run())

    async def end(self) -> None:
        """End it."""
        assert not self.task.done()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        assert not self.listener.listening


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens by itself."""
    monkeypatch.setattr(postgres, "HEARTBEAT_SECONDS", NEVER_SECONDS)
    monkeypatch.setattr(postgres, "_RETRY_SECONDS", 0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """It beats often."""
    monkeypatch.setattr(postgres, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(postgres, "_RETRY_SECONDS", 0.01)


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of what was sent: for whom, and how long from then."""
    found: list[Any] = []

    @contextmanager
    def cut_off(driver: Any, deadline: float) -> Iterator[None]:
        found.append((driver, round(deadline - asyncio.get_running_loop().time())))
        yield

    monkeypatch.setattr(postgres, "cut_off", cut_off)
    return found


@pytest.mark.usefixtures("slow", "deadlines")
@pytest.mark.parametrize("make", [Asyncpg, Psycopg])
async def test_what_is_announced_wakes(make: Callable[[], Any]) -> None:
    """With its text; and once before, because what was announced till now is lost."""
    driver = make()
    running = Running(driver)
    await until(lambda: running.listener.listening)
    assert running.woken == [""]
    driver.announce("user:1")
    driver.announce("role:2")
    await until(lambda: len(running.woken) == 3)
    assert running.woken == ["", "user:1", "role:2"]
    assert "SELECT 1" not in str(driver.done)
    assert (running.listener.listening, running.listener.trouble) == (True, None)
    assert running.engine.given == ["detached"]
    await running.end()
    assert driver.done[-1] == "ended"
    assert running.engine.given == ["detached", "invalidated"]


@pytest.mark.usefixtures("quick")
async def test_asyncpg_listens_and_beats() -> None:
    """On the channel of the triggers; each beat has a deadline."""
    driver = Asyncpg()
    running = Running(driver)
    await until(lambda: len(driver.done) > 3)
    assert driver.done[0] == CHANNEL
    assert set(driver.done[1:]) == {("SELECT 1", TIMEOUT_SECONDS)}
    assert running.woken == [""]
    await running.end()


@pytest.mark.usefixtures("quick")
async def test_psycopg_listens_and_beats(deadlines: list[Any]) -> None:
    """On the channel of the triggers, outside of any transaction; all that is sent has a deadline."""
    driver = Psycopg()
    running = Running(driver)
    await until(lambda: len(driver.done) > 4)
    assert driver.done[:3] == [("autocommit", True), f"LISTEN {CHANNEL}", "SELECT 1"]
    assert set(driver.done[2:]) == {"SELECT 1"}
    assert {(id(one), seconds) for one, seconds in deadlines} == {(id(driver), TIMEOUT_SECONDS)}
    assert running.woken == [""]
    await running.end()


@pytest.mark.usefixtures("quick", "deadlines")
@pytest.mark.parametrize("make", [Asyncpg, Psycopg])
async def test_who_is_deaf_listens_anew(make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """The beat fails; so does the next attempt; it is told once. Then it wakes, for what was missed."""
    first, second, third = make(), make(), make()
    running = Running(first)
    await until(lambda: running.listener.listening)
    running.engine.drivers = [second]
    second.error = ZeroDivisionError()
    first.error = TimeoutError()
    await until(lambda: not running.listener.listening)
    assert running.listener.trouble == "TimeoutError"
    await until(lambda: running.listener.trouble == "ZeroDivisionError")
    await until(lambda: running.listener.trouble == "OSError")
    assert running.woken == [""]
    running.engine.drivers = [third]
    await until(lambda: running.listener.listening)
    assert [running.listener.trouble, running.woken] == [None, ["", ""]]
    assert first.done[-1] == second.done[-1] == "ended"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "cannot listen for changes (TimeoutError): polling only" in caplog.text
    await running.end()


@pytest.mark.usefixtures("slow")
async def test_asyncpg_tells_when_the_connection_ends() -> None:
    """Then nothing is sent any more, and another connection listens."""
    first, second = Asyncpg(), Asyncpg()
    running = Running(first, second)
    await until(lambda: running.listener.listening)
    first.end(first)
    await until(lambda: second.done)
    await until(lambda: running.listener.listening)
    assert first.done == [CHANNEL, "ended"]
    assert running.woken == ["", ""]
    assert running.listener.trouble is None
    await running.end()


@pytest.mark.usefixtures("slow")
async def test_connecting_has_a_deadline() -> None:
    """Wherever it hangs."""
    hangs, deaf = Asyncpg(), Asyncpg()

    async def hang(*_: Any) -> None:
        await asyncio.sleep(NEVER_SECONDS)

    deaf.add_listener = hang  # type: ignore[method-assign, assignment]
    running = Running(deaf, hangs)
    running.listener._timeout_seconds = 0.05
    await until(lambda: running.listener.trouble == "TimeoutError")
    await until(lambda: running.listener.listening)
    assert deaf.done == ["ended"]
    await running.end()


@pytest.mark.usefixtures("slow")
async def test_between_two_attempts_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would keep a server that is coming up busy."""
    monkeypatch.setattr(postgres, "_RETRY_SECONDS", NEVER_SECONDS)
    running = Running(OSError("no"), Asyncpg())
    await until(lambda: running.listener.trouble)
    await settle()
    assert len(running.engine.drivers) == 1
    await running.end()
