"""PostgreSQL's LISTEN dies, loudly and silently: every change is seen all the same, and listening begins again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.changes import postgres
from tests.databases import Database
from tests.faults.feed.world import MOVED, OWN, World, may
from tests.managers import NEVER_SECONDS, quiet, running
from tests.proxy import Proxy
from tests.waiting import eventually, until

pytestmark = pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True)
TIMES = 10


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(postgres, "_RETRY_SECONDS", 0.01)


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    """Between the manager and the database, for LISTEN alone."""
    with Proxy(database.server.port) as between:
        yield between


@pytest.fixture
async def auth(settings: Settings, world: World, proxy: Proxy) -> AsyncIterator[AuthManager]:
    """A manager that learns of changes by LISTEN alone."""
    assert settings.database_url is not None
    async with AuthManager(quiet(settings, listen=True, listen_url=proxy.url(settings.database_url))) as manager:
        await until(lambda: manager.status().listening)
        yield manager


async def listeners(engine: AsyncEngine) -> list[int]:
    """The processes of the server that listen for somebody."""
    async with engine.connect() as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        listening = " AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')"
        return list((await connection.execute(text(query + listening))).scalars())


async def one_listens(engine: AsyncEngine, but: int = 0) -> bool:
    """Whether exactly one connection listens, another one than that."""
    left = await listeners(engine)
    return len(left) == 1 and but not in left


async def may_not(auth: AuthManager, world: World) -> bool:
    """Whether a permission that was taken away is gone."""
    return not await may(auth, world.holder, OWN[0])


async def seen(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """Let the permission move, and wait until the manager knows."""
    async with engine.begin() as connection:
        await world.swap(connection)
    await eventually(lambda: is_current(auth, world))


async def is_current(auth: AuthManager, world: World) -> bool:
    """Whether a manager knows the present state."""
    user = await auth.get_user(world.holder)
    world.check(user)
    return user.roles[0].id == world.roles[world.state]


async def test_a_change_wakes(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """Without any polling: the interval is an hour."""
    assert auth.settings.poll_interval_seconds == NEVER_SECONDS
    for _ in range(TIMES):
        assert await may(auth, world.holder, MOVED)
        await seen(auth, engine, world)


@pytest.mark.parametrize("kind", ["user", "role"])
async def test_what_is_announced_is_dropped_before_it_is_looked_up(
    auth: AuthManager, engine: AsyncEngine, world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The announcement names it: nothing is granted on it while the look at the log is under way."""
    looked = asyncio.Event()
    look = running(auth).follower._look

    async def look_late() -> None:
        await looked.wait()
        await look()

    assert await may(auth, world.holder, OWN[0])
    monkeypatch.setattr(running(auth).follower, "_look", look_late)
    async with engine.begin() as connection:
        await (world.take(connection) if kind == "role" else world.end(connection, world.holder))
    await eventually(lambda: may_not(auth, world))
    looked.set()


async def test_an_announcement_is_only_a_hint(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """Anybody with an account can make one up. It costs a load, and hides no change that comes later."""
    made_up = ["x", "user", "user:", "user:-1", "role:²", "user:1:2", ",,,", "user:" + "9" * 5000, "everything:1"]
    made_up += [f"user:{world.holder}", f"role:{world.roles[0]}", f"role:{world.roles[1]},user:{world.other}"]
    for text_ in made_up:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_notify('asyncauth', :text)"), {"text": text_})
        await seen(auth, engine, world)
        assert auth.status().listening


async def test_it_is_terminated(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """Ten times in a row, with a change while nobody listens; then one connection listens, and no other is left."""
    for _ in range(TIMES):
        await auth.get_user(world.holder)
        (listener,) = await listeners(engine)
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": listener})
        await seen(auth, engine, world)
        await eventually(partial(one_listens, engine, but=listener))
        await until(lambda: auth.status().listening)
        await seen(auth, engine, world)


async def test_it_falls_silent(
    auth: AuthManager, engine: AsyncEngine, world: World, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """A proxy stops forwarding and tells nobody; the change made meanwhile is found once it listens again, since what
    was announced is not announced again."""
    monkeypatch.setattr(running(auth).wakers[0], "_timeout_seconds", 0.5)
    for _ in range(TIMES if full else 3):
        await auth.get_user(world.holder)
        proxy.silent = True
        async with engine.begin() as connection:
            await world.swap(connection)
        await until(lambda: not auth.status().listening)
        proxy.silent = False
        await eventually(lambda: is_current(auth, world))
        await seen(auth, engine, world)
    await eventually(lambda: one_listens(engine))


async def test_polling_goes_on_meanwhile(settings: Settings, engine: AsyncEngine, world: World, proxy: Proxy) -> None:
    """Whoever is deaf looks at the log at every interval."""
    assert settings.database_url is not None
    listening = settings.model_copy(
        update={"listen_url": proxy.url(settings.database_url), "poll_interval_seconds": 0.05}
    )
    async with AuthManager(listening) as auth:
        await until(lambda: auth.status().listening)
        assert await may(auth, world.holder, OWN[0])
        proxy.silent = True
        async with engine.begin() as connection:
            await world.take(connection)
        await eventually(lambda: may_not(auth, world))
        assert auth.status().ready
        proxy.silent = False
        assert running(auth).wakers[0].trouble in {None, "TimeoutError"}
