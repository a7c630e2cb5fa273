"""Loads that run while something changes: what was read before a change is never kept after it, and nobody is put
together from two states."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import pytest
from anyio import to_thread
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from asyncauth import AuthManager, Settings, User
from asyncauth.changelog import KEPT
from asyncauth.db.loader import Loaded, Loader
from asyncauth.db.tables import changes
from asyncauth.errors import DatabaseUnavailableError, StaleError
from tests.faults.feed.world import MOVED, OWN, World, allows, may
from tests.managers import poll, quiet, running
from tests.waiting import settle, until

pytestmark = pytest.mark.parametrize(
    "backend", ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql"], indirect=True
)


async def change(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[object]]) -> None:
    """Do `work` in a transaction of another program."""
    async with engine.begin() as connection:
        await work(connection)


@contextmanager
def after_statement(number: int, auth: AuthManager, work: Callable[[], Awaitable[object]]) -> Iterator[list[str]]:
    """Do `work` between the statement of this number and the next one that a manager's loads send, once."""
    engine = running(auth).database.engine.sync_engine
    seen: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "ab_" in statement and not statement.startswith(("SET", "PRAGMA")):
            seen.append(statement)
            if len(seen) == number:
                await_only(work())

    event.listen(engine, "after_cursor_execute", count)
    try:
        yield seen
    finally:
        event.remove(engine, "after_cursor_execute", count)


class Gate:
    """Holds the first load of a user after it has read everything."""

    def __init__(self, error: Exception | None = None) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._error = error

    @contextmanager
    def holds(self, user_id: int) -> Iterator[None]:
        """Inside the block."""
        original = Loader.load

        async def load(loader: Loader, whom: int, *arguments: Any) -> Loaded:
            loaded = await original(loader, whom, *arguments)
            if whom == user_id and not self.reached.is_set():
                self.reached.set()
                await self.opened.wait()
                if self._error is not None:
                    raise self._error
            return loaded

        with patch.object(Loader, "load", load):
            yield


