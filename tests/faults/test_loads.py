"""Loads that many share: begun once, ended by nobody's cancellation, and never older than what is known."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, Settings, User
from asyncauth.db.loader import Loaded, Loader
from asyncauth.db.tables import registrations, role_permissions, roles, user_roles, users
from asyncauth.errors import (
    DatabaseUnavailableError,
    StaleError,
    UnavailableError,
    UserInactiveError,
    UserNotFoundError,
)
from asyncauth.tasks import BACKGROUND
from tests.managers import count_loads, impatient, poll, quiet, running
from tests.rows import add_role, add_user, through
from tests.statements import count_statements
from tests.waiting import settle, until

on_sqlite = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
request_id: ContextVar[str] = ContextVar("request_id")


@pytest.fixture
async def people(engine: AsyncEngine) -> list[int]:
    """Ten users of one role."""
    async with engine.begin() as connection:
        viewer = await add_role(connection, "Viewer", [("can_read", "DAG:etl")])
        return [await add_user(connection, f"user {number}", roles=[viewer]) for number in range(10)]


@contextmanager
def around_load(auth: AuthManager, hook: Callable[[int, Awaitable[Loaded]], Awaitable[Loaded]]) -> Iterator[list[int]]:
    """Let `hook` do each load of a manager; it is given the number of the load and the load itself."""
    loader = running(auth).users._loader
    original = Loader.load
    numbers: list[int] = []

    async def load(*arguments: Any) -> Loaded:
        numbers.append(len(numbers))
        return await hook(numbers[-1], original(loader, *arguments))

    with patch.object(loader, "load", load):
        yield numbers


def checked_out(auth: AuthManager) -> int:
    """How many connections a manager has taken from its pool."""
    number: int = running(auth).database.engine.pool.checkedout()  # type: ignore[attr-defined]
    return number


def working(auth: AuthManager) -> set[str]:
    """The names of the manager's tasks, those in the background left out."""
    return {task.get_name() for task in running(auth).tasks._running} - {BACKGROUND}


async def test_a_hundred_tasks_and_one_cold_user(auth: AuthManager, people: list[int]) -> None:
    """One load, the statements of one load, one and the same user for all."""
    with count_statements() as expected:
        await auth.get_user(people[0])
    running(auth).users.cache.clear()
    token = auth.issue_token(people[1])
    with count_loads() as loads, count_statements() as statements:
        found = await asyncio.gather(
            *(auth.get_user(people[1]) for _ in range(50)), *(auth.get_user_from_token(token) for _ in range(50))
        )
    assert loads == [people[1]]
    assert len(statements) <= len(expected)
    assert len(set(map(id, found))) == 1


@on_sqlite
async def test_so_many_loads_at_once(settings: Settings, people: list[int]) -> None:
    """Ten cold users are loaded at most `max_concurrent_loads` at a time."""
    async with AuthManager(quiet(settings, max_concurrent_loads=3)) as auth:
        at_once: list[int] = [0, 0]

        async def hook(_: int, load: Awaitable[Loaded]) -> Loaded:
            at_once[0] += 1
            at_once[1] = max(at_once)
            await settle()
            try:
                return await load
            finally:
                at_once[0] -= 1

        with around_load(auth, hook) as loads:
            await asyncio.gather(*(auth.get_user(person) for person in people for _ in range(5)))
        assert at_once == [0, 3]
        assert len(loads) == 10


async def test_callers_that_go_away_at_any_moment(auth: AuthManager, people: list[int], full: bool) -> None:
    """Whoever is cancelled, whenever: the others get their user, no connection stays out, no task is left."""
    dice = random.Random(60431)  # noqa: S311
    for _ in range(300 if full else 25):
        running(auth).users.cache.clear()
        callers = {asyncio.create_task(auth.get_user(person)): person for person in people[:4] for _ in range(3)}
        gone = set()
        while not all(caller.done() for caller in callers):
            for caller in dice.sample(list(callers), dice.randrange(3)):
                if caller.cancel():
                    gone.add(caller)
            await asyncio.sleep(0 if dice.random() < 0.9 else 0.001)
        for caller, person in callers.items():
            assert caller.cancelled() == (caller in gone)
            if caller not in gone:
                assert caller.result().id == person
        await until(lambda: not working(auth))
        assert checked_out(auth) == 0
    with count_loads() as loads:
        for person in people[:4]:
            await auth.get_user(person)
    assert loads == []


