"""Ending a token: here at once, on other workers with the next poll, in our table or in Airflow's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, event, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from asyncauth import AuthManager, Settings
from asyncauth.db.migrate import upgrade
from asyncauth.db.tables import airflow_revocations, revocations
from asyncauth.errors import ExpiredTokenError, ImmatureTokenError, RevokedTokenError, SignatureError, TokenError
from asyncauth.tasks import BACKGROUND
from tests.databases import Database
from tests.forge import NOW, claims, forge
from tests.managers import FakeClock, poll, quiet, running
from tests.rows import add_user
from tests.sharing import on_sqlite
from tests.statements import count_statements
from tests.waiting import until

HEX = "0123456789abcdef" * 2
AIRFLOWS = {  # as Airflow's own migration makes it
    "sqlite": "CREATE TABLE revoked_token (jti VARCHAR(32) NOT NULL PRIMARY KEY, exp TIMESTAMP NOT NULL)",
    "postgresql": "CREATE TABLE revoked_token (jti VARCHAR(32) PRIMARY KEY, exp TIMESTAMP WITH TIME ZONE NOT NULL)",
    "mysql": "CREATE TABLE revoked_token (jti VARCHAR(32) NOT NULL PRIMARY KEY, exp TIMESTAMP(6) NOT NULL)",
}
AS_AIRFLOW_WRITES = {
    "sqlite": "INSERT INTO revoked_token VALUES ('{jti}', strftime('%Y-%m-%d %H:%M:%S.000000', {exp}, 'unixepoch'))",
    "postgresql": "INSERT INTO revoked_token VALUES ('{jti}', to_timestamp({exp}))",
    "mysql": "INSERT INTO revoked_token VALUES ('{jti}', from_unixtime({exp}))",
}


@dataclass
class Worker:
    """A started manager with a clock of its own, and tokens for a user that exists."""

    auth: AuthManager
    clock: FakeClock
    user: int

    def token(self, jti: str = HEX, exp: int = NOW + 60, **changes: object) -> str:
        """A good token with this id."""
        return forge(claims(sub=str(self.user), jti=jti, exp=exp, **changes))

    async def accepts(self, token: str) -> bool:
        """Whether a token is accepted; every way to ask says the same."""
        try:
            await self.auth.get_user_from_token(token)
        except RevokedTokenError:
            with pytest.raises(RevokedTokenError):
                self.auth.find_user_from_token(token)
            with pytest.raises(RevokedTokenError):
                await self.auth.deserialize_user(running(self.auth).verifier.verify(token, self.clock.now))
            return False
        return self.auth.find_user_from_token(token) is not None


@pytest.fixture
def revoking(settings: Settings) -> Settings:
    """Settings for the tokens that `tests.forge` makes; with a second issuer."""
    changes = {"jwt_issuer": ("tests", "second"), "jwt_audience": "api", "jwt_leeway_seconds": 10}
    return quiet(settings, **changes)


@pytest.fixture
async def beside(request: pytest.FixtureRequest, engine: AsyncEngine) -> bool:
    """Whether Airflow's table stands."""
    stands: bool = getattr(request, "param", False)
    if stands:
        async with engine.begin() as connection:
            await connection.execute(text(AIRFLOWS[engine.dialect.name]))
    return stands


both = pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside Airflow"], indirect=True)


@pytest.fixture
async def user(engine: AsyncEngine) -> int:
    """Somebody to make tokens for."""
    async with engine.begin() as connection:
        return await add_user(connection)


async def start(settings: Settings, user: int) -> AsyncIterator[Worker]:
    """A worker."""
    clock = FakeClock()
    async with AuthManager(settings, clock=clock.clock) as auth:
        yield Worker(auth, clock, user)


@pytest.fixture
async def here(beside: bool, revoking: Settings, user: int) -> AsyncIterator[Worker]:
    """The worker that revokes."""
    async for worker in start(revoking, user):
        yield worker


@pytest.fixture
async def there(beside: bool, revoking: Settings, user: int) -> AsyncIterator[Worker]:
    """Another worker on the same database."""
    async for worker in start(revoking, user):
        yield worker


