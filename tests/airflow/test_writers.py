"""Airflow's own programs change users and roles, knowing nothing of us: a manager that runs beside them sees each
change at its next look at the log, drops what changed and nothing else."""

from collections.abc import AsyncIterator, Awaitable

import pytest

from asyncauth import AuthManager, Settings, User
from asyncauth.errors import RevokedTokenError, UserInactiveError, UserNotFoundError
from tests.airflow.process import Airflow
from tests.managers import poll, quiet

RESOURCE = "DAG:fay"
USER = "--username fay --firstname Fay --lastname W --email fay@airflow.example --password secret --role Public"


class Beside:
    """A running manager, and Airflow's programs at work."""

    def __init__(self, auth: AuthManager, airflow: Airflow) -> None:
        self.auth = auth
        self.airflow = airflow
        self.user_id = 0

    async def run(self, line: str) -> None:
        """Run an `airflow` command."""
        await self.airflow.ask("cli", line=line.split())

    async def see(self) -> User:
        """The user after a look."""
        await poll(self.auth)
        return await self.auth.get_user(self.user_id)

    async def ends(self, change: Awaitable[object]) -> bool:
        """Whether a change ends a token that was issued before it."""
        token = self.auth.issue_token(self.user_id)
        await change
        await poll(self.auth)
        try:
            await self.auth.get_user_from_token(token)
        except RevokedTokenError:
            return True
        return False

    async def roles(self) -> list[str]:
        """The names of the roles held, after a look."""
        return sorted(role.name for role in (await self.see()).roles)

    async def may(self, action: str = "can_read") -> bool:
        """Whether the user may do something, after a look."""
        return bool(self.auth.decide(await self.see(), action, RESOURCE))


@pytest.fixture
async def beside(settings: Settings, airflow: Airflow) -> AsyncIterator[Beside]:
    """With a user and a role that Airflow's command line made, and took away in the end."""
    async with AuthManager(quiet(settings, database_timeout_seconds=10)) as auth:
        both = Beside(auth, airflow)
        await both.run(f"users create {USER}")
        await both.run("roles create Writers")
        both.user_id = (await auth.get_user(username="fay")).id
        yield both
        await both.run("roles delete Writers")


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
async def test_what_airflow_changes_is_seen(beside: Beside) -> None:
    """One thing after the other, by its command line, its REST API and its pages."""
    airflow, run = beside.airflow, beside.run
    assert await beside.roles() == ["Public"]

    await run("users add-role --username fay --role Writers")
    assert await beside.roles() == ["Public", "Writers"]

    assert not await beside.may()
    await airflow.ask("add_permission", role="Writers", action="can_read", resource=RESOURCE)
    assert await beside.may()
    await run(f"roles add-perms Writers --resource {RESOURCE} --action can_edit")
    assert await beside.may("can_edit")
    await run(f"roles del-perms Writers --resource {RESOURCE} --action can_read")
    assert not await beside.may()
    assert await beside.may("can_edit")

    pair = {"action": {"name": "can_delete"}, "resource": {"name": RESOURCE}}
    await airflow.ask("patch", name="Writers", role={"name": "Writers", "actions": [pair]})
    assert [await beside.may(action) for action in ("can_edit", "can_delete")] == [False, True]
    await airflow.ask("patch", name="fay", user={"first_name": "Faye", "roles": [{"name": "Writers"}]})
    assert (await beside.see()).first_name == "Faye"
    assert await beside.roles() == ["Writers"]

    await run("users remove-role --username fay --role Writers")
    assert await beside.roles() == []
    assert await beside.ends(airflow.ask("set_active", username="fay", active=False))
    with pytest.raises(UserInactiveError):
        await beside.see()
    assert not await beside.ends(airflow.ask("set_active", username="fay", active=True))
    assert await beside.roles() == []

    assert await beside.ends(run("users reset-password --username fay --password changed"))
    assert not await beside.ends(airflow.ask("check_login", username="fay", password="changed"))

    token = beside.auth.issue_token(beside.user_id)
    await airflow.ask("revoke", token=token)
    await poll(beside.auth)
    with pytest.raises(RevokedTokenError):
        await beside.auth.get_user_from_token(token)

    before = beside.auth.status()
    assert await airflow.ask("check_login", username="fay", password="changed")
    await beside.see()
    assert (beside.auth.status().changes, beside.auth.status().loads) == (before.changes, before.loads)

    assert await beside.ends(run("users delete --username fay"))
    with pytest.raises(UserNotFoundError):
        await beside.see()
    assert beside.auth.status().flushes == {}
