"""Fixtures of all tests. One suite runs alike on each of `tests.databases.BACKENDS`."""

import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from inspect import iscoroutinefunction
from typing import cast

import pytest
from blockbuster import BlockBuster
from hypothesis import settings as hypothesis_settings

from asyncauth import AuthManager, Settings
from tests.blocking import no_blocking
from tests.compiled import compiled_once
from tests.databases import BACKENDS, FULL, Database, Databases
from tests.leaks import no_connection_left, no_task_left

SECRET = "a secret of the tests, long enough for HS512: 64 bytes, not one less"
NAME = "asyncauth-tests"
PATIENCE_SECONDS = 15.0
"""A busy machine must fail no test; those about deadlines set their own."""
OBJECTS_BETWEEN_COLLECTIONS = 20_000
# The same inputs in each run of `make test`; `make test-all` and `make fuzz` draw others each time.
hypothesis_settings.register_profile("patient", deadline=None, derandomize=not FULL)
hypothesis_settings.load_profile("patient")


def pytest_configure() -> None:
    """Let no setting of the machine reach the tests, and end the servers when somebody ends the run (SIGTERM)."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in list(os.environ):
        if name.startswith("ASYNCAUTH_") and not name.startswith("ASYNCAUTH_TEST_"):
            del os.environ[name]
    gc.disable()  # until all is imported


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is imported, through which it would go again and again for a tenth of the time
    of a run."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """SQLAlchemy's asyncio extension knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether to run with full numbers (`make test-all`) instead of those that fit into `make test`."""
    return FULL


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    with compiled_once():
        yield


@pytest.fixture(autouse=True)
def blocking() -> Iterator[BlockBuster]:
    """A blocking call on the event loop fails the test."""
    with no_blocking() as detector:
        yield detector


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    with no_task_left():
        yield


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    if iscoroutinefunction(cast("pytest.Function", request.node).obj):
        request.getfixturevalue("_no_task_left")
    with no_connection_left():
        yield


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """All databases of the run."""
    made = Databases()
    yield made
    made.close()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Dialect and driver. A test for some of them only says `@pytest.mark.parametrize("backend", …, indirect=True)`."""
    return cast("str", request.param)


@pytest.fixture
def database(databases: Databases, backend: str) -> Iterator[Database]:
    """A database of this test's own, with all tables and no rows of users, roles or permissions."""
    made = databases.migrated(backend)
    yield made
    made.host.drop_database(made.name)


@pytest.fixture
def database_url(database: Database) -> str:
    """Where `database` is, for an async engine."""
    return database.url


@pytest.fixture
def empty_database(databases: Databases, backend: str) -> Iterator[Database]:
    """A database of this test's own without tables."""
    made = databases.empty(backend)
    yield made
    made.host.drop_database(made.name)


@pytest.fixture
def empty_database_url(empty_database: Database) -> str:
    """Where `empty_database` is, for an async engine."""
    return empty_database.url


@pytest.fixture(scope="session")
def settings_of_all() -> Settings:
    """What the settings of all tests have in common. Made once: reading the environment takes milliseconds."""
    patient = {"database_timeout_seconds": PATIENCE_SECONDS, "password_queue_seconds": PATIENCE_SECONDS}
    return Settings(jwt_secret=SECRET, jwt_issuer=NAME, jwt_audience=NAME, **patient)


@pytest.fixture
def settings(settings_of_all: Settings, database_url: str) -> Settings:
    """Settings for `database`."""
    return settings_of_all.model_copy(update={"database_url": database_url})


@pytest.fixture
async def auth(settings: Settings) -> AsyncIterator[AuthManager]:
    """A started manager on `database`."""
    async with AuthManager(settings) as manager:
        yield manager
