"""What the tests of administration share: an administrator, a person with one role, and cheap password hashes."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, passwords
from asyncauth.admin import Actor
from asyncauth.db.engine import make_engine
from asyncauth.passwords import Scheme
from tests.database.look import DIALECTS
from tests.databases import Database, Databases
from tests.managers import quiet
from tests.reuse import Reused
from tests.rows import add_role, add_user

READ, EDIT = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")
MANAGE = ("can_edit", "Roles")
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)


@dataclass(frozen=True)
class People:
    """Who is there: root is the only administrator, ada holds Viewer (READ), clerk holds Clerk (READ and EDIT)."""

    root: Actor
    ada: Actor
    clerk: Actor


@pytest.fixture(params=DIALECTS)
def backend(request: pytest.FixtureRequest) -> str:
    """One driver for each dialect; where the driver matters a test says so."""
    return cast("str", request.param)


@pytest.fixture(scope="session")
def reused(databases: Databases) -> Reused:
    """The databases that these tests share."""
    return Reused(databases)


@pytest.fixture
def database(reused: Reused, backend: str) -> Iterator[Database]:
    """A database without rows."""
    taken = reused.take(backend)
    yield taken
    reused.give_back(backend, taken)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Another program's way to the same database."""
    made = make_engine(database_url, pool_size=5, timeout_seconds=5)
    yield made
    await made.dispose()


@pytest.fixture
async def auth(settings: Settings) -> AsyncIterator[AuthManager]:
    """A started manager that looks for changes only when the test says so."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager


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