async def test_all_callers_go_away(auth: AuthManager, people: list[int]) -> None:
    """The load of callers who are all gone goes on, serves whoever comes, and is kept."""
    await poll(auth)  # or the load itself finds that these users are new, and who comes after that waits for another
    callers = [asyncio.create_task(auth.get_user(people[0])) for _ in range(5)]
    with count_loads() as loads:
        await settle()
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert (await auth.get_user(people[0])).id == people[0]
        await auth.get_user(people[0])
    assert len(loads) <= 1
    assert checked_out(auth) == 0


@on_sqlite
async def test_a_load_belongs_to_no_request(auth: AuthManager, people: list[int]) -> None:
    """The context variables of the caller who happens to be the first are not those of the load."""
    request_id.set("first")
    seen = []

    async def hook(_: int, load: Awaitable[Loaded]) -> Loaded:
        seen.append(request_id.get("none"))
        return await load

    with around_load(auth, hook):
        await auth.get_user(people[0])
    assert seen == ["none"]


# ── changes while a load is under way ──


class Slow:
    """Holds the first load back, after it has read and before it ends."""

    def __init__(self) -> None:
        self.read = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, number: int, load: Awaitable[Loaded]) -> Loaded:
        try:
            return await load
        finally:
            if number == 0:
                self.read.set()
                await self.go.wait()


async def drop_roles(connection: AsyncConnection) -> None:
    """Take all roles from everybody."""
    await connection.execute(delete(user_roles))


async def drop_permissions(connection: AsyncConnection) -> None:
    """Take all permissions from every role."""
    await connection.execute(delete(role_permissions))


@pytest.mark.parametrize("ours", [True, False], ids=["our change", "another worker's"])
@pytest.mark.parametrize("work", [drop_roles, drop_permissions])
async def test_a_load_that_a_change_has_overtaken(
    settings: Settings, auth: AuthManager, people: list[int], ours: bool, work: Any
) -> None:
    """What was read before a change and arrives after it is neither returned nor kept, user and roles alike."""
    slow = Slow()
    async with AuthManager(quiet(settings)) as other:
        with around_load(auth, slow) as loads:
            caller = asyncio.create_task(auth.get_user(people[0]))
            await slow.read.wait()
            await through(auth if ours else other, work)
            if not ours:
                await poll(auth)
            after = asyncio.create_task(auth.get_user(people[0]))
            await settle()
            slow.go.set()
            for user in (await caller, await after, await auth.get_user(people[0]), await auth.get_user(people[1])):
                assert not auth.decide(user, "can_read", "DAG:etl")
        assert len(loads) >= 2


@on_sqlite
async def test_a_change_of_something_else_costs_nothing(auth: AuthManager, people: list[int]) -> None:
    """A load is not repeated for a change of tables that no user rests on."""
    slow = Slow()

    async def nothing(connection: AsyncConnection) -> None:
        await connection.execute(delete(registrations))

    with around_load(auth, slow) as loads:
        caller = asyncio.create_task(auth.get_user(people[0]))
        await slow.read.wait()
        await through(auth, nothing)
        slow.go.set()
        await caller
        await auth.get_user(people[0])
    assert len(loads) == 1


