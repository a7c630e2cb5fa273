"""Programs that know nothing of us: `psql` and `mariadb` under an account with rights on FAB's tables only.

They go on writing, and every change on every table that matters is known to a running manager at its next look. What
no trigger can show (TRUNCATE on MariaDB, foreign keys switched off) is left to `max_entry_age_seconds`.
"""

import anyio.to_thread
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, User
from asyncauth.errors import UnauthenticatedError
from tests.clients import ClientError, run_sql
from tests.database.feed.people import ADA, BOB, EDITOR, OPERATOR, VIEWER, add_people
from tests.databases import Database
from tests.managers import FakeClock, poll, quiet, running

SERVERS = pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql+asyncpg"], indirect=True)
MARIADB = pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)
STEPS = (
    # each changes what bob, who is in memory, may do or is called
    f"UPDATE ab_user SET first_name = 'Robert' WHERE id = {BOB}",
    f"UPDATE ab_user SET username = 'BOB', login_count = 1 WHERE id = {BOB}",
    f"UPDATE ab_role SET name = 'Writer' WHERE id = {EDITOR}",
    "UPDATE ab_permission SET name = 'can_write' WHERE id = 2",
    "UPDATE ab_view_menu SET name = 'DAG:elt' WHERE id = 1",
    "UPDATE ab_permission_view SET view_menu_id = 3 WHERE id = 2",
    f"INSERT INTO ab_permission_view_role (id, permission_view_id, role_id) VALUES (90, 1, {EDITOR})",
    "UPDATE ab_permission_view_role SET permission_view_id = 3 WHERE id = 90",
    "DELETE FROM ab_permission_view_role WHERE id = 90",
    f"INSERT INTO ab_user_role (id, user_id, role_id) VALUES (90, {BOB}, {VIEWER})",
    f"UPDATE ab_user_role SET user_id = {ADA} WHERE id = 2",
    "DELETE FROM ab_user_role WHERE id = 90",
    f"INSERT INTO ab_group_role (id, group_id, role_id) VALUES (90, 1, {VIEWER})",
    f"UPDATE ab_group_role SET role_id = {EDITOR} WHERE id = 90",
    "DELETE FROM ab_group_role WHERE id = 90",
    "UPDATE ab_user_group SET group_id = 2",
    "UPDATE ab_user_group SET group_id = 1",
    "DELETE FROM ab_user_group",
    f"INSERT INTO ab_user_group (id, user_id, group_id) VALUES (90, {BOB}, 1)",
    # cascades
    "DELETE FROM ab_permission_view WHERE id = 3",
    f"INSERT INTO ab_user_role (id, user_id, role_id) VALUES (91, {BOB}, {VIEWER})",
    f"DELETE FROM ab_role WHERE id = {VIEWER}",
    "DELETE FROM ab_group WHERE id = 1",
    f"UPDATE ab_user SET active = false WHERE id = {BOB}",
    f"UPDATE ab_user SET active = true WHERE id = {BOB}",
    f"DELETE FROM ab_user WHERE id = {BOB}",
)


async def write(database: Database, account: str, script: str) -> str:
    """What the other program does."""
    return await anyio.to_thread.run_sync(lambda: run_sql(database, script, user=account, password=account))


async def bob(auth: AuthManager) -> User | str:
    """Who he is, or why he is refused."""
    try:
        return await auth.get_user(BOB)
    except UnauthenticatedError as error:
        return error.code


