"""A role by its name: one load, then from memory, and as fresh as any user."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.tables import roles
from asyncauth.errors import StaleError, UnknownRoleError
from asyncauth.model import permission_key
from tests.managers import FakeClock, poll, quiet
from tests.rows import add_permission, add_role, grant, take
from tests.statements import count_statements

READ = ("can_read", "DAGs")


@pytest.fixture
async def role_id(engine: AsyncEngine) -> int:
    """The role `Public`, which may read."""
    async with engine.begin() as connection:
        return await add_role(connection, "Public", [READ])


async def test_one_load_for_many_then_none(auth: AuthManager, role_id: int, engine: AsyncEngine) -> None:
    """Fifty at once share two statements; afterwards there is no SQL, in any thread."""
    with count_statements() as statements:
        found = await asyncio.gather(*(auth.get_role("Public") for _ in range(50)))
    assert {role.id for role in found} == {role_id}
    assert found[0].keys == {permission_key(*READ)}
    assert len(statements) <= 4  # BEGIN and SET TRANSACTION among them, where there are any
    with count_statements() as statements:
        assert await auth.get_role("Public") == found[0]
        assert await asyncio.to_thread(auth.find_role, "Public") == found[0]
    assert statements == []


async def test_changes_are_seen(auth: AuthManager, role_id: int, engine: AsyncEngine) -> None:
    """Of another program's: a permission more, one less, a new name."""
    await auth.get_role("Public")
    async with engine.begin() as connection:
        await take(connection, role_id, await add_permission(connection, *READ))
        await grant(connection, role_id, "can_read", "Pools")
    await poll(auth)
    assert (await auth.get_role("Public")).keys == {permission_key("can_read", "Pools")}
    async with engine.begin() as connection:
        await connection.execute(update(roles).where(roles.c.id == role_id).values(name="Other"))
    await poll(auth)
    assert auth.find_role("Public") is None
    with pytest.raises(UnknownRoleError):
        await auth.get_role("Public")


async def test_the_name_counts_to_the_letter(auth: AuthManager, role_id: int) -> None:
    """On MariaDB and SQLite too, whose collations or queries may fold case."""
    for name in ("public", "Públic", "nobody", ""):
        with pytest.raises(UnknownRoleError):
            await auth.get_role(name)


@pytest.fixture
async def clock(settings: Settings) -> AsyncIterator[tuple[AuthManager, FakeClock]]:
    """A manager whose clock stands still."""
    fake = FakeClock()
    async with AuthManager(quiet(settings), clock=fake.clock) as manager:
        yield manager, fake


async def test_without_proof_nobody_knows(clock: tuple[AuthManager, FakeClock], role_id: int) -> None:
    """As with users: 503, not an old answer."""
    auth, fake = clock
    await auth.get_role("Public")
    fake.advance(auth.settings.max_staleness_seconds + 1)
    with pytest.raises(StaleError):
        auth.find_role("Public")