async def stored(engine: AsyncEngine, *, beside: bool) -> tuple[set[tuple[str, str]], set[str]]:
    """What the two tables hold."""
    async with engine.connect() as connection:
        rows = (await connection.execute(select(revocations.c.iss, revocations.c.jti))).all()
        airflows = (await connection.scalars(select(airflow_revocations.c.jti))).all() if beside else []
    return {(iss, jti) for iss, jti in rows}, set(airflows)


@both
async def test_a_revoked_token_is_refused_everywhere(here: Worker, there: Worker) -> None:
    """Where it was revoked at once, on the other worker after its next poll; other tokens live on."""
    token, other = here.token(), here.token("0" * 32)
    for worker in (here, there):
        assert await worker.accepts(token)
        assert await worker.accepts(other)
    await here.auth.revoke_token(token)
    assert not await here.accepts(token)
    assert await there.accepts(token)
    await poll(there.auth)
    assert not await there.accepts(token)
    for worker in (here, there):
        await poll(worker.auth)
        assert await worker.accepts(other)
        assert not await worker.accepts(token)


async def test_a_new_worker_knows_from_the_start(here: Worker, revoking: Settings, user: int) -> None:
    """A manager that starts reads the revocations before it answers anything."""
    token = here.token()
    await here.auth.revoke_token(token)
    async for worker in start(revoking, user):
        assert not await worker.accepts(token)


@both
async def test_revoking_twice_is_no_error(here: Worker, there: Worker) -> None:
    """Neither one after the other, nor at once on two workers."""
    token = here.token()
    for _ in range(2):
        await here.auth.revoke_token(token)
    await asyncio.gather(*(worker.auth.revoke_token(token) for worker in (here, there) for _ in range(3)))
    assert not await there.accepts(token)


@on_sqlite
async def test_what_can_be_revoked(here: Worker) -> None:
    """A token of ours, expired ones included; nothing else."""
    await here.auth.revoke_token(here.token(exp=NOW - 60))
    for bad in (None, "", "x", here.token() + "x"):
        with pytest.raises(TokenError):
            await here.auth.revoke_token(bad)
    with pytest.raises(SignatureError):
        await here.auth.revoke_token(forge(claims(), secret="another"))


@on_sqlite
@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_that_is_not_valid_yet_can_be_revoked(here: Worker, claim: str) -> None:
    """It stays so when its time comes."""
    when: dict[str, Any] = {claim: NOW + 30}
    token = here.token(**when)
    with pytest.raises(ImmatureTokenError):
        await here.accepts(token)
    assert await here.auth.revoke_token(token)
    here.clock.now = NOW + 31
    assert not await here.accepts(token)
    assert await here.accepts(here.token("other", **when))


@both
@on_sqlite
async def test_a_revocation_outlives_its_token(here: Worker, there: Worker) -> None:
    """Through the leeway, in which the token would still pass, the answer is no on both workers; then it is expired."""
    token = here.token()
    await here.auth.revoke_token(token)
    await poll(there.auth)
    for passed in (59, 60, 69):
        for worker in (here, there):
            worker.clock.now = NOW + passed
            await poll(worker.auth)
            assert not await worker.accepts(token)
    for worker in (here, there):
        worker.clock.now = NOW + 70
        await poll(worker.auth)
        with pytest.raises(ExpiredTokenError):
            await worker.accepts(token)


@both
async def test_where_it_is_stored(here: Worker, engine: AsyncEngine, beside: bool) -> None:
    """Tokens shaped like Airflow's go to Airflow's table where it stands; all others, whatever their name, to ours."""
    airflows = [here.token(), here.token("0" * 32, iss="second"), here.token("abc")]
    ours = [
        here.token("not-hex"),
        here.token("g" * 32),
        here.token("a" * 33),
        here.token("x" * 128),
        here.token("1" * 31 + "'"),
        here.token("2" * 32, exp=2**31),
        here.token("3" * 32, exp=2**53 - 1),
        here.token("!~", iss="second"),
    ]
    for token in (*airflows, *ours):
        await here.auth.revoke_token(token)
        assert not await here.accepts(token)
    own, shared = await stored(engine, beside=beside)
    expected = {HEX, "0" * 32, "abc"}
    assert shared == (expected if beside else set())
    assert len(own) == len(ours) + (0 if beside else len(airflows))
    assert ("second", "!~") in own


