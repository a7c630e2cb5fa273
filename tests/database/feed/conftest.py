"""What the tests of the change log share: databases used by one after the other, and managers that look when told."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.engine import make_engine
from asyncauth.db.tables import fab
from tests.database.look import DIALECTS
from tests.databases import Database, Databases
from tests.managers import quiet
from tests.reuse import Reused
from tests.servers.base import ADMIN


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
    """A database without rows. For tests that leave the triggers alone."""
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
def account(database: Database) -> Iterator[str]:
    """An account that may read and write FAB's tables, and nothing else. Its password is its name."""
    if database.host.dialect == "sqlite":
        yield ADMIN
        return
    name = f"writer_{database.name}"
    if database.host.dialect == "postgresql":
        make = [f"CREATE ROLE {name} LOGIN PASSWORD '{name}'"]
        make += [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}" for table in fab.tables]
        drop = [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]
    else:
        make = [f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}'"]
        make += [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}@'127.0.0.1'" for table in fab.tables]
        drop = [f"DROP USER {name}@'127.0.0.1'"]
    database.server.execute(*make, database=database.name)
    yield name
    database.server.execute(*drop, database=database.name)
