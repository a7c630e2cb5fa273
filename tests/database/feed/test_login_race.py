"""A login with the former password, or of somebody who has been switched off, while that change is made: it is refused,
or its token is older than the cut-off. Whatever the order, nothing slips through."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, passwords
from asyncauth.clock import Clock
from asyncauth.db.tables import cutoffs, users
from asyncauth.errors import LoginError, RevokedTokenError
from asyncauth.hasher import PasswordHasher
from asyncauth.login import database as login
from asyncauth.passwords import Scheme
from tests.database.feed.people import ADA, add_people
from tests.managers import FakeClock, poll, quiet, running

PASSWORD = "correct horse"
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)
HASH = f"scrypt:16:1:1$salt${CHEAP.compute(PASSWORD.encode(), 'salt')}"
OTHER = f"scrypt:16:1:1$tlas${CHEAP.compute(b'another', 'tlas')}"
CHANGES = (
    f"UPDATE ab_user SET password = '{OTHER}' WHERE id = {ADA}",
    f"UPDATE ab_user SET active = false WHERE id = {ADA}",
)
Hook = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
async def _people(monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine) -> None:
    """With a password for ada."""
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)
    await add_people(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE ab_user SET password = '{HASH}' WHERE id = {ADA}")
        await connection.exec_driver_sql("DELETE FROM asyncauth_cutoff")


async def run(engine: AsyncEngine, *statements: str) -> None:
    """In one transaction."""
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("change", CHANGES, ids=["password", "active"])
async def test_changed_while_the_password_is_checked(
    auth: AuthManager, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The hash was read before the change and is compared after it: the note finds nobody, and counts nothing."""
    check = PasswordHasher.check

    async def change_meanwhile(hasher: PasswordHasher, stored: str | None, password: str) -> bool:
        await run(engine, change)
        return await check(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "check", change_meanwhile)
    with pytest.raises(LoginError):
        await auth.login("ada", PASSWORD)
    async with engine.connect() as connection:
        assert await connection.scalar(select(users.c.login_count).where(users.c.id == ADA)) == 0


@pytest.mark.parametrize("change", CHANGES, ids=["password", "active"])
async def test_changed_and_not_yet_committed(auth: AuthManager, engine: AsyncEngine, change: str) -> None:
    """The login waits for the row, and finds it changed."""
    async with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
        await connection.exec_driver_sql(change)
        attempt = asyncio.create_task(auth.login("ada", PASSWORD))
        done, _ = await asyncio.wait([attempt], timeout=0.5)
        assert not done
        await connection.commit()
    with pytest.raises(LoginError):
        await attempt


@pytest.mark.parametrize("change", CHANGES, ids=["password", "active"])
async def test_changed_right_after_the_note(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The login goes through, and what comes out of it ends with the change: also if the token is signed much later."""
    note = login._note_success
    late = [0.0]

    async def and_then(*arguments: object) -> bool:
        noted = await note(*arguments)  # type: ignore[arg-type]
        late[0] = 3600
        await run(engine, change)
        return noted

    monkeypatch.setattr(login, "_note_success", and_then)
    clock = Clock(now=lambda: time.time() + late[0])
    async with AuthManager(quiet(settings), clock=clock) as auth:
        token = await auth.login("ada", PASSWORD)
        await run(engine, f"UPDATE ab_user SET active = true WHERE id = {ADA}")
        late[0] = 0
        await poll(auth)
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(token)


async def test_a_login_in_the_second_of_a_cut_off(settings: Settings, engine: AsyncEngine) -> None:
    """Whoever has just changed the password, or was logged out everywhere, logs in at once: the token carries the next
    second, also if this worker has not heard of the cut-off yet."""
    clock = FakeClock(1_700_000_000.2)
    settings = quiet(settings, jwt_leeway_seconds=0)
    async with AuthManager(settings, clock=clock.clock) as auth, AuthManager(settings, clock=clock.clock) as there:
        await auth.end_tokens(ADA)
        token = await there.login("ada", PASSWORD)
        assert running(there).cutoffs.latest(ADA) == -1
        assert running(there).verifier.verify(token, clock.now).issued_at == 1_700_000_001
        await poll(there)
        for worker in (auth, there):
            assert (await worker.get_user_from_token(token)).id == ADA


async def test_a_login_sets_none(auth: AuthManager, engine: AsyncEngine) -> None:
    """It writes the user's row, and neither a success nor a failure ends anything."""
    token = await auth.login("ada", PASSWORD)
    with pytest.raises(LoginError):
        await auth.login("ada", "guess")
    await auth.login("ada", PASSWORD)
    await poll(auth)
    assert (await auth.get_user_from_token(token)).id == ADA
    async with engine.connect() as connection:
        assert (await connection.execute(select(cutoffs.c.id))).all() == []