@both
async def test_all_of_them_arrive(here: Worker, there: Worker) -> None:
    """Ids of every shape, times up to the last: another worker learns each of them, exactly."""
    tokens = [
        here.token(jti, exp=exp)
        for jti, exp in (
            (HEX, NOW + 1),
            ("a", NOW + 60),
            ("!~'\"\\%", 2**31 - 1),
            ("b" * 32, 2**31 - 1),
            ("c", 2**53 - 1),
        )
    ]
    for token in tokens:
        assert await there.accepts(token)
        await here.auth.revoke_token(token)
    await poll(there.auth)
    for token in tokens:
        assert not await there.accepts(token)


async def test_case_counts_in_our_table(here: Worker, there: Worker) -> None:
    """`x-a` and `x-A` are two tokens, also for MariaDB."""
    small, large = here.token("x-a"), here.token("x-A")
    await here.auth.revoke_token(small)
    await poll(there.auth)
    assert not await there.accepts(small)
    assert await there.accepts(large)
    await here.auth.revoke_token(large)
    await poll(there.auth)
    assert not await there.accepts(large)


@both
async def test_two_ids_that_differ_in_case_are_both_revoked(here: Worker, there: Worker) -> None:
    """In Airflow's table MariaDB holds them for one key, so the second is not stored: it is refused all the same."""
    for jti in ("ab" * 16, "AB" * 16, "aB" * 16):
        await here.auth.revoke_token(here.token(jti))
    await poll(there.auth)
    for jti in ("ab" * 16, "AB" * 16, "aB" * 16):
        assert not await there.accepts(here.token(jti))


async def test_the_same_id_of_another_issuer(here: Worker, there: Worker) -> None:
    """In our table a revocation names one issuer's token."""
    await here.auth.revoke_token(here.token("x-1"))
    await poll(there.auth)
    assert not await there.accepts(there.token("x-1"))
    assert await there.accepts(there.token("x-1", iss="second"))


# ── written by others ──


@pytest.mark.parametrize("beside", [True], indirect=True)
async def test_what_airflow_revokes(there: Worker, engine: AsyncEngine) -> None:
    """Its rows are seen with the next poll, whatever shape the id has, and the expiry is read to the second."""
    for jti in (HEX, "my-token"):
        token = there.token(jti)
        assert await there.accepts(token)
        await write(engine, jti, NOW + 60)
        await poll(there.auth)
        assert not await there.accepts(token)
    there.clock.now = NOW + 60
    await poll(there.auth)
    assert not await there.accepts(there.token())


async def write(engine: AsyncEngine, jti: str, exp: int) -> None:
    """Revoke as Airflow does."""
    async with engine.begin() as connection:
        await connection.execute(
            text(AS_AIRFLOW_WRITES[engine.dialect.name].format(jti=jti, exp=exp).replace(":", "\\:"))
        )


@pytest.mark.parametrize("upgraded", [False, True])
async def test_airflow_makes_its_table_after_us(there: Worker, engine: AsyncEngine, upgraded: bool) -> None:
    """A running manager notices it with its next look at the triggers, whether there is one on it or not, and from then
    on reads and writes there."""
    async with engine.begin() as connection:
        await connection.execute(text(AIRFLOWS[engine.dialect.name]))
    await write(engine, HEX, NOW + 60)
    if upgraded:
        await upgrade(engine)
    await running(there.auth).upkeep.check_triggers()
    assert not await there.accepts(there.token())
    await write(engine, "ab", NOW + 60)
    await poll(there.auth)
    assert not await there.accepts(there.token("ab"))
    await there.auth.revoke_token(there.token("cd"))
    assert "cd" in (await stored(engine, beside=True))[1]


@pytest.mark.parametrize("beside", [True], indirect=True)
async def test_airflow_reads_what_we_revoke(here: Worker, engine: AsyncEngine) -> None:
    """The row is the one that Airflow would have written, to the microsecond."""
    await here.auth.revoke_token(here.token())
    async with engine.connect() as connection:
        ours = (await connection.execute(text("SELECT exp FROM revoked_token"))).scalar_one()
    await write(engine, "theirs", NOW + 60)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT exp FROM revoked_token"))).scalars().all()
    assert rows == [ours, ours]


