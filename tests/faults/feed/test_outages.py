"""The database restarts, falls silent, is slow, has no connection left, becomes read-only: whoever is in memory is
served while memory is proven, others get 503, nobody ever gets a 401 or an error of ours, and all heals by itself."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from anyio import to_thread
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthError, AuthManager, Settings
from asyncauth.clock import SYSTEM_CLOCK
from asyncauth.db.engine import make_engine
from asyncauth.db.loader import Loaded, Loader
from asyncauth.errors import DatabaseUnavailableError, StaleError
from tests.conftest import PATIENCE_SECONDS
from tests.databases import Database
from tests.faults.feed.world import World, make_world
from tests.managers import FakeClock, impatient, poll, quiet, running
from tests.proxy import Proxy
from tests.reuse import empty
from tests.rows import add_user
from tests.waiting import GIVE_UP_SECONDS, eventually, until
from tests.waiting import poll as poll_until

SERVERS = ["postgresql+asyncpg", "mysql+aiomysql"]
THROUGH_A_PROXY = ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"]
HEAL_SECONDS = 2.0
"""The second that is promised, and one more for a busy machine: for `make test-all` alone."""
SHORT_SECONDS = 0.8
"""A deadline that a database which is silent, slow or full lets pass."""
LATE_SECONDS = 10.0
"""By then it has long been noticed, on a busy machine, too; any other deadline is longer."""


async def status(auth: AuthManager, user_id: int) -> int:
    """What a request of this user is answered: 200, or the status of one of our errors."""
    try:
        await auth.get_user_from_token(auth.issue_token(user_id))
    except AuthError as error:
        return error.status
    return 200


async def status_of_a_load(auth: AuthManager, user_id: int) -> int:
    """The same for somebody who is not in memory."""
    running(auth).users.cache.drop(user_id)
    return await status(auth, user_id)


class Load:
    """Requests without a pause, in a thread of its own: the main thread has a server to restart."""

    def __init__(self, settings: Settings, heal_seconds: float) -> None:
        self.hot: Counter[int] = Counter()
        self.cold: Counter[int] = Counter()
        self.started, self.accepting = threading.Event(), threading.Event()
        self._settings = settings
        self._heal_seconds = heal_seconds
        self._healed = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.error: BaseException | None = None

    def __enter__(self) -> "Load":
        self._thread.start()
        self.started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.accepting.set()
        self._thread.join()
        assert self.error is None, repr(self.error)

    def see(self, status: int) -> None:
        """Return once one more load was answered so."""
        before = self.cold[status]
        poll_until(lambda: self.cold[status] > before or self.error)

    async def _run(self) -> None:
        try:
            assert self._settings.database_url is not None
            engine = make_engine(self._settings.database_url, pool_size=1, timeout_seconds=PATIENCE_SECONDS)
            world = await make_world(engine)
            await engine.dispose()
            async with AuthManager(self._settings) as auth, asyncio.TaskGroup() as tasks:
                await status(auth, world.holder)
                tasks.create_task(self._repeat(self.hot, partial(status, auth, world.holder)))
                tasks.create_task(self._repeat(self.cold, partial(status_of_a_load, auth, world.other)))
                self.started.set()
                await to_thread.run_sync(self.accepting.wait, abandon_on_cancel=True)
                await eventually(partial(self._heals, auth, world, SYSTEM_CLOCK.elapsed()), self._heal_seconds)
                self._healed.set()
        except BaseException as error:  # noqa: BLE001  # told in the main thread
            self.error = error
            self.started.set()

    async def _heals(self, auth: AuthManager, world: World, since: float) -> bool:
        """Whether it loads again, and has proven since then that it is current."""
        return await status_of_a_load(auth, world.other) == 200 and (running(auth).follower.proven_at or 0) > since

    async def _repeat(self, counter: Counter[int], ask: Callable[[], Awaitable[int]]) -> None:
        while not self._healed.is_set():
            counter[await ask()] += 1
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
def test_a_restart_under_load(settings: Settings, database: Database, full: bool) -> None:
    """Within the lease nobody in memory notices. Looks come so often that some fall into the restart."""
    often = settings.model_copy(update={"max_staleness_seconds": 600.0, "poll_interval_seconds": 0.01})
    for _ in range(5 if full else 1):
        with Load(often, HEAL_SECONDS if full else GIVE_UP_SECONDS) as load:
            load.see(200)
            database.server.stop()
            load.see(503)
            database.server.start()
        assert load.hot.keys() == {200}
        assert load.cold.keys() == {200, 503}
        empty(database)


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    """Between a manager and its database."""
    with Proxy(database.server.port) as between:
        yield between


@pytest.fixture
def clock() -> FakeClock:
    """Of `far`: a lease ends when the test says so, however long the machine takes."""
    return FakeClock()


@pytest.fixture
async def far(settings: Settings, world: World, proxy: Proxy, clock: FakeClock) -> AsyncIterator[AuthManager]:
    """A manager whose database is behind the proxy, and which asks often. The first user is in memory."""
    assert settings.database_url is not None
    changes = {"database_url": proxy.url(settings.database_url), "listen": False, "poll_interval_seconds": 0.05}
    async with AuthManager(settings.model_copy(update=changes), clock=clock.clock) as manager:
        await manager.get_user(world.holder)
        yield manager
        proxy.silent, proxy.delay_seconds = False, 0.0


@pytest.mark.parametrize("backend", THROUGH_A_PROXY, indirect=True)
async def test_the_database_falls_silent(far: AuthManager, world: World, proxy: Proxy, clock: FakeClock) -> None:
    """Nothing is forwarded and nobody is told. A load ends at its deadline; who is in memory is served until the lease
    ends; after that there are only 503; it heals by itself."""
    with impatient(far, SHORT_SECONDS):
        proxy.silent = True
        async with asyncio.timeout(LATE_SECONDS):
            assert await status_of_a_load(far, world.other) == 503
        assert await status(far, world.holder) == 200
        clock.advance(far.settings.max_staleness_seconds)
        assert [await status(far, world.holder) for _ in range(100)] == [503] * 100
        assert far.unready() is not None
        with pytest.raises(StaleError):
            far.find_user_from_token(far.issue_token(world.holder))
        proxy.silent = False
    await eventually(partial(answers, far, world, 200))
    await until(lambda: far.unready() is None)


async def answers(auth: AuthManager, world: World, wanted: int) -> bool:
    """Whether that is what a load becomes."""
    return await status_of_a_load(auth, world.other) == wanted


@pytest.mark.parametrize("backend", THROUGH_A_PROXY, indirect=True)
async def test_the_database_is_slow(far: AuthManager, engine: AsyncEngine, world: World, proxy: Proxy) -> None:
    """Who is in memory does not wait at all; loads end at their deadline, and no more of them are under way than may
    be."""
    async with engine.begin() as connection:
        others = [await add_user(connection, f"user{number}", roles=world.roles) for number in range(40)]
    under_way, most = 0, 0
    original = Loader.load

    async def load(loader: Loader, *arguments: Any) -> Loaded:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await original(loader, *arguments)
        finally:
            under_way -= 1

    proxy.delay_seconds = 0.4
    with patch.object(Loader, "load", load), impatient(far, SHORT_SECONDS):
        asked = [asyncio.create_task(status(far, user_id)) for user_id in others]
        await asyncio.sleep(0)
        assert far.find_user_from_token(far.issue_token(world.holder)) is not None
        async with asyncio.timeout(LATE_SECONDS):
            assert set(await asyncio.gather(*asked)) <= {200, 503}
    assert 0 < most <= far.settings.max_concurrent_loads
    proxy.delay_seconds = 0.0
    await eventually(partial(answers, far, world, 200))


async def test_no_connection_is_left(settings: Settings, engine: AsyncEngine, world: World) -> None:
    """All are held by something else: a bounded wait, then 503; memory answers; nothing is left behind."""
    async with AuthManager(quiet(settings)) as auth, AsyncExitStack() as stack:
        await auth.get_user(world.holder)
        for _ in range(settings.database_pool_size):
            await stack.enter_async_context(running(auth).database.engine.connect())
        with impatient(auth, SHORT_SECONDS):
            asked = [status_of_a_load(auth, world.other) for _ in range(50)]
            async with asyncio.timeout(LATE_SECONDS):
                assert set(await asyncio.gather(*asked)) == {503}
            async with asyncio.timeout(LATE_SECONDS):
                with pytest.raises(DatabaseUnavailableError):
                    await poll(auth)
        assert await status(auth, world.holder) == 200
        await stack.aclose()
        assert await status(auth, world.other) == 200
        await poll(auth)


def make_read_only(database: Database, yes: bool) -> None:
    """Demote a database, as a failover does, and cut whoever is connected."""
    value = "on" if yes else "off"
    if database.host.dialect == "postgresql":
        database.server.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = {value}')
    else:
        database.server.execute(f"SET GLOBAL read_only = {value}")
    database.server.terminate_backends(database.name)


@pytest.fixture
async def ordinary(settings: Settings, database: Database) -> Settings:
    """Settings of an ordinary account: MariaDB lets administrators write to a server that is read-only."""
    if database.host.dialect == "postgresql":
        return settings
    assert settings.database_url is not None
    account = "'ordinary'@'%'"
    await to_thread.run_sync(
        database.server.execute,
        f"DROP USER IF EXISTS {account}",
        f"CREATE USER {account} IDENTIFIED BY 'secret'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON `{database.name}`.* TO {account}",
    )
    url = make_url(settings.database_url).set(username="ordinary", password="secret")
    return settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)})


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
async def test_the_database_becomes_read_only(ordinary: Settings, database: Database, world: World) -> None:
    """Reads go on, writes get 503, nothing is half written; when it is writable again, all is as before."""
    async with AuthManager(quiet(ordinary)) as auth:
        await auth.write(world.swap)
        await to_thread.run_sync(make_read_only, database, True)
        try:
            await eventually(partial(answers, auth, world, 200))
            with contextlib.suppress(DatabaseUnavailableError):
                await poll(auth)
            await poll(auth)
            for _ in range(6):
                with pytest.raises(DatabaseUnavailableError):
                    await auth.write(world.swap)
                world.state = 1
            world.check(await auth.get_user(world.holder))
        finally:
            await to_thread.run_sync(make_read_only, database, False)
        await eventually(partial(answers, auth, world, 200))
        await eventually(partial(writes, auth, world))
        world.check(await auth.get_user(world.holder))


async def writes(auth: AuthManager, world: World) -> bool:
    """Whether it can write again. A connection that was cut tells at its next use, and a write is not repeated."""
    with contextlib.suppress(DatabaseUnavailableError):
        await auth.write(world.swap)
        return True
    world.state = 1
    return False


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_the_cache_is_flooded(settings: Settings, engine: AsyncEngine, world: World, full: bool) -> None:
    """More users come than there is room for, and many who do not exist: entries are bounded, and who comes often stays
    in memory."""
    size, rounds = 50, (2000 if full else 40)
    async with engine.begin() as connection:
        crowd = [await add_user(connection, f"user{number}", roles=world.roles) for number in range(200)]
    hot, cold = crowd[:20], crowd[20:]
    async with AuthManager(quiet(settings, user_cache_size=size, role_cache_size=3)) as auth:
        for user_id in hot:
            await auth.get_user(user_id)
        missed = auth.status().loads
        strangers = 0
        for number in range(rounds):
            for user_id in (cold[number % len(cold)], 1_000_000 + number):
                strangers += await status(auth, user_id) != 401
            before = auth.status().hits
            for user_id in hot:
                await auth.get_user(user_id)
            assert auth.status().hits == before + len(hot)
            assert auth.status().users <= size
        assert strangers == rounds
        assert auth.status().loads == missed + 2 * rounds
        assert auth.status().roles <= 3
