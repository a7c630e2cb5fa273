"""Redis as a wake-up, with one that does what it is told: what is heard and told, and that its loss costs nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import RedisError

from asyncauth.changes import redis as waker
from asyncauth.changes.redis import RedisWaker
from tests.waiting import settle, until

URL = "redis://somewhere/3"
TIMEOUT_SECONDS = 7.0


class Redis:
    """A client. Exceptions among the messages are raised."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.done: list[Any] = []
        self.subscribing: list[Exception] = []
        self.publishing: Exception | None = None

    def from_url(self, url: str, **options: Any) -> "Redis":
        """As the class does."""
        self.made.append((url, options))
        return self

    @asynccontextmanager
    async def pubsub(self, **options: Any) -> AsyncIterator["Redis"]:
        """A subscription."""
        self.done.append(options)
        yield self
        self.done.append("left")

    async def subscribe(self, channel: str) -> None:
        """To one channel."""
        self.done.append(channel)
        if self.subscribing:
            raise self.subscribing.pop()

    async def get_message(self, timeout: float) -> Any:
        """The next one; None: none came."""
        assert timeout == 1.0
        message = await self.messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def publish(self, channel: str, message: bytes) -> None:
        """Tell all."""
        self.done.append((channel, message))
        if self.publishing is not None:
            raise self.publishing

    async def aclose(self) -> None:
        """End it."""
        self.done.append("closed")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Redis:
    """In place of any other."""
    made = Redis()
    monkeypatch.setattr(waker, "Redis", made)
    monkeypatch.setattr(waker, "_RETRY_SECONDS", 0.01)
    return made


class Running:
    """A waker that runs."""

    def __init__(self) -> None:
        self.woken = 0
        self.waker = RedisWaker(URL, "here", self.wake, timeout_seconds=TIMEOUT_SECONDS)
        assert (self.waker.listening, self.waker.trouble) == (False, None)
        self.task = asyncio.create_task(self.waker.run())

    def wake(self) -> None:
        """Count."""
        self.woken += 1

    async def end(self) -> None:
        """End it."""
        assert not self.task.done()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_every_message_wakes(server: Redis) -> None:
    """And the subscription itself, for what was missed. Of this database's channel; every call has a deadline."""
    running = Running()
    await until(lambda: running.waker.listening)
    deadlines = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    assert server.made == [(URL, deadlines | {"health_check_interval": 5})]
    assert server.done == [{"ignore_subscribe_messages": True}, "asyncauth:here"]
    assert running.woken == 1
    for message, woken in (({"data": b""}, 2), (None, 2), ({"data": b"x"}, 3)):
        server.messages.put_nowait(message)
        await settle()
        assert running.woken == woken
    assert (running.waker.listening, running.waker.trouble) == (True, None)
    await running.end()
    assert server.done[-1] == "closed"
    assert server.done.count("closed") == 1


async def test_it_is_lost_and_comes_back(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Told once; then it wakes, for what was missed."""
    running = Running()
    await until(lambda: running.waker.listening)
    server.subscribing = [ZeroDivisionError(), OSError()]
    server.messages.put_nowait(RedisError("gone"))
    await until(lambda: running.waker.trouble == "RedisError")
    assert running.waker.listening is False
    await until(lambda: running.waker.trouble == "ZeroDivisionError")
    await until(lambda: running.waker.listening)
    assert (running.waker.trouble, running.woken) == (None, 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "cannot hear from Redis (RedisError): polling only" in caplog.text
    assert "closed" not in server.done
    await running.end()


async def test_between_two_attempts_it_rests(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would keep a server that is coming up busy."""
    monkeypatch.setattr(waker, "_RETRY_SECONDS", 3600.0)
    server.subscribing = [OSError()]
    running = Running()
    await until(lambda: running.waker.trouble)
    await settle()
    assert server.done.count("asyncauth:here") == 1
    await running.end()


@pytest.mark.parametrize("error", [None, RedisError("gone"), OSError("gone")])
async def test_telling_never_fails(server: Redis, error: Exception | None, caplog: pytest.LogCaptureFixture) -> None:
    """The others will look anyway; what is told is nothing but that they should. Other errors are faults."""
    server.publishing = error
    with caplog.at_level(logging.DEBUG, logger="asyncauth"):
        await RedisWaker(URL, "here", print, timeout_seconds=TIMEOUT_SECONDS).publish()
        assert server.done == [("asyncauth:here", b"")]
        assert len(caplog.records) == (error is not None)
        server.publishing = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await RedisWaker(URL, "here", print, timeout_seconds=TIMEOUT_SECONDS).publish()
