"""A database that goes from test to test, another program's way to it, and a manager that looks when it is told."""

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.engine import make_engine
from tests.databases import Database, Databases
from tests.faults.feed.world import World, make_world
from tests.managers import quiet
from tests.reuse import Reused


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
    made = make_engine(database_url, pool_size=10, timeout_seconds=5)
    yield made
    await made.dispose()


@pytest.fixture
async def world(engine: AsyncEngine) -> World:
    """Two users, two roles, and a permission that moves with one of them."""
    return await make_world(engine)


@pytest.fixture
async def auth(settings: Settings, world: World) -> AsyncIterator[AuthManager]:
    """A started manager that looks at the log only when the test says so."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager
