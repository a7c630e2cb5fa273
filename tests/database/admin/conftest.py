"""What the tests of administration share: an administrator, a person with one role, and cheap password hashes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, passwords
from asyncauth.admin import Actor
from asyncauth.passwords import Scheme
from tests.managers import quiet
from tests.rows import add_role, add_user
from tests.sharing import auth, database, engine, one_of_each, reused

__all__ = ["auth", "database", "engine", "one_of_each", "reused"]

READ, EDIT = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")
MANAGE = ("can_edit", "Roles")
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)


@dataclass(frozen=True)
class People:
    """Who is there: root is the only administrator, ada holds Viewer (READ), clerk holds Clerk (READ and EDIT)."""

    root: Actor
    ada: Actor
    clerk: Actor


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[AuthManager]:
    """Another worker on the same database."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)


@pytest.fixture
async def people(engine: AsyncEngine) -> People:
    """See there."""
    async with engine.begin() as connection:
        admin = await add_role(connection, "Admin", [MANAGE])
        viewer = await add_role(connection, "Viewer", [READ])
        clerk = await add_role(connection, "Clerk", [READ, EDIT])
        ids = {
            name: await add_user(connection, name, roles=[role])
            for name, role in (("root", admin), ("ada", viewer), ("clerk", clerk))
        }
    return People(**{name: Actor(user_id, name, "192.0.2.1") for name, user_id in ids.items()})
