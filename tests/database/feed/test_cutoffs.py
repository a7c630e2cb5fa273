"""The tokens of a user end when the password changes, the user is no longer active or is deleted, whoever writes: plain
SQL under an account with rights on FAB's tables only, or our own use cases. `tests/airflow` has FAB itself."""

import time
from collections.abc import AsyncIterator

import anyio.to_thread
import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.cutoffs import upgrade_hash
from asyncauth.db.tables import cutoffs, rehashes, users
from asyncauth.errors import NotFoundError, RevokedTokenError, UnauthenticatedError, UserNotFoundError
from tests.clients import run_sql
from tests.database.feed.people import ADA, BOB, EVE, add_people
from tests.databases import Database
from tests.managers import FakeClock, count_loads, poll, quiet, running
from tests.statements import count_statements

Cutoffs = list[tuple[int, str]]
POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True)
SQLITE = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
NOW = 1_700_000_000
SET_PASSWORD = f"UPDATE ab_user SET password = 'scrypt$salt$aa' WHERE id = {ADA}"
CASES: dict[str, Cutoffs] = {
    SET_PASSWORD: [(ADA, "password")],
    f"UPDATE ab_user SET password = 'a' WHERE id <> {BOB}": [(ADA, "password"), (EVE, "password")],
    f"UPDATE ab_user SET active = false WHERE id = {ADA}": [(ADA, "inactive")],
    f"UPDATE ab_user SET active = NULL WHERE id = {ADA}": [(ADA, "inactive")],
    f"UPDATE ab_user SET active = false, password = 'x' WHERE id = {ADA}": [(ADA, "inactive")],
    f"DELETE FROM ab_user WHERE id = {EVE}": [(EVE, "deleted")],
    f"UPDATE ab_user SET id = 50 WHERE id = {EVE}": [(EVE, "deleted")],
    # what ends nothing
    "UPDATE ab_user SET last_login = CURRENT_TIMESTAMP, login_count = 7, fail_login_count = 0": [],
    "UPDATE ab_user SET password = password, active = active, id = id": [],
    "UPDATE ab_user SET first_name = 'X', last_name = 'Y', username = 'ADA' WHERE id = 1": [],
    "UPDATE ab_user SET password = 'x' WHERE id = 4711": [],
    "DELETE FROM ab_user WHERE id = 4711": [],
    "INSERT INTO ab_user (id, first_name, last_name, username, email, password) VALUES (9, '', '', 'n', 'n', 'x')": [],
}
SEQUENCES: dict[tuple[str, ...], Cutoffs] = {
    (SET_PASSWORD, "UPDATE ab_user SET password = 'scrypt$salt$AA'"): [
        *[(ADA, "password"), (ADA, "password"), (BOB, "password"), (EVE, "password")]
    ],
    (SET_PASSWORD, f"UPDATE ab_user SET password = NULL WHERE id = {ADA}"): [(ADA, "password")] * 2,
    ("UPDATE ab_user SET active = false WHERE id = 1", "UPDATE ab_user SET active = true"): [(ADA, "inactive")],
    ("UPDATE ab_user SET active = false WHERE id = 1", "UPDATE ab_user SET active = NULL WHERE id = 1"): [
        (ADA, "inactive")
    ],
}
OWN: dict[str, dict[str, Cutoffs]] = {
    "postgresql": {"TRUNCATE ab_user CASCADE": [(ADA, "deleted"), (BOB, "deleted"), (EVE, "deleted")]},
    "mysql": {
        f"REPLACE INTO ab_user (id, first_name, last_name, username, email) VALUES ({EVE}, '', '', 'e', 'e')": [
            (EVE, "deleted")
        ]
    },
    "sqlite": {
        f"REPLACE INTO ab_user (id, first_name, last_name, username, email) VALUES ({EVE}, '', '', 'e', 'e')": [
            (EVE, "deleted")
        ],
        "REPLACE INTO ab_user (id, first_name, last_name, username, email) VALUES (9, '', '', 'ADA', 'bob@example.org')"
        "": [(ADA, "deleted"), (BOB, "deleted")],
    },
}


