"""Triggers that are dropped, disabled or never made: it is noticed, said, lived with, and mended by an upgrade."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import anyio.to_thread
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.migrate import upgrade
from asyncauth.errors import DatabaseUnavailableError, RevokedTokenError
from tests.clients import ClientError, run_sql
from tests.conftest import PATIENCE_SECONDS
from tests.database.feed.people import ADA, BOB, add_people
from tests.database.foreign import make_fab
from tests.database.look import execute, wrong
from tests.databases import Database, Databases
from tests.managers import FakeClock, count_loads, poll, quiet, running
from tests.statements import count_statements
from tests.waiting import settle

STALENESS_SECONDS, AGE_SECONDS = 10.0, 300.0
SERVERS = pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
MARIADB = pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)
LOST = {
    "sqlite": [
        "DROP TRIGGER asyncauth_ab_role_update",
        # what batch_alter_table does
        "CREATE TABLE x AS SELECT * FROM ab_role; DROP TABLE ab_role; ALTER TABLE x RENAME TO ab_role",
    ],
    "postgresql": [
        "DROP TRIGGER asyncauth_ab_role_update ON ab_role",
        "DROP FUNCTION asyncauth_ab_user_truncate() CASCADE",
        "ALTER TABLE ab_user_role DISABLE TRIGGER asyncauth_ab_user_role_delete",
        "ALTER TABLE ab_user DISABLE TRIGGER ALL",
        "CREATE TABLE x (LIKE ab_group_role); DROP TABLE ab_group_role; ALTER TABLE x RENAME TO ab_group_role",
    ],
    "mysql": [
        "DROP TRIGGER asyncauth_ab_role_update",
        "CREATE TABLE x LIKE ab_group_role; DROP TABLE ab_group_role; RENAME TABLE x TO ab_group_role",
    ],
}


@pytest.fixture
def database(databases: Databases, backend: str) -> Iterator[Database]:
    """A database of this test's own: it loses triggers."""
    made = databases.migrated(backend)
    yield made
    made.host.drop_database(made.name)


@pytest.fixture
def clock() -> FakeClock:
    """The manager's."""
    return FakeClock()


@pytest.fixture
async def auth(settings: Settings, clock: FakeClock, engine: AsyncEngine) -> AsyncIterator[AuthManager]:
    """A manager with ada in memory, and bounds of seconds."""
    await add_people(engine)
    bounds = {"max_staleness_seconds": STALENESS_SECONDS, "max_entry_age_seconds": AGE_SECONDS}
    async with AuthManager(quiet(settings, **bounds), clock=clock.clock) as manager:
        await manager.get_user(ADA)
        yield manager


async def test_lost_triggers_are_noticed_and_mended(auth: AuthManager, database: Database) -> None:
    """Each way to lose one: everything is forgotten, because changes went unnoted; and again when they stand."""
    follower, upkeep = running(auth).follower, running(auth).upkeep
    for number, script in enumerate(LOST[database.host.dialect]):
        await auth.get_user(ADA)
        await upkeep.check_triggers()
        assert (auth.status().degraded, auth.status().users) == (None, 1)
        await anyio.to_thread.run_sync(run_sql, database, script)
        await upkeep.check_triggers()
        status = auth.status()
        assert (status.degraded, status.users, status.roles) == ("no triggers", 0, 0), script
        assert status.missing_triggers
        assert status.ready
        assert any("missing or disabled" in finding.what for finding in await wrong(database)), script
        await auth.get_user(ADA)
        assert await upgrade(database.url) is True, script
        assert await wrong(database) == []
        await upkeep.check_triggers()
        assert (auth.status().degraded, auth.status().users) == (None, 0)
        assert follower.flushes == {"triggers are missing": number + 1, "the triggers stand again": number + 1}


async def test_a_check_costs_no_statement(auth: AuthManager, database: Database) -> None:
    """It is one more column of a look, as long as no trigger and no table comes or goes."""
    assert await statements_of_a_check(auth) == 1
    for script in LOST[database.host.dialect]:
        await anyio.to_thread.run_sync(run_sql, database, script)
        assert await statements_of_a_check(auth) > 1, script
        assert auth.status().degraded == "no triggers", script
        assert await upgrade(database.url) is True, script
        assert await statements_of_a_check(auth) > 1, script
        assert auth.status().degraded is None, script
        assert await statements_of_a_check(auth) == 1, script


async def statements_of_a_check(auth: AuthManager) -> int:
    """How many statements there are from one look to the next with a check between them."""
    upkeep = running(auth).upkeep
    due = asyncio.create_task(upkeep.is_check_due())
    await settle()
    with count_statements() as statements:
        await poll(auth)
        if await due:
            await upkeep.check_triggers()
    return len(statements)


async def test_a_check_does_not_outlive_a_look_that_fails(auth: AuthManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is asked without it: a catalogue that is locked must not end the proof."""
    database, asked = running(auth).database, []
    original = database.ask

    async def ask(statement: Any, *arguments: Any) -> Any:
        asked.append("schema_text" in str(statement))
        if asked[-1]:
            raise DatabaseUnavailableError("locked")
        return await original(statement, *arguments)

    monkeypatch.setattr(database, "ask", ask)
    due = asyncio.create_task(running(auth).upkeep.is_check_due())
    await settle()
    with pytest.raises(DatabaseUnavailableError):
        await poll(auth)
    await poll(auth)
    assert not await due
    assert asked == [True, False]


async def test_without_triggers_entries_live_shortly(auth: AuthManager, database: Database, clock: FakeClock) -> None:
    """No longer than memory may be unproven; with them as long as any entry may."""
    with count_loads() as loads:
        for script, seconds in ((None, AGE_SECONDS), ("DROP TRIGGER asyncauth_ab_role_update", STALENESS_SECONDS)):
            if script is not None:
                ending = " ON ab_role" if database.host.dialect == "postgresql" else ""
                await anyio.to_thread.run_sync(run_sql, database, script + ending)
                await running(auth).upkeep.check_triggers()
            await auth.get_user(ADA)
            loads.clear()
            clock.advance(seconds - 0.5)
            await poll(auth)
            await auth.get_user(ADA)
            assert loads == []
            clock.advance(1)
            await poll(auth)
            await auth.get_user(ADA)
            assert loads == [ADA]


async def test_without_triggers_revocations_are_read_whole(
    auth: AuthManager, database: Database, clock: FakeClock
) -> None:
    """At each look: nobody would tell."""
    token = auth.issue_token(ADA)
    claims = running(auth).verifier.verify(token, clock.now)
    ending = " ON asyncauth_revoked_token" if database.host.dialect == "postgresql" else ""
    insert = f"""INSERT INTO asyncauth_revoked_token (iss, jti, exp)
        VALUES ('{claims.issuer}', '{claims.jti}', {claims.expires_at})"""
    drop = f"DROP TRIGGER asyncauth_asyncauth_revoked_token_insert{ending}"
    await anyio.to_thread.run_sync(execute, database, drop, insert)
    await poll(auth)
    assert await auth.get_user_from_token(token)  # as long as nobody has looked at the triggers
    await running(auth).upkeep.check_triggers()
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(token)
    second = auth.issue_token(ADA)
    jti = running(auth).verifier.verify(second, clock.now).jti
    await anyio.to_thread.run_sync(execute, database, insert.replace(claims.jti, jti))
    await poll(auth)
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(second)


@pytest.mark.parametrize("lost", ["asyncauth_asyncauth_cutoff_insert", "asyncauth_ab_user_cutoff_update"])
async def test_without_triggers_cut_offs_are_read_whole(
    auth: AuthManager, database: Database, clock: FakeClock, lost: str
) -> None:
    """At each look; and our own use cases are known at once here."""
    table = "asyncauth_cutoff" if "asyncauth_cutoff" in lost else "ab_user"
    ending = f" ON {table}" if database.host.dialect == "postgresql" else ""
    id_ = "" if database.host.dialect == "postgresql" else "id, "
    insert = f"INSERT INTO asyncauth_cutoff ({id_}user_id, at, reason) VALUES ({id_ and '{}, '}{ADA}, {{}}, 'logout')"
    tokens = [auth.issue_token(ADA)]
    await anyio.to_thread.run_sync(execute, database, f"DROP TRIGGER {lost}{ending}")
    assert any("missing or disabled" in finding.what and lost in finding.what for finding in await wrong(database))
    await running(auth).upkeep.check_triggers()
    assert auth.status().degraded == "no triggers"
    for number in range(2):
        clock.advance(2)
        values = (9000 + number, int(clock.now) - 1) if id_ else (int(clock.now) - 1,)
        await anyio.to_thread.run_sync(execute, database, insert.format(*values))
        await auth.get_user_from_token(tokens[-1])
        await poll(auth)
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(tokens[-1])
        tokens.append(auth.issue_token(ADA))
        await auth.get_user_from_token(tokens[-1])
    await auth.end_tokens(ADA)
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(tokens[-1])


async def test_who_did_not_notice_forgets_all_the_same(auth: AuthManager, database: Database, clock: FakeClock) -> None:
    """Triggers that were missing and are made anew between two checks: what went unnoted meanwhile, users and
    revocations, is known after the next look."""
    token, user = auth.issue_token(ADA), await auth.get_user(ADA)
    claims = running(auth).verifier.verify(token, clock.now)
    postgresql = database.host.dialect == "postgresql"
    await anyio.to_thread.run_sync(
        execute,
        database,
        f"DROP TRIGGER asyncauth_ab_user_update{' ON ab_user' if postgresql else ''}",
        f"DROP TRIGGER asyncauth_asyncauth_revoked_token_insert{' ON asyncauth_revoked_token' if postgresql else ''}",
        f"UPDATE ab_user SET first_name = 'Augusta' WHERE id = {ADA}",
        f"INSERT INTO asyncauth_revoked_token (iss, jti, exp) VALUES ('{claims.issuer}', '{claims.jti}', 4000000000)",
    )
    await poll(auth)
    assert await auth.get_user_from_token(token) is user
    assert await upgrade(database.url) is True
    await poll(auth)
    assert (await auth.get_user(ADA)).first_name == "Augusta"
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(token)
    assert running(auth).follower.flushes == {"the triggers were made anew": 1}


# ── accounts ──


def url_of(database: Database, user: str) -> str:
    """Where another account finds the database; its name is its password."""
    return make_url(database.url).set(username=user, password=quote(user)).render_as_string(hide_password=False)


@pytest.fixture
def account(empty_database: Database) -> Iterator[str]:
    """An account that may make tables in a database that Airflow filled, but no triggers on Airflow's tables."""
    make_fab(empty_database)
    name = f"plain_{empty_database.name}"
    if empty_database.host.dialect == "postgresql":
        grants = [
            f"CREATE ROLE {name} LOGIN PASSWORD '{name}'",
            f"GRANT CREATE, USAGE ON SCHEMA public TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}",
        ]
        drop = [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]
    else:
        rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES"
        grants = [
            f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}'",
            f"GRANT {rights} ON `{empty_database.name}`.* TO {name}@'127.0.0.1'",
        ]
        drop = [f"DROP USER {name}@'127.0.0.1'"]
    empty_database.server.execute(*grants, database=empty_database.name)
    yield name
    empty_database.server.execute(*drop, database=empty_database.name)


@SERVERS
async def test_an_account_that_may_not_create_triggers(
    empty_database: Database, account: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The upgrade goes through with a warning, as often as it is run; the server starts and says that it is degraded;
    an upgrade by somebody who may mends it."""
    url = url_of(empty_database, account)
    assert await upgrade(url) is True
    assert "triggers could not be made" in caplog.text
    caplog.clear()
    assert await upgrade(url) is False
    assert "triggers could not be made" in caplog.text
    with caplog.at_level(logging.ERROR):
        async with AuthManager(quiet(settings, database_url=url)) as auth:
            assert auth.status().degraded == "no triggers"
            assert auth.unready() is None
            assert "triggers are missing" in caplog.text
            assert await upgrade(empty_database.url) is True
    async with AuthManager(quiet(settings, database_url=empty_database.url)) as auth:
        assert auth.status().degraded is None


@MARIADB
async def test_a_definer_that_is_gone(databases: Databases, empty_database: Database) -> None:
    """MariaDB then refuses every write that is watched; the check says so, and an upgrade by somebody else mends it."""
    name = f"owner_{empty_database.name}"
    server = empty_database.server
    await anyio.to_thread.run_sync(
        server.execute,
        f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}'",
        f"GRANT ALL ON `{empty_database.name}`.* TO {name}@'127.0.0.1'",
    )
    assert await upgrade(url_of(empty_database, name)) is True
    insert = "INSERT INTO ab_user_role (id) VALUES (-1)"  # which no sequence gives
    await anyio.to_thread.run_sync(run_sql, empty_database, insert)
    assert await wrong(empty_database) == []
    await anyio.to_thread.run_sync(server.execute, f"DROP USER {name}@'127.0.0.1'")
    with pytest.raises(ClientError, match="1449"):
        await anyio.to_thread.run_sync(run_sql, empty_database, "DELETE FROM ab_user_role")
    findings = await wrong(empty_database)
    assert [finding.what for finding in findings] == [
        f"the account {name}@127.0.0.1, as which triggers run, does not exist: every write that they watch fails"
    ]
    assert await upgrade(empty_database.url) is True
    assert await wrong(empty_database) == []
    await anyio.to_thread.run_sync(run_sql, empty_database, "DELETE FROM ab_user_role")


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True)
async def test_nobody_waits_long_for_an_upgrade(auth: AuthManager, database: Database, engine: AsyncEngine) -> None:
    """Somebody's transaction stays open on a watched table: others go on writing to it while the upgrade tries again
    and again, and it succeeds once that transaction has ended."""
    ending = " ON ab_user" if database.host.dialect == "postgresql" else ""
    await anyio.to_thread.run_sync(execute, database, f"DROP TRIGGER asyncauth_ab_user_update{ending}")
    async with engine.connect() as holder:
        await holder.exec_driver_sql(f"UPDATE ab_user SET first_name = 'Held' WHERE id = {ADA}")
        upgrading = asyncio.create_task(upgrade(database.url))
        await asyncio.sleep(0.5)
        for number in range(3):
            async with asyncio.timeout(PATIENCE_SECONDS), engine.begin() as connection:
                await connection.exec_driver_sql(f"UPDATE ab_user SET first_name = '{number}' WHERE id = {BOB}")
        assert not upgrading.done()
        await holder.rollback()
    assert await upgrading is True
    assert await wrong(database) == []
