"""Changes: seen at once where they are made, elsewhere with the next poll, and never later than an entry's age."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import delete, event, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.feed import Gap, Record
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import (
    actions,
    changes,
    group_users,
    resources,
    user_roles,
    users,
)
from asyncauth.errors import (
    AuthError,
    ChangeError,
    StaleError,
    TakenError,
    UserInactiveError,
    UserNotFoundError,
)
from tests.managers import FakeClock, count_loads, poll, quiet, running
from tests.rows import add_group, add_role, add_user, grant, take, through
from tests.statements import count_statements
from tests.waiting import eventually

READ, EDIT = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[AuthManager]:
    """Another worker on the same database."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager


@pytest.fixture
async def viewer(engine: AsyncEngine) -> int:
    """A role that may read."""
    async with engine.begin() as connection:
        return await add_role(connection, "Viewer", [READ])


@pytest.fixture
async def ada(engine: AsyncEngine, viewer: int) -> int:
    """A user with the role."""
    async with engine.begin() as connection:
        return await add_user(connection, roles=[viewer])


@pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)
async def test_a_load_looks_into_the_gaps(auth: AuthManager, ada: int) -> None:
    """A record below the last one that was not committed when we looked: the load's own snapshot shows it. Without gaps
    it is not looked for."""
    await poll(auth)
    position = running(auth).users.position
    gap = Gap(position.last, position.last, 0.0)
    for gaps, expected in (((), []), ((gap,), [position.last])):
        seen: list[Record] = []
        loader = running(auth).users._loader
        await loader.load(ada, replace(position, gaps=gaps), seen.extend, lambda _: None)
        assert [record.id for record in seen] == expected


async def rights(auth: AuthManager, user_id: int) -> set[tuple[str, str]] | type[AuthError]:
    """What a user may do, or why nothing."""
    try:
        user = await auth.get_user(user_id)
    except AuthError as error:
        return type(error)
    return {(one.action, one.resource) for role in user.roles for one in role.permissions}


async def test_every_kind_of_change(auth: AuthManager, other: AuthManager, ada: int, viewer: int) -> None:
    """Whichever table a change is in, the worker that made it sees it at once, and another one after its next poll."""

    async def delete_from(connection: AsyncConnection) -> None:
        await connection.execute(delete(user_roles).where(user_roles.c.user_id == ada))

    made: dict[str, int] = {}

    async def add_editor(connection: AsyncConnection) -> None:
        made["editor"] = await add_role(connection, "Editor", [EDIT])
        await insert_row(connection, user_roles, user_id=ada, role_id=made["editor"])

    async def give(connection: AsyncConnection) -> None:
        made["given"] = await grant(connection, made["editor"], *READ)

    async def join(connection: AsyncConnection) -> None:
        await add_group(connection, members=[ada], roles=[viewer])

    async def rename(connection: AsyncConnection) -> None:
        await connection.execute(update(resources).values(name="DAG:new"))

    steps = [
        (delete_from, set()),
        (add_editor, {EDIT}),
        (give, {EDIT, READ}),
        (lambda connection: take(connection, made["editor"], made["given"]), {EDIT}),
        (join, {EDIT, READ}),
        (rename, {("can_edit", "DAG:new"), ("can_read", "DAG:new")}),
        (lambda connection: connection.execute(delete(group_users)), {("can_edit", "DAG:new")}),
        (lambda connection: connection.execute(update(users).values(active=None)), UserInactiveError),
        (lambda connection: connection.execute(update(users).values(active=True)), {("can_edit", "DAG:new")}),
        (lambda connection: connection.execute(delete(users)), UserNotFoundError),
    ]
    for worker in (auth, other):
        assert await rights(worker, ada) == {READ}
    for number, (work, expected) in enumerate(steps):
        before = await rights(other, ada)
        await through(auth, work)
        assert (number, await rights(auth, ada)) == (number, expected)
        if not isinstance(before, type):
            assert (number, await rights(other, ada)) == (number, before)
        await poll(other)
        assert (number, await rights(other, ada)) == (number, expected)