async def set_by(connection: AsyncConnection, *statements: str) -> Cutoffs:
    """The cut-offs that statements of one transaction set, which is then rolled back. Each is of this second."""
    for statement in statements:
        await connection.exec_driver_sql(statement)
    rows = (await connection.execute(select(cutoffs.c.user_id, cutoffs.c.reason, cutoffs.c.at))).all()
    await connection.rollback()
    assert all(abs(row.at - time.time()) < 60 for row in rows), rows
    return sorted((row.user_id, row.reason) for row in rows)


async def write(database: Database, account: str, script: str) -> None:
    """What another program does."""
    await anyio.to_thread.run_sync(lambda: run_sql(database, script, user=account, password=account))


async def accepts(auth: AuthManager, token: str) -> bool:
    """Whether the manager takes a token."""
    try:
        await auth.get_user_from_token(token)
    except RevokedTokenError:
        return False
    return True


@pytest.fixture
async def there(auth: AuthManager, settings: Settings) -> AsyncIterator[AuthManager]:
    """Another worker."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager


async def test_what_sets_a_cut_off(engine: AsyncEngine) -> None:
    """Statement by statement; and the clock is right whatever the time zone of who writes."""
    zone = {"sqlite": "SELECT 1", "postgresql": "SET TIME ZONE '+07'", "mysql": "SET time_zone = '+07:00'"}
    await add_people(engine)
    async with engine.connect() as connection:
        dialect = connection.dialect.name
        for statement, expected in (CASES | OWN[dialect]).items():
            assert await set_by(connection, zone[dialect], statement) == expected, statement
        for statements, expected in SEQUENCES.items():
            assert await set_by(connection, *statements) == expected, statements
        await connection.invalidate()  # with its time zone


@pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)
async def test_the_server_is_in_new_york(auth: AuthManager, database: Database, engine: AsyncEngine) -> None:
    """MariaDB reads and writes timestamps in the connection's time zone. Ours are set; whoever else writes is at -05:00
    here, and what is written is right."""
    zones = f"SELECT @@time_zone; {SET_PASSWORD}; SELECT at FROM asyncauth_cutoff"
    await add_people(engine)
    zone, at = (await anyio.to_thread.run_sync(run_sql, database, zones)).split()
    assert (zone, abs(int(at) - time.time()) < 60) == ("-05:00", True)
    async with running(auth).database.engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT @@time_zone")).scalar() == "+00:00"
    token = auth.issue_token(BOB)
    await auth.revoke_token(token)
    assert not await accepts(auth, token)


@pytest.mark.parametrize("script", [SET_PASSWORD, f"UPDATE ab_user SET active = false WHERE id = {ADA}"])
async def test_another_program_ends_the_tokens(
    auth: AuthManager, there: AuthManager, database: Database, account: str, engine: AsyncEngine, script: str
) -> None:
    """Each worker refuses them after its next look, and takes those that are issued from then on, in that second."""
    await add_people(engine)
    before, others = auth.issue_token(ADA), auth.issue_token(BOB)
    await write(database, account, script)
    await write(database, account, f"UPDATE ab_user SET active = true WHERE id = {ADA}")
    assert await accepts(there, before)
    for worker in (auth, there):
        await poll(worker)
        assert not await accepts(worker, before)
        assert await accepts(worker, others)
        assert await accepts(worker, worker.issue_token(ADA))


async def test_the_log_brings_them_and_nothing_is_loaded_again(auth: AuthManager, engine: AsyncEngine) -> None:
    """A password is not part of a user in memory: one statement, as every look."""
    await add_people(engine)
    token = auth.issue_token(ADA)
    user = await auth.get_user_from_token(token)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(SET_PASSWORD)
    with count_statements(running(auth).database.engine) as statements, count_loads() as loads:
        await poll(auth)
        assert not await accepts(auth, token)
        assert await auth.get_user(ADA) is user
    assert (len(statements), loads) == (1, [])


async def test_who_starts_or_begins_anew_knows_them(auth: AuthManager, settings: Settings, engine: AsyncEngine) -> None:
    """They are read whole then."""
    await add_people(engine)
    token = auth.issue_token(ADA)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(SET_PASSWORD)
    async with AuthManager(quiet(settings)) as fresh:
        assert not await accepts(fresh, token)
    await running(auth).follower.restart("begin anew")
    assert not await accepts(auth, token)


async def test_own_use_cases_are_seen_at_once(auth: AuthManager, there: AuthManager, engine: AsyncEngine) -> None:
    """By the worker that wrote; by another one that is shown the consistency token."""
    await add_people(engine)
    token = auth.issue_token(ADA)
    assert await accepts(there, token)

    async def set_password(connection: AsyncConnection) -> None:
        await connection.execute(update(users).where(users.c.id == ADA).values(password="x"))

    written = await auth.write(set_password)
    assert not await accepts(auth, token)
    with pytest.raises(RevokedTokenError):
        await there.get_user_from_token(token, at_least=written.token)


@POSTGRESQL
async def test_a_bulk_change_writes_one_record(auth: AuthManager, engine: AsyncEngine) -> None:
    """Which makes the followers read the cut-offs whole; nothing is dropped from memory."""
    await add_people(engine)
    numbers = "generate_series(1001, 7000) AS n"
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO ab_user (id, first_name, last_name, username, email, active) "
            f"SELECT n, '', '', 'u' || n, 'u' || n, true FROM {numbers}"
        )
    user, token, others = await auth.get_user(ADA), auth.issue_token(7000), auth.issue_token(ADA)
    await poll(auth)
    before = auth.status().changes
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE ab_user SET password = 'x' WHERE id > 1000")
    await poll(auth)
    assert auth.status().changes == before + 1
    assert not await accepts(auth, token)
    assert await accepts(auth, others)
    assert auth.current(user) is user
    assert running(auth).follower.flushes == {}


# ── log out everywhere ──


async def test_log_out_everywhere(auth: AuthManager, there: AuthManager, engine: AsyncEngine) -> None:
    """Here at once, elsewhere at the next look, or at once with the consistency token; twice is no error."""
    await add_people(engine)
    token, others = auth.issue_token(ADA), auth.issue_token(BOB)
    assert await accepts(there, token)
    shown = await auth.end_tokens(ADA)
    assert not await accepts(auth, token)
    assert await accepts(there, token)
    with pytest.raises(RevokedTokenError):
        await there.get_user_from_token(token, at_least=shown)
    await auth.end_tokens(ADA)
    assert await accepts(there, others)
    assert await accepts(auth, auth.issue_token(ADA))


@pytest.mark.parametrize("user_id", [4711, 0, -1, 2**31, 10**30])
async def test_nobody_to_log_out(auth: AuthManager, engine: AsyncEngine, user_id: int) -> None:
    """An id that no user has is an error, and leaves nothing behind."""
    with pytest.raises(NotFoundError):
        await auth.end_tokens(user_id)
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(cutoffs)) == 0


@pytest.mark.parametrize("leeway", [0, 10])
async def test_the_very_second(settings: Settings, engine: AsyncEngine, leeway: int) -> None:
    """`iat` at the cut-off is refused; a token issued in that second carries the next one and is accepted at once, on
    every worker, without any leeway."""
    await add_people(engine)
    clock = FakeClock(NOW - 1)
    settings = quiet(settings, jwt_leeway_seconds=leeway)
    async with (
        AuthManager(settings, clock=clock.clock) as auth,
        AuthManager(settings, clock=clock.clock) as there,
    ):
        earlier = auth.issue_token(ADA)
        clock.now = NOW + 0.1
        same = auth.issue_token(ADA)
        clock.now = NOW + 0.5
        await auth.end_tokens(ADA)
        later = auth.issue_token(ADA)
        clock.now = NOW + 0.6
        await poll(there)
        for worker in (auth, there):
            assert not await accepts(worker, earlier)
            assert not await accepts(worker, same)
            assert await accepts(worker, later)
        claims = running(auth).verifier.verify(later, clock.now)
        assert (claims.issued_at, claims.not_before) == (NOW + 1, NOW)
        clock.now = NOW + 1
        assert running(auth).verifier.verify(auth.issue_token(ADA), clock.now).issued_at == NOW + 1


async def test_several_combine_as_the_latest(settings: Settings, engine: AsyncEngine) -> None:
    """Whoever adds them, in whatever order: followed or read whole."""
    await add_people(engine)
    clock = FakeClock(NOW)
    async with AuthManager(quiet(settings), clock=clock.clock) as auth:
        tokens = {}
        for age in (400, 300, 200, 100, 0):
            clock.now = NOW - age
            tokens[age] = auth.issue_token(ADA)
        for number, age in enumerate((300, 200, 400), 1):
            async with engine.begin() as connection:
                row = {"id": 1000 + number} if connection.dialect.name != "postgresql" else {}
                values = {"user_id": ADA, "at": NOW - age, "reason": "logout"}
                await connection.execute(insert(cutoffs).values(row | values))
            await poll(auth)
            assert await accepts(auth, tokens[300]) is False
        accepted = [age for age, token in tokens.items() if await accepts(auth, token)]
        assert accepted == [100, 0]
        async with AuthManager(quiet(settings), clock=clock.clock) as fresh:
            assert [age for age, token in tokens.items() if await accepts(fresh, token)] == accepted


async def test_several_in_one_second(auth: AuthManager, engine: AsyncEngine) -> None:
    """A token issued between two carries the next second already; the second one ends it all the same, whoever sets
    it. (Where the machine is slow and it is not one second, there is nothing to it.)"""
    await add_people(engine)

    async def write(*statements: str) -> None:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.exec_driver_sql(f"UPDATE ab_user SET {statement} WHERE id = {ADA}")
        await poll(auth)

    await write("password = 'a'")
    for change in (
        write("active = false", "active = true"),
        auth.end_tokens(ADA),
        write("password = 'b'"),
        auth.end_tokens(ADA),
    ):
        token = auth.issue_token(ADA)
        assert await accepts(auth, token)
        await change
        assert not await accepts(auth, token)


# ── an id that is given again, and a hash that is upgraded ──


@SQLITE
@pytest.mark.parametrize("replace", [False, True])
async def test_the_next_user_of_an_id_is_not_the_former_one(
    auth: AuthManager, there: AuthManager, engine: AsyncEngine, replace: bool
) -> None:
    """SQLite gives the highest id again: a token of the deleted user does not open the new one's account."""
    await add_people(engine)
    token = auth.issue_token(EVE)
    assert await accepts(there, token)
    columns = "INTO ab_user (id, first_name, last_name, username, email, active)"
    async with engine.begin() as connection:
        if replace:
            row = f"({EVE}, '', '', 'next', 'next', true)"
            await connection.exec_driver_sql(f"REPLACE {columns} VALUES {row}")
        else:
            await connection.exec_driver_sql(f"DELETE FROM ab_user WHERE id = {EVE}")
            await connection.exec_driver_sql(f"INSERT {columns} VALUES (NULL, '', '', 'next', 'next', true)")
    for worker in (auth, there):
        await poll(worker)
        assert (await worker.get_user(EVE)).username == "next"
        assert not await accepts(worker, token)
        assert running(worker).cutoffs.deleted(EVE) > 0
        assert await accepts(worker, worker.issue_token(EVE))


async def test_who_is_deleted_stays_out(auth: AuthManager, engine: AsyncEngine) -> None:
    """Where ids are not given again too."""
    await add_people(engine)
    token = auth.issue_token(EVE)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"DELETE FROM ab_user WHERE id = {EVE}")
    await poll(auth)
    with pytest.raises(UnauthenticatedError):
        await auth.get_user_from_token(token)
    with pytest.raises(UserNotFoundError):
        await auth.get_user_from_token(auth.issue_token(EVE))


async def test_an_upgraded_hash_ends_nothing(auth: AuthManager, engine: AsyncEngine) -> None:
    """It is the same password; and it leaves nothing behind that would cover a change by somebody else."""
    await add_people(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE ab_user SET password = 'old'")
        await connection.exec_driver_sql("UPDATE asyncauth_cutoff SET at = at - 100")
        await connection.exec_driver_sql("UPDATE asyncauth_change SET exp = exp - 100 WHERE kind = 'cutoff'")
    await poll(auth)
    token = auth.issue_token(ADA)
    async with engine.connect() as connection:
        assert await upgrade_hash(connection, ADA, "old", "new") is True
        assert await upgrade_hash(connection, ADA, "old", "other") is False
        await connection.commit()
        assert await connection.scalar(select(func.count()).select_from(rehashes)) == 0
        await poll(auth)
        assert await accepts(auth, token)
        await connection.execute(update(users).where(users.c.id == ADA).values(password="old"))
        await connection.execute(update(users).where(users.c.id == ADA).values(password="new"))
        await connection.commit()
    await poll(auth)
    assert not await accepts(auth, token)