@on_sqlite
@pytest.mark.parametrize("error", [UserNotFoundError, UserInactiveError])
async def test_an_old_error_is_no_answer_to_a_new_question(
    auth: AuthManager, people: list[int], error: type[Exception]
) -> None:
    """Who asks after a change is not given the error of a load that began before it."""
    slow = Slow()

    async def switch_off(connection: AsyncConnection) -> None:
        if error is UserNotFoundError:
            await connection.execute(delete(user_roles))
            await connection.execute(delete(users))
        await connection.execute(update(users).values(active=False))

    async def switch_on(connection: AsyncConnection) -> None:
        if error is UserNotFoundError:
            new = await add_user(connection)
            await connection.execute(update(users).where(users.c.id == new).values(id=people[0]))
        await connection.execute(update(users).values(active=True))

    await through(auth, switch_off)
    with around_load(auth, slow):
        before = asyncio.create_task(auth.get_user(people[0]))
        await slow.read.wait()
        await through(auth, switch_on)
        assert (await auth.get_user(people[0])).id == people[0]
        slow.go.set()
        with pytest.raises(error):
            await before


@on_sqlite
async def test_failing_loads_are_not_kept(auth: AuthManager, people: list[int]) -> None:
    """All who share a load share its error; the next caller asks anew."""

    async def hook(number: int, load: Awaitable[Loaded]) -> Loaded:
        loaded = await load
        if number == 0:
            raise DatabaseUnavailableError("no luck")
        return loaded

    with around_load(auth, hook) as loads:
        results = await asyncio.gather(*(auth.get_user(people[0]) for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [DatabaseUnavailableError] * 5
        assert (await auth.get_user(people[0])).id == people[0]
    assert len(loads) == 2


@on_sqlite
async def test_changes_that_never_stop(auth: AuthManager, people: list[int]) -> None:
    """If each load is overtaken by a change the answer is 503 after a few, and right as soon as the changes stop."""
    changing = True

    async def hook(number: int, load: Awaitable[Loaded]) -> Loaded:
        loaded = await load
        if changing:
            await through(auth, lambda connection: connection.execute(update(roles).values(name=f"Reader {number}")))
        return loaded

    with around_load(auth, hook) as loads:
        with pytest.raises(StaleError):
            await auth.get_user(people[0])
        assert 1 < len(loads) < 10
        changing = False
        assert (await auth.get_user(people[0])).roles[0].name == f"Reader {len(loads) - 2}"


@on_sqlite
async def test_waiting_for_a_turn_has_a_deadline(settings: Settings, people: list[int]) -> None:
    """Behind loads that do not end the others are told so (503) within the deadline, and the places come back."""
    async with AuthManager(quiet(settings, max_concurrent_loads=2)) as auth:
        stuck = True

        async def hook(_: int, load: Awaitable[Loaded]) -> Loaded:
            loaded = await load
            if stuck:
                await asyncio.Event().wait()
            return loaded

        with around_load(auth, hook):
            with impatient(auth, 0.2):
                async with asyncio.timeout(10):
                    results = await asyncio.gather(*map(auth.get_user, people), return_exceptions=True)
            assert [type(result) for result in results] == [DatabaseUnavailableError] * 10
            stuck = False
            found = await asyncio.gather(*map(auth.get_user, people))
        assert [user.id for user in found] == people
        assert checked_out(auth) == 0


@on_sqlite
async def test_a_pool_that_is_exhausted(settings: Settings, people: list[int]) -> None:
    """When every connection is taken cold users are 503 within the deadline, warm ones are served, and all is well
    again when the connections come back."""
    async with AuthManager(quiet(settings, database_pool_size=2)) as auth:
        warm = await auth.get_user(people[0])
        engine = running(auth).database.engine
        async with engine.connect(), engine.connect():
            with impatient(auth, 0.2):
                async with asyncio.timeout(10):
                    results = await asyncio.gather(*map(auth.get_user, people[1:]), return_exceptions=True)
            assert all(isinstance(result, UnavailableError) for result in results), results
            assert await auth.get_user(people[0]) is warm
        found: list[User] = await asyncio.gather(*map(auth.get_user, people))
        assert [user.id for user in found] == people