async def test_a_change_that_is_refused_changes_nothing(auth: AuthManager, engine: AsyncEngine, ada: int) -> None:
    """An error inside a use case undoes all of it, and nobody has to be loaded again."""
    await auth.get_user(ada)

    async def fail(connection: AsyncConnection) -> None:
        await connection.execute(delete(user_roles))
        raise ChangeError("no")

    async def double(connection: AsyncConnection) -> None:
        await connection.execute(delete(user_roles))
        await add_user(connection, "ada")

    newest = select(func.max(changes.c.id))
    async with engine.connect() as connection:
        before = await connection.scalar(newest)
    with count_loads() as loads:
        with pytest.raises(ChangeError, match="no"):
            await through(auth, fail)
        with pytest.raises(TakenError):
            await through(auth, double)
        assert await rights(auth, ada) == {READ}
        await poll(auth)
        assert await rights(auth, ada) == {READ}
    assert loads == []
    async with engine.connect() as connection:
        assert await connection.scalar(newest) == before


async def test_a_change_of_nothing(auth: AuthManager, ada: int) -> None:
    """A use case that touched no table leaves all as it is."""
    await auth.get_user(ada)

    async def nothing(_: AsyncConnection) -> str:
        return "result"

    with count_loads() as loads:
        assert (await auth.write(nothing)).value == "result"
        await auth.get_user(ada)
    assert loads == []


async def test_a_cancelled_change_is_made(auth: AuthManager, ada: int) -> None:
    """A transaction is not cut off because its client went away: it is committed, and seen at once."""
    await auth.get_user(ada)
    began, go = asyncio.Event(), asyncio.Event()

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(delete(user_roles))
        began.set()
        await go.wait()

    caller = asyncio.create_task(through(auth, work))
    await began.wait()
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    go.set()

    async def is_seen() -> bool:
        return not await rights(auth, ada)

    await eventually(is_seen)


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True)
async def test_two_changes_at_once(auth: AuthManager, other: AuthManager, ada: int, viewer: int) -> None:
    """A change that began before another one and is committed after it: both workers go on, and see both changes."""
    for worker in (auth, other):
        await worker.get_user(ada)
    began, go = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        await connection.execute(select(users.c.id))  # its snapshot, where a database takes one
        began.set()
        await go.wait()
        await connection.execute(update(users).values(first_name="Augusta"))

    async def quick(connection: AsyncConnection) -> None:
        await grant(connection, viewer, *EDIT)

    caller = asyncio.create_task(through(auth, slow))
    await began.wait()
    await through(other, quick)
    go.set()
    await caller
    for worker in (auth, other, auth):
        user = await worker.get_user(ada)
        if worker is auth:
            assert user.first_name == "Augusta"
        await poll(worker)
        user = await worker.get_user(ada)
        assert user.first_name == "Augusta"
        assert await rights(worker, ada) == {READ, EDIT}


async def test_many_changes_at_once(auth: AuthManager, other: AuthManager, ada: int, viewer: int) -> None:
    """Twenty changes by two workers at once: none waits for another for ever, and in the end both know them all."""

    async def change(number: int) -> None:
        worker = (auth, other)[number % 2]
        if number % 4 < 2:
            await through(worker, lambda connection: connection.execute(update(users).values(last_name=f"{number}")))
        else:
            await through(worker, lambda connection: grant(connection, viewer, "can_run", f"DAG:{number}"))

    results = await asyncio.gather(*(change(number) for number in range(20)), return_exceptions=True)
    # Two that add the same action at once: one of them is refused, and may be tried again.
    done = {number for number, result in enumerate(results) if result is None}
    assert all(result is None or isinstance(result, AuthError) for result in results)
    assert len(done) >= 10
    expected = {READ} | {("can_run", f"DAG:{number}") for number in done if number % 4 >= 2}
    for worker in (auth, other):
        await poll(worker)
        assert await rights(worker, ada) == expected


async def test_no_entry_outlives_its_age(settings: Settings, engine: AsyncEngine, ada: int, viewer: int) -> None:
    """Whatever the change log says, and however often an entry was used: role, user and the meaning of a permission
    alike, and not a moment later. Here nobody looks at the log."""
    clock = FakeClock()
    async with AuthManager(quiet(settings, max_entry_age_seconds=300), clock=clock.clock) as auth:
        assert await rights(auth, ada) == {READ}
        async with engine.begin() as connection:
            await grant(connection, viewer, *EDIT)
            await connection.execute(update(actions).where(actions.c.name == "can_read").values(name="can_see"))
        for seconds in (100, 100, 99):
            clock.advance(seconds)
            assert await rights(auth, ada) == {READ}
        clock.advance(1)
        assert await rights(auth, ada) == {("can_see", "DAG:etl"), EDIT}


