"""Exactly what changed is dropped from memory, and nothing else; what is unclear drops everything."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, User
from tests.database.feed.people import ADA, BOB, EDITOR, VIEWER, add_people
from tests.managers import count_loads, poll, quiet, running

NAMED = pytest.mark.parametrize(
    "backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True
)
"""SQLite's triggers do not see all, so there any record drops everything."""
MANY_USERS = range(1001, 1101)


@pytest.fixture
async def auth(settings: Settings, engine: AsyncEngine) -> AsyncIterator[AuthManager]:
    """A manager with a hundred users who hold Viewer and two who do not, all in memory."""
    await add_people(engine)
    async with engine.begin() as connection:
        for one in MANY_USERS:
            row = f"({one}, '', '', 'u{one}', 'u{one}', true)"
            await connection.exec_driver_sql(
                f"INSERT INTO ab_user (id, first_name, last_name, username, email, active) VALUES {row}"
            )
            await connection.exec_driver_sql(
                f"INSERT INTO ab_user_role (id, user_id, role_id) VALUES ({one}, {one}, {VIEWER})"
            )
    async with AuthManager(quiet(settings)) as manager:
        for user_id in (ADA, BOB, *MANY_USERS):
            await manager.get_user(user_id)
        yield manager


async def change(auth: AuthManager, engine: AsyncEngine, statement: str) -> None:
    """Another program's statement, and the manager's next look."""
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await poll(auth)


async def loaded(auth: AuthManager) -> tuple[list[int], dict[int, User]]:
    """Ask for everybody: who had to be loaded for it, and what everybody is."""
    with count_loads() as loads:
        return loads, {user_id: await auth.get_user(user_id) for user_id in (ADA, BOB, *MANY_USERS)}


@NAMED
async def test_a_change_of_a_role_costs_one_load(auth: AuthManager, engine: AsyncEngine) -> None:
    """Its hundred holders stay in memory: the first one who comes brings the role for all."""
    before = auth.status()
    await change(auth, engine, f"UPDATE ab_permission_view_role SET permission_view_id = 3 WHERE role_id = {VIEWER}")
    status = auth.status()
    assert (status.users, status.roles) == (before.users, before.roles - 1)
    loads, users = await loaded(auth)
    assert loads == [ADA]
    assert all(auth.decide(users[one], "can_read", "DAG:billing") for one in (ADA, *MANY_USERS))
    assert not any(auth.decide(users[one], "can_read", "DAG:etl") for one in (ADA, *MANY_USERS))


@NAMED
async def test_a_change_of_a_user_drops_that_user_only(auth: AuthManager, engine: AsyncEngine) -> None:
    """Whatever of the user changed: the roles stay in memory."""
    for statement in (
        f"UPDATE ab_user SET first_name = 'Augusta' WHERE id = {ADA}",
        f"UPDATE ab_user_role SET role_id = {EDITOR} WHERE user_id = {ADA}",
        f"INSERT INTO ab_user_group (id, user_id, group_id) VALUES (9, {ADA}, 1)",
    ):
        roles = auth.status().roles
        await change(auth, engine, statement)
        assert auth.status().roles == roles
        loads, users = await loaded(auth)
        assert loads == [ADA], statement
    assert [role.name for role in users[ADA].roles] == ["Editor", "Operator"]


@NAMED
async def test_a_change_of_many_drops_their_kind(auth: AuthManager, engine: AsyncEngine) -> None:
    """A record that names nobody: all users, or all roles, which one load each brings again."""
    await change(auth, engine, f"UPDATE ab_group_role SET role_id = {VIEWER}")
    assert (auth.status().users, auth.status().roles) == (0, 3)
    assert len((await loaded(auth))[0]) == len(MANY_USERS) + 2
    await change(auth, engine, "UPDATE ab_permission SET name = 'can_see' WHERE id = 1")
    assert (auth.status().users, auth.status().roles) == (len(MANY_USERS) + 2, 0)
    assert (await loaded(auth))[0] == [ADA, BOB]


@NAMED
async def test_what_is_unclear_drops_everything(auth: AuthManager, engine: AsyncEngine) -> None:
    """A kind of record that a later version may write."""
    drawn = engine.dialect.name == "mysql" and engine.dialect.supports_sequences  # MariaDB
    id_ = "NEXTVAL(asyncauth_change_id_seq), " if drawn else ""
    columns = "(id, kind, item)" if drawn else "(kind, item)"
    await change(auth, engine, f"INSERT INTO asyncauth_change {columns} VALUES ({id_}'realm', 1)")
    assert (auth.status().users, auth.status().roles) == (0, 0)
    assert running(auth).follower.flushes == {}  # it was one record, not a loss of place


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_on_sqlite_any_change_drops_everything(auth: AuthManager, engine: AsyncEngine) -> None:
    """REPLACE skips the triggers of what it deletes: who holds a role that lost its id to another one is not told."""
    await change(auth, engine, "REPLACE INTO ab_role (id, name) VALUES (9, 'Editor')")
    assert (auth.status().users, auth.status().roles) == (0, 0)
