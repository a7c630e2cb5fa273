"""How many statements each step sends: counted, whatever the number of roles and permissions."""

from typing import Any
from unittest.mock import patch

import aiosqlite
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from tests.managers import poll, quiet, running
from tests.rows import add_group, add_many, add_role, add_user
from tests.statements import count_statements


async def make_people(engine: AsyncEngine, *, roles: int, permissions: int, groups: int = 0) -> list[int]:
    """Three users: the first two hold the same roles, some through groups, and the third others."""
    async with engine.begin() as connection:
        made = []
        for number in range(roles * 2):
            made.append(await add_role(connection, f"role {number}"))
            await add_many(connection, made[-1], "can_read", [f"DAG:{number}-{one}" for one in range(permissions)])
        direct, through = made[groups:roles], made[:groups]
        people = [await add_user(connection, name, roles=direct) for name in ("ada", "bob")]
        people.append(await add_user(connection, "eve", roles=made[roles:]))
        for role in through:
            await add_group(connection, f"group {role}", members=people[:2], roles=[role])
    return people


async def test_a_warm_request_sends_nothing_and_waits_for_nothing(auth: AuthManager, engine: AsyncEngine) -> None:
    """Token in, decision out: no statement, and not one turn of the event loop, revocation and expiry included."""
    ada, *_ = await make_people(engine, roles=2, permissions=3)
    token = auth.issue_token(ada)
    first = await auth.get_user_from_token(token)
    with count_statements() as statements:
        for request in (auth.get_user_from_token(token), auth.get_user(ada), auth.deserialize_user({"sub": str(ada)})):
            with pytest.raises(StopIteration) as ended:
                request.send(None)
            assert ended.value.value is first
        user = auth.find_user_from_token(token)
        assert user is first
        assert auth.current(first) is first
        assert auth.decide(first, "can_read", "DAG:0-0")
    assert statements == []


@pytest.mark.parametrize("group_roles", [True, False])
@pytest.mark.parametrize(("roles", "permissions"), [(1, 1), (3, 40), (20, 400)])
async def test_a_cold_request_sends_few(
    settings: Settings, engine: AsyncEngine, roles: int, permissions: int, group_roles: bool
) -> None:
    """At most 4 statements when nothing is known, at most 2 when the roles are, whatever their number."""
    ada, bob, eve = await make_people(engine, roles=roles, permissions=permissions, groups=roles // 2)
    async with AuthManager(quiet(settings, group_roles=group_roles)) as auth:
        with count_statements() as statements:
            user = await auth.get_user(ada)
        assert len(statements) <= 4
        assert sum(len(role.keys) for role in user.roles) == permissions * (
            roles if group_roles else roles - roles // 2
        )
        with count_statements() as statements:
            assert (await auth.get_user(bob)).roles is user.roles
        assert len(statements) <= 2
        with count_statements() as statements:
            assert sum(len(role.keys) for role in (await auth.get_user(eve)).roles) == permissions * roles
        assert len(statements) <= 4


async def test_a_user_without_roles_sends_no_more(auth: AuthManager, engine: AsyncEngine) -> None:
    """Nobody, and somebody without roles, cost at most 2 statements."""
    async with engine.begin() as connection:
        ada = await add_user(connection)
    for user_id in (ada, ada + 1):
        with count_statements() as statements:
            await auth.get_user(user_id) if user_id == ada else await refused(auth, user_id)
        assert 1 <= len(statements) <= 2


async def refused(auth: AuthManager, user_id: int) -> None:
    """Ask for somebody who is not there."""
    with pytest.raises(Exception, match="does not exist"):
        await auth.get_user(user_id)


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_sqlite_is_asked_few_times(auth: AuthManager, engine: AsyncEngine) -> None:
    """Each way to aiosqlite's thread costs as much as a statement: BEGIN, three statements and ROLLBACK take five."""
    ada, *_ = await make_people(engine, roles=3, permissions=20)
    await poll(auth)
    ways = []
    original: Any = aiosqlite.Connection._execute

    async def execute(*given: Any) -> Any:
        ways.append(given)
        return await original(*given)

    with patch.object(aiosqlite.Connection, "_execute", execute):
        await auth.get_user(ada)
    assert len(ways) == 5


async def test_a_poll_sends_one(auth: AuthManager) -> None:
    """Asking for changes and revocations together is one statement when there is nothing new."""
    with count_statements() as statements:
        await poll(auth)
    assert len(statements) == 1


async def test_starting_sends_few(settings: Settings) -> None:
    """Whether the tables and the triggers stand, what the triggers look like, where the log ends, what is revoked or
    cut off, and one look."""
    async with AuthManager(quiet(settings)) as auth:
        assert running(auth).users.position.last == 0
    with count_statements() as statements:
        async with AuthManager(quiet(settings)):
            pass
    assert len(statements) <= 30  # SQLite and MariaDB are asked for the columns of each of 20 tables
