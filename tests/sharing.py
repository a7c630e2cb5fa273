"""Fixtures of tests that leave the tables as they are: their databases go from one to the next. A conftest imports
those that it wants."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.engine import make_engine
from tests.conftest import PATIENCE_SECONDS
from tests.database.look import DIALECTS
from tests.databases import BACKENDS, FULL, Database, Databases
from tests.managers import quiet
from tests.reuse import Reused

on_sqlite = pytest.mark.parametrize("backend", BACKENDS if FULL else ["sqlite+aiosqlite"], indirect=True)
"""For what no database does differently; with full numbers on each all the same."""


@pytest.fixture(name="backend", params=BACKENDS if FULL else DIALECTS)
def one_of_each(request: pytest.FixtureRequest) -> str:
    """One driver for each dialect; where the driver matters a test says so. With full numbers, every driver."""
    return cast("str", request.param)


@pytest.fixture(scope="session")
def reused(databases: Databases) -> Reused:
    """The databases that these tests share."""
    return Reused(databases)


@pytest.fixture
def database(reused: Reused, backend: str) -> Iterator[Database]:
    """A database without rows. For tests that leave the triggers alone."""
    taken = reused.take(backend)
    yield taken
    reused.give_back(backend, taken)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Another program's way to the same database."""
    made = make_engine(database_url, pool_size=10, timeout_seconds=PATIENCE_SECONDS)
    yield made
    await made.dispose()


@pytest.fixture
async def auth(settings: Settings) -> AsyncIterator[AuthManager]:
    """A started manager that looks for changes only when the test says so."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager
