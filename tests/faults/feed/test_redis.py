"""Redis as a wake-up: it tells other workers to look, and losing it costs nothing but time."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial

import pytest
from blockbuster import BlockBuster
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.changes import redis as waker
from tests.faults.feed.world import World
from tests.managers import NEVER_SECONDS, quiet, running
from tests.servers.redis import Redis
from tests.waiting import eventually, until

pytestmark = pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """One for all tests."""
    server = Redis()
    server.start()
    yield server
    server.close()


@pytest.fixture
def waking(settings: Settings, redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with Redis, where nobody looks at the log before an hour has passed."""
    monkeypatch.setattr(waker, "_RETRY_SECONDS", 0.01)
    return quiet(settings, redis_url=redis_server.url)


@pytest.fixture
async def managers(waking: Settings, world: World) -> AsyncIterator[tuple[AuthManager, AuthManager]]:
    """Two that hear from each other through Redis alone."""
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(AuthManager(waking)) for _ in range(2)]
        for one in both:
            await until(lambda: one.status().listening)  # noqa: B023  # at once
        yield both[0], both[1]


async def is_current(auth: AuthManager, world: World) -> bool:
    """Whether a manager knows the present state."""
    user = await auth.get_user(world.holder)
    world.check(user)
    return user.roles[0].id == world.roles[world.state]


@contextmanager
def blocking_allowed(detector: BlockBuster) -> Iterator[None]:
    """Let the test itself wait for a server."""
    detector.deactivate()
    try:
        yield
    finally:
        detector.activate()


async def test_our_own_write_wakes(managers: tuple[AuthManager, AuthManager], world: World) -> None:
    """Both ways."""
    for writer, other in (managers, managers[::-1]) * 3:
        assert await is_current(other, world)
        await writer.write(world.swap)
        assert await is_current(writer, world)
        await eventually(partial(is_current, other, world))


async def test_the_first_who_finds_a_foreign_write_wakes_the_others(
    waking: Settings, managers: tuple[AuthManager, AuthManager], engine: AsyncEngine, world: World
) -> None:
    """Another program knows nothing of Redis: one worker finds its write by asking, and tells."""
    often = waking.model_copy(update={"poll_interval_seconds": 0.05})
    async with AuthManager(often) as asking:
        await until(lambda: asking.status().listening)
        for _ in range(2):  # the look under way, and the one for which the subscription itself has woken it
            before = running(asking).follower.proven_at
            await until(lambda: running(asking).follower.proven_at != before)  # noqa: B023  # at once
        for auth in managers:
            assert await is_current(auth, world)
        async with engine.begin() as connection:
            await world.swap(connection)
        for auth in managers:
            assert auth.settings.poll_interval_seconds == NEVER_SECONDS
            await eventually(partial(is_current, auth, world))


async def test_a_message_is_only_a_hint(
    managers: tuple[AuthManager, AuthManager], redis_server: Redis, world: World
) -> None:
    """Anybody can publish anything: it makes a worker look, and nothing else."""
    auth = managers[0]
    await auth.get_user(world.holder)
    before = auth.status()
    looks = running(auth).follower.proven_at
    for message in (b"", b"user:1", b"\xff" * 1000):
        await (
            running(managers[1])
            .wakers[-1]
            ._client.publish(  # type: ignore[attr-defined]
                running(auth).wakers[-1]._channel,  # type: ignore[attr-defined]
                message,
            )
        )
    await until(lambda: running(auth).follower.proven_at != looks)
    await auth.get_user(world.holder)
    assert (auth.status().loads, auth.status().changes) == (before.loads, before.changes)


async def test_redis_is_lost_and_comes_back(
    waking: Settings, redis_server: Redis, world: World, engine: AsyncEngine, blocking: BlockBuster
) -> None:
    """Workers go on asking; their status tells; they listen again by themselves."""
    async with (
        AuthManager(waking.model_copy(update={"poll_interval_seconds": 0.1})) as auth,
        AuthManager(waking) as own,
    ):
        await until(lambda: auth.status().listening and own.status().listening)
        assert await is_current(auth, world)
        with blocking_allowed(blocking):
            redis_server.stop()
        await until(lambda: not auth.status().listening)
        assert auth.status().ready
        await own.write(world.swap)
        await eventually(partial(is_current, auth, world))
        async with engine.begin() as connection:
            await world.swap(connection)
        await eventually(partial(is_current, auth, world))
        with blocking_allowed(blocking):
            redis_server.start()
        await until(lambda: auth.status().listening and own.status().listening)
        await eventually(partial(is_current, own, world))
        await auth.write(world.swap)
        await eventually(partial(is_current, own, world))
