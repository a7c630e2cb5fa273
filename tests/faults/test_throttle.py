"""Failed logins counted in Redis, by many workers together, and what happens without it (F24)."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from blockbuster import BlockBuster

from asyncauth import AuthManager, Settings, passwords
from asyncauth.errors import LoginError, TooManyAttemptsError
from asyncauth.login.shared import RETRY_SECONDS
from asyncauth.passwords import Scheme
from tests.faults.feed.test_redis import blocking_allowed
from tests.managers import FakeClock, quiet
from tests.rows import add_user, through
from tests.servers.redis import Redis

pytestmark = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
PASSWORD = "correct horse"
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)
STORED = f"scrypt:16:1:1$salt${CHEAP.compute(PASSWORD.encode(), 'salt')}"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """One for this test, which may end it."""
    server = Redis()
    server.start()
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeClock:
    """Of all workers."""
    return FakeClock()


@pytest.fixture
async def workers(settings: Settings, redis_server: Redis, clock: FakeClock) -> AsyncIterator[list[AuthManager]]:
    """Two that count together."""
    limited = quiet(settings, redis_url=redis_server.url, login_failures_per_user=3)
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(AuthManager(limited, clock=clock.clock)) for _ in range(2)]
        await through(made[0], lambda connection: add_user(connection, "ada", password=STORED))
        yield made


async def outcome(auth: AuthManager, password: str, address: str = ELSEWHERE) -> str:
    """How a login of ada ends."""
    try:
        await auth.login("ada", password, address)
    except LoginError:
        return "wrong"
    except TooManyAttemptsError as error:
        return "wait" if 1 <= error.retry_after_seconds <= 300 else "wait for ever"
    return "in"


async def test_workers_count_together(workers: list[AuthManager]) -> None:
    one, other = workers
    assert [await outcome(auth, "x") for auth in (one, other, one, other, one)] == ["wrong"] * 3 + ["wait"] * 2
    assert await outcome(other, PASSWORD) == "wait"


async def test_an_address_is_known_to_all_workers(workers: list[AuthManager]) -> None:
    one, other = workers
    assert await outcome(one, PASSWORD, HOME) == "in"
    assert [await outcome(one, "x") for _ in range(4)] == ["wrong"] * 3 + ["wait"]
    assert await outcome(other, PASSWORD, HOME) == "in"
    assert await outcome(other, PASSWORD) == "wait"


async def test_without_redis_logins_go_on_with_limits_in_memory(
    workers: list[AuthManager],
    redis_server: Redis,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    blocking: BlockBuster,
) -> None:
    one, other = workers
    assert await outcome(one, "x") == "wrong"
    with blocking_allowed(blocking):
        redis_server.stop()
    with caplog.at_level(logging.WARNING, "asyncauth.login"):
        assert [await outcome(one, "x") for _ in range(3)] == ["wrong"] * 2 + ["wait"]
        assert await outcome(other, PASSWORD) == "in"
        lines = [record.getMessage() for record in caplog.records if "cannot count" in record.getMessage()]
    assert len(lines) == 2  # once a worker
    with blocking_allowed(blocking):
        redis_server.start()
    assert await outcome(other, "x") == "wrong"  # Redis is left alone for a while, and has lost its counts
    clock.advance(RETRY_SECONDS + 1)
    assert await outcome(other, "x", HOME) == "wrong"
    assert await outcome(one, PASSWORD) == "in"