async def test_a_role_is_no_younger_for_being_loaded_with_a_new_user(
    settings: Settings, engine: AsyncEngine, ada: int, viewer: int
) -> None:
    """A user that is put together from a role in memory becomes too old together with that role."""
    clock = FakeClock()
    async with engine.begin() as connection:
        bob = await add_user(connection, "bob", roles=[viewer])
    async with AuthManager(quiet(settings, max_entry_age_seconds=300), clock=clock.clock) as auth:
        await auth.get_user(ada)
        clock.advance(299)
        user = await auth.get_user(bob)
        clock.advance(0.999)
        assert auth.current(user) is user
        clock.advance(0.001)
        with pytest.raises(StaleError):
            auth.current(user)


async def test_age_counts_from_the_question(settings: Settings, engine: AsyncEngine, ada: int) -> None:
    """A load that takes long makes an entry no younger."""
    clock = FakeClock()
    async with AuthManager(quiet(settings, max_entry_age_seconds=300), clock=clock.clock) as auth:

        def pass_time(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("SELECT"):
                clock.advance(50)

        event.listen(running(auth).database.engine.sync_engine, "after_cursor_execute", pass_time)
        started = clock.elapsed
        user = await auth.get_user(ada)
        clock.elapsed = started + 299.9
        assert auth.current(user) is user
        clock.elapsed = started + 300
        with pytest.raises(StaleError):
            auth.current(user)


async def test_what_is_not_proven_is_not_granted(settings: Settings, ada: int) -> None:
    """`max_staleness_seconds` after the last proof was asked for, to the moment, every question is a 503; with the next
    proof all go on, and nobody has to be loaded again."""
    clock = FakeClock()
    staleness = 2 * 3600.0
    async with AuthManager(quiet(settings, max_entry_age_seconds=10**6), clock=clock.clock) as auth:
        token = auth.issue_token(ada)
        user = await auth.get_user_from_token(token)
        clock.elapsed += staleness - 0.001
        assert auth.unready() is None
        assert auth.find_user_from_token(token) is auth.current(user) is await auth.get_user(ada)
        clock.elapsed += 0.001
        assert auth.unready()
        with count_statements() as statements:
            with pytest.raises(StaleError) as caught:
                auth.find_user_from_token(token)
            assert (caught.value.status, caught.value.retry_after_seconds) == (503, 1)
            with pytest.raises(StaleError):
                auth.current(user)
            for question in (
                auth.get_user_from_token(token),
                auth.get_user(ada),
                auth.deserialize_user({"sub": f"{ada}"}),
            ):
                with pytest.raises(StaleError):
                    await question
        assert statements == []
        with count_loads() as loads:
            await poll(auth)
            assert auth.find_user_from_token(token) is user
        assert auth.unready() is None
        assert loads == []


async def test_a_machine_that_sleeps(settings: Settings, engine: AsyncEngine, ada: int) -> None:
    """After a sleep longer than an entry's age nothing of before is granted."""
    clock = FakeClock()
    async with AuthManager(quiet(settings), clock=clock.clock) as auth:
        await auth.get_user(ada)
        async with engine.begin() as connection:
            await connection.execute(delete(user_roles))
        clock.advance(9 * 3600)
        with pytest.raises(StaleError):
            await auth.get_user(ada)
        await poll(auth)
        assert await rights(auth, ada) == set()


async def test_memory_holds_so_many_users(settings: Settings, engine: AsyncEngine, viewer: int) -> None:
    """Above `user_cache_size` the user who was asked for least recently goes; above `role_cache_size` the role."""
    async with engine.begin() as connection:
        people = [await add_user(connection, f"user {number}", roles=[viewer]) for number in range(4)]
    async with AuthManager(quiet(settings, user_cache_size=3, role_cache_size=1)) as auth:
        for person in (0, 1, 2, 0, 3):
            await auth.get_user(people[person])
        assert running(auth).users.sizes == (3, 1)
        with count_loads() as loads:
            for person in (3, 0, 2):
                await auth.get_user(people[person])
            assert loads == []
            await auth.get_user(people[1])
        assert loads == [people[1]]


async def test_memory_holds_so_many_roles(settings: Settings, engine: AsyncEngine) -> None:
    """With room for one role users of three are right all the same."""
    async with engine.begin() as connection:
        made = [await add_role(connection, f"role {number}", [("can_read", f"DAG:{number}")]) for number in range(3)]
        people = [await add_user(connection, f"user {number}", roles=made[number:]) for number in range(3)]
    async with AuthManager(quiet(settings, role_cache_size=1)) as auth:
        for number, person in [*enumerate(people), *enumerate(people)]:
            assert await rights(auth, person) == {("can_read", f"DAG:{one}") for one in range(number, 3)}