async def test_a_load_that_ends_after_the_invalidation(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """What it read is not kept, and not given to anybody who asked after the change."""
    gate = Gate()
    with gate.holds(world.holder):
        early = asyncio.create_task(auth.get_user(world.holder))
        await gate.reached.wait()
        await change(engine, world.take)
        await poll(auth)
        late = await auth.get_user(world.holder)
        assert not allows(late, OWN[0])
        gate.opened.set()
        assert not allows(await early, OWN[0])
    assert not await may(auth, world.holder, OWN[0])


async def test_a_load_after_more_changes_than_are_kept(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """A bulk change that the follower has not seen yet does not make loads fail until its next look."""

    async def note_many(connection: AsyncConnection) -> None:
        dialect = connection.dialect
        names, id_ = (
            ("id, kind, item", "NEXTVAL(asyncauth_change_id_seq), ")
            if dialect.name == "mysql" and dialect.supports_sequences
            else (
                "kind, item",
                "",
            )
        )
        rows = ", ".join([f"({id_}'user', 99999)"] * (KEPT + 500))
        await connection.exec_driver_sql(f"INSERT INTO {changes.name} ({names}) VALUES {rows}")

    await change(engine, note_many)
    assert allows(await auth.get_user(world.holder), OWN[0])


@pytest.mark.parametrize("alone", [True, False])
async def test_a_load_that_fails_after_the_invalidation(
    auth: AuthManager, engine: AsyncEngine, world: World, alone: bool
) -> None:
    """Its waiters get the error; whoever asked after the change gets a user and keeps it."""
    gate = Gate(DatabaseUnavailableError("cut"))
    with gate.holds(world.holder):
        early = asyncio.create_task(auth.get_user(world.holder))
        await gate.reached.wait()
        await change(engine, world.take)
        await poll(auth)
        if not alone:
            assert not await may(auth, world.holder, OWN[0])
        gate.opened.set()
        with pytest.raises(DatabaseUnavailableError):
            await early
    loads = auth.status().loads
    assert not await may(auth, world.holder, OWN[0])
    assert auth.status().loads == loads + (1 if alone else 0)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_change_between_two_statements(
    auth: AuthManager, engine: AsyncEngine, world: World, number: int
) -> None:
    """It is committed and known here in the middle of a load; the user is of the new state, whichever roles were in
    memory."""

    async def swap() -> None:
        await change(engine, world.swap)
        await poll(auth)

    for users in ([world.holder, world.other], [world.other, world.holder]):
        for user_id in users:
            running(auth).users.cache.clear()  # the roles stay
            with after_statement(number, auth, swap):
                world.check(await auth.get_user(user_id))
            world.check(await auth.get_user(user_id))
            assert (await auth.get_user(world.holder)).roles[0].id == world.roles[world.state]


async def test_a_role_in_memory_is_older_than_the_user(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """A transaction that is not known here yet gave the user a role that is in memory, and that role a permission: a
    load shows both or neither. Fails if a load does not ask what is new beside the user."""
    for _ in range(2):
        await auth.get_user(world.other)
        await change(engine, world.swap)
        running(auth).users.cache.clear()
        world.check(await auth.get_user(world.holder))
        world.check(await auth.get_user(world.other))


async def test_a_load_is_older_than_what_another_one_brought(
    auth: AuthManager, engine: AsyncEngine, world: World
) -> None:
    """The older one has read its user, the other one then brings a change and the role as it is now: the older user
    does not get the newer role. Fails if a load does not look, at its end, what became known meanwhile."""
    asked: list[User] = []

    async def overtake() -> None:
        await change(engine, world.move)
        if world.state == 1:
            asked.append(await auth.get_user(world.other))

    async with engine.begin() as connection:
        await world.share(connection)
    await poll(auth)
    with after_statement(2, auth, overtake):
        user = await auth.get_user(world.holder)
    assert len(asked) == 1
    assert [role.id for role in user.roles if world.moved_key in role.keys] == [world.roles[world.state]]


async def test_a_thread_is_interrupted_between_the_user_and_the_roles(
    auth: AuthManager, engine: AsyncEngine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked the user up; before it looks at the roles, a swap becomes known and a role is loaded anew."""
    reached, go_on = threading.Event(), threading.Event()
    user = await auth.get_user(world.other)
    await change(engine, world.take)  # of the other role: roles in memory have to be looked at again
    await poll(auth)
    users = running(auth).users
    original = users._renew

    def renew(*arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and not reached.is_set():
            reached.set()
            go_on.wait(60)
        return original(*arguments)

    def look() -> None:
        with suppress(StaleError):
            world.check(auth.current(user))

    monkeypatch.setattr(users, "_renew", renew)
    looking = asyncio.create_task(to_thread.run_sync(look))
    if users.cache.peek(world.other, 0.0) is not None:  # on SQLite any change drops everything
        await until(reached.is_set)
    await change(engine, world.swap)
    await poll(auth)
    assert allows(await auth.get_user(world.holder), MOVED)
    go_on.set()
    await looking


class Readers:
    """What runs beside a writer until it is done; counts what they saw."""

    def __init__(self, auth: AuthManager, world: World) -> None:
        self.done = asyncio.Event()
        self.reads = 0
        self._auth = auth
        self._world = world

    async def read(self, users: list[int]) -> None:
        """Load one after the other."""
        while not self.done.is_set():
            for user_id in users:
                with suppress(StaleError):
                    self._world.check(await self._auth.get_user(user_id))
                    self.reads += 1

    async def follow(self) -> None:
        """Look at the log now and then."""
        while not self.done.is_set():
            await poll(self._auth)
            await asyncio.sleep(0.005)

    def watch(self, users: list[User]) -> None:
        """In a thread: ask for the users as known now."""
        while not self.done.is_set():
            for user in users:
                with suppress(StaleError):
                    self._world.check(self._auth.current(user))


async def test_readers_and_a_writer_at_once(settings: Settings, engine: AsyncEngine, world: World, full: bool) -> None:
    """One program swaps without a pause while others read. There is room for one user, so that the other one is always
    loaded, with roles that are in memory."""
    swaps = 1000 if full else 30
    crowded = quiet(settings, user_cache_size=1, max_concurrent_loads=8)
    async with AuthManager(crowded) as auth:
        pair = [world.holder, world.other]
        known = [await auth.get_user(user_id) for user_id in pair]
        readers = Readers(auth, world)
        tasks = [asyncio.create_task(readers.read(order)) for order in (pair, pair[::-1]) for _ in range(2)]
        tasks += [asyncio.create_task(readers.follow())]
        tasks += [asyncio.create_task(to_thread.run_sync(readers.watch, known))]
        for _ in range(swaps):
            await change(engine, world.swap)
            await settle()
        await until(lambda: readers.reads > swaps)
        readers.done.set()
        await asyncio.gather(*tasks)
