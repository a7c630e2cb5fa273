"""One load, one committed state: nobody ever sees half of a transaction.

A transaction swaps one role of a user for another and moves a permission between two roles that the user keeps. It is
committed between two statements of a load, in turn after each of them. These tests fail without the snapshot: with
READ COMMITTED in place of REPEATABLE READ, and on SQLite without the BEGIN.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, event, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from asyncauth import AuthManager, Settings, User
from asyncauth.clock import SYSTEM_CLOCK
from asyncauth.db.loader import Loader
from asyncauth.db.tables import role_permissions, user_roles, users
from tests.managers import poll, quiet, running
from tests.rows import add_role, add_user, grant, through
from tests.statements import count_statements

MOVED = ("can_read", "DAG:moved")


@dataclass
class World:
    """The rows. They have two states, and go from one to the other with each swap."""

    user: int
    keeps: tuple[int, int]
    """The roles that the user keeps, and between which the permission moves."""
    swapped: tuple[int, int]
    """The roles that are swapped."""
    permission: int
    swaps: int = 0

    async def swap(self, connection: AsyncConnection) -> None:
        """Go to the other state."""
        old, new = self.swaps % 2, (self.swaps + 1) % 2
        moved = role_permissions.c.permission_view_id == self.permission
        await connection.execute(update(role_permissions).where(moved).values(role_id=self.keeps[new]))
        held = user_roles.c.role_id == self.swapped[old]
        await connection.execute(update(user_roles).where(held).values(role_id=self.swapped[new]))
        await connection.execute(update(users).values(first_name=str(self.swaps + 1)))
        self.swaps += 1

    def swaps_seen(self, user: User) -> int:
        """How many swaps a user shows; an error if it is half of one state and half of the other."""
        granting = [role.id for role in user.roles if any(key.endswith(MOVED[1]) for key in role.keys)]
        held = [role.id for role in user.roles if role.id in self.swapped]
        swaps = int(user.first_name)
        assert (granting, held) == ([self.keeps[swaps % 2]], [self.swapped[swaps % 2]]), f"torn after {swaps} swaps"
        return swaps


@pytest.fixture
async def world(engine: AsyncEngine) -> World:
    """The rows in their first state. SQLite keeps a write-ahead log, so that nobody waits for anybody."""
    async with engine.begin() as connection:
        first = await add_role(connection, "First", [("can_edit", "DAG:first")])
        second = await add_role(connection, "Second", [("can_edit", "DAG:second")])
        here, there = await add_role(connection, "Here"), await add_role(connection, "There", [("can_run", "DAG:a")])
        user = await add_user(connection, roles=[first, here, second])
        await connection.execute(update(users).values(first_name="0"))
        permission = await grant(connection, first, *MOVED)
    if engine.dialect.name == "sqlite":
        async with engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    return World(user, (first, second), (here, there), permission)


@contextmanager
def after_statement(number: int, engine: AsyncEngine, work: Callable[[], Awaitable[object]]) -> Iterator[list[str]]:
    """Do `work` between the statement of this number and the next one that go through `engine`, once."""
    seen: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)
            if len(seen) == number:
                await_only(work())

    event.listen(engine.sync_engine, "after_cursor_execute", count)
    try:
        yield seen
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", count)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("group_roles", [True, False])
async def test_a_load_sees_one_state(
    auth: AuthManager, engine: AsyncEngine, world: World, number: int, group_roles: bool
) -> None:
    """Whoever changes the rows, and between whichever statements of a load: the user is of one state."""
    database, position = running(auth).database, running(auth).users.position

    async def swap() -> None:
        async with engine.begin() as connection:
            await world.swap(connection)

    for _ in range(2):
        loader = Loader(database, SYSTEM_CLOCK, group_roles=group_roles, max_entry_age_seconds=60)
        before = world.swaps
        with after_statement(number, database.engine, swap) as seen:
            loaded = await loader.load(world.user, position, lambda _: None, lambda _: None)
        assert world.swaps_seen(loaded.user) == before
        assert world.swaps == before + 1 or len(seen) < number


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_user_is_put_together_from_parts_of_one_state(
    settings: Settings, auth: AuthManager, world: World, number: int
) -> None:
    """Some roles are in memory, some are loaded, another worker changes both meanwhile: the user is of one state, and
    of the last one as soon as it is known here."""
    async with AuthManager(quiet(settings)) as other:
        for _ in range(4):
            running(auth).users.cache.clear()  # the roles stay

            async def swap() -> None:
                await through(other, world.swap)

            with after_statement(number, running(auth).database.engine, swap):
                world.swaps_seen(await auth.get_user(world.user))
            await poll(auth)
            assert world.swaps_seen(await auth.get_user(world.user)) == world.swaps


async def test_readers_and_writers_at_once(settings: Settings, auth: AuthManager, world: World, full: bool) -> None:
    """While another worker swaps without a pause, four tasks read: no state is torn, and none is older than what the
    reader knew before."""
    swaps = 300 if full else 30
    done = asyncio.Event()
    reads = known_swaps = 0

    async def read() -> None:
        nonlocal reads
        while not done.is_set():
            known = known_swaps
            assert world.swaps_seen(await auth.get_user(world.user)) >= known
            running(auth).users.cache.clear()
            reads += 1
            await asyncio.sleep(0)

    async with AuthManager(quiet(settings, database_timeout_seconds=10)) as other:
        readers = [asyncio.create_task(read()) for _ in range(4)]
        while world.swaps < swaps or (reads < swaps / 10 and world.swaps < 10 * swaps):  # a read may take long
            await through(other, world.swap)
            await poll(auth)
            known_swaps = world.swaps
        done.set()
        await asyncio.gather(*readers)
    assert reads >= swaps / 10


async def test_a_load_is_one_transaction(auth: AuthManager, world: World) -> None:
    """All statements of a load run on one connection, between one begin and one end."""
    connections = []

    def note(connection: Connection, *_: object) -> None:
        connections.append(id(connection.connection.dbapi_connection))

    engine = running(auth).database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    with count_statements() as statements:
        await auth.get_user(world.user)
    event.remove(engine, "before_cursor_execute", note)
    assert len(statements) > 1
    assert len(set(connections)) == 1