ZONES = {"postgresql": "SET TIME ZONE 'Asia/Kolkata'", "mysql": "SET time_zone = '+05:30'"}


@pytest.mark.parametrize("beside", [True], indirect=True)
@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
async def test_the_time_zone_of_a_connection_changes_nothing(
    revoking: Settings, user: int, there: Worker, engine: AsyncEngine, database: Database
) -> None:
    """An application's engine whose connections live in another time zone writes and reads revocations right."""
    eastern = create_async_engine(database.url)

    @event.listens_for(eastern.sync_engine, "connect")
    def _set(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(ZONES[engine.dialect.name])
        cursor.close()

    clock = FakeClock()
    try:
        async with AuthManager(revoking, engine=eastern, clock=clock.clock) as auth:
            worker = Worker(auth, clock, user)
            await auth.revoke_token(worker.token())
            await poll(there.auth)
            assert not await there.accepts(there.token())
            await there.auth.revoke_token(there.token("0" * 32))
            await poll(auth)
            assert not await worker.accepts(worker.token("0" * 32))
    finally:
        await eastern.dispose()


async def test_one_row_in_the_place_of_another(here: Worker, engine: AsyncEngine) -> None:
    """A revocation that appears while another row goes, as after a restore, is seen although their number is the same;
    and what was revoked once stays so."""
    first, second = here.token("x-first"), here.token("x-second", exp=NOW + 70)
    await here.auth.revoke_token(first)
    await poll(here.auth)
    async with engine.begin() as connection:
        await connection.execute(delete(revocations))
        await connection.execute(insert(revocations).values(iss="tests", jti="x-second", exp=NOW + 70))
    await poll(here.auth)
    assert not await here.accepts(second)
    assert not await here.accepts(first)


@on_sqlite
async def test_rows_that_are_deleted_stay_revoked_and_cost_nothing(here: Worker, engine: AsyncEngine) -> None:
    """A revocation is final. The next polls are one statement each again, until its token has expired too."""
    tokens = [here.token(f"x-{number}", exp=NOW + 50 + number) for number in range(3)]
    for token in tokens:
        await here.auth.revoke_token(token)
    async with engine.begin() as connection:
        await connection.execute(delete(revocations).where(revocations.c.jti == "x-1"))
    await poll(here.auth)
    for now in (NOW + 1, NOW + 49):
        here.clock.now = now
        with count_statements() as statements:
            await poll(here.auth)
        assert len(statements) == 1
    assert not any([await here.accepts(token) for token in tokens])
    async with engine.begin() as connection:
        await connection.execute(insert(revocations).values(iss="tests", jti="x-new", exp=NOW + 51))
    await poll(here.auth)
    assert not await here.accepts(here.token("x-new"))


@on_sqlite
async def test_expired_rows_cost_nothing(here: Worker, engine: AsyncEngine) -> None:
    """Rows of expired tokens, however many, are neither read nor kept in mind."""
    async with engine.begin() as connection:
        rows = [{"iss": "tests", "jti": f"x-{number}", "exp": NOW - number} for number in range(50)]
        await connection.execute(insert(revocations), rows)
    with count_statements() as statements:
        await poll(here.auth)
    assert len(statements) == 1


@on_sqlite
async def test_a_revocation_during_a_poll(here: Worker) -> None:
    """A token revoked here while a poll is under way, which does not show it yet, is not forgotten by it."""
    for number in range(10):
        token = here.token(f"x-{number}")
        assert await here.accepts(token)
        await asyncio.gather(poll(here.auth), here.auth.revoke_token(token), poll(here.auth))
        assert not await here.accepts(token)
        await poll(here.auth)
        assert not await here.accepts(token)


@both
async def test_a_cancelled_revocation_is_done(here: Worker, engine: AsyncEngine, beside: bool) -> None:
    """A client that goes away after asking has its token ended all the same."""
    token = here.token()
    caller = asyncio.create_task(here.auth.revoke_token(token))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    tasks = running(here.auth).tasks
    await until(lambda: {task.get_name() for task in tasks._running} == {BACKGROUND})
    assert not await here.accepts(token)
    table = airflow_revocations if beside else revocations
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(table)) == 1