async def test_every_change_is_seen_at_the_next_look(
    settings: Settings, database: Database, account: str, engine: AsyncEngine
) -> None:
    """Statement by statement: what the running manager says is what one says that has just begun, and not what it
    said before."""
    await add_people(engine)
    async with AuthManager(quiet(settings)) as auth, AuthManager(quiet(settings)) as fresh:
        before = await bob(auth)
        for step in STEPS:
            await write(database, account, step)
            assert await bob(auth) == before or isinstance(before, str), step
            await poll(auth)
            now = await bob(auth)
            await running(fresh).follower.restart("begin anew")
            assert now == await bob(fresh), step
            assert now != before, step
            before = now


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_replace_is_seen(settings: Settings, database: Database, engine: AsyncEngine) -> None:
    """REPLACE deletes without a delete trigger, with cascades (foreign keys on) and without (the default)."""
    await add_people(engine)
    async with AuthManager(quiet(settings)) as auth:
        for script in (
            f"REPLACE INTO ab_user_role (id, user_id, role_id) VALUES (2, {ADA}, {EDITOR})",
            f"REPLACE INTO ab_role (id, name) VALUES ({OPERATOR}, 'Machinist')",
            "PRAGMA foreign_keys = OFF; REPLACE INTO ab_group (id, name) VALUES (9, 'staff')",
        ):
            await auth.get_user(BOB)
            await anyio.to_thread.run_sync(run_sql, database, script)
            await poll(auth)
            async with AuthManager(quiet(settings)) as fresh:
                assert await auth.get_user(BOB) == await fresh.get_user(BOB), script


@SERVERS
async def test_the_account_may_do_nothing_else(
    settings: Settings, database: Database, account: str, engine: AsyncEngine
) -> None:
    """It can neither read nor forge records; its writes go through because the triggers run as somebody who may."""
    await add_people(engine)
    insert = "INSERT INTO asyncauth_cutoff (user_id, at, reason) VALUES (1, 1, '')"
    tables = ("asyncauth_change", "asyncauth_feed", "asyncauth_cutoff", "asyncauth_rehash")
    for script in (*(f"SELECT * FROM {table}" for table in tables), "DELETE FROM asyncauth_change", insert):
        with pytest.raises(ClientError, match="denied"):
            await write(database, account, script)
    await write(database, account, f"UPDATE ab_user SET first_name = 'Robert' WHERE id = {BOB}")


@POSTGRESQL
async def test_without_definer_rights_the_writer_would_fail(
    database: Database, account: str, engine: AsyncEngine
) -> None:
    """What SECURITY DEFINER is for; and the fixed search path: no table of the writer's takes ours' place."""
    await add_people(engine)
    rename = f"UPDATE ab_user SET first_name = 'Robert' WHERE id = {BOB}"
    function = "ALTER FUNCTION asyncauth_ab_user_update() SECURITY"
    await anyio.to_thread.run_sync(run_sql, database, f"{function} INVOKER")
    with pytest.raises(ClientError, match="permission denied for table asyncauth_change"):
        await write(database, account, rename)
    await anyio.to_thread.run_sync(run_sql, database, f"{function} DEFINER")
    own = "CREATE TEMP TABLE asyncauth_change (kind text, item bigint); SET search_path = pg_temp, public;"
    assert await write(database, account, f"{own} {rename}; SELECT count(*) FROM pg_temp.asyncauth_change") == "0\n"
    count = await anyio.to_thread.run_sync(run_sql, database, "SELECT count(*) FROM asyncauth_change WHERE item = 2")
    assert int(count) >= 1


@MARIADB
async def test_what_mariadb_cannot_show_is_bounded_by_age(
    settings: Settings, database: Database, engine: AsyncEngine
) -> None:
    """TRUNCATE fires no trigger: the role is held until the entry is too old."""
    await add_people(engine)
    clock = FakeClock()
    async with AuthManager(quiet(settings, max_entry_age_seconds=300.0), clock=clock.clock) as auth:
        assert await auth.get_user(ADA)
        await anyio.to_thread.run_sync(run_sql, database, "TRUNCATE ab_user_role")
        await poll(auth)
        assert (await auth.get_user(ADA)).roles
        clock.advance(299)
        assert (await auth.get_user(ADA)).roles
        clock.advance(1)
        assert (await auth.get_user(ADA)).roles == ()
