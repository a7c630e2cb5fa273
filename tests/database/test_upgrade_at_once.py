"""Many processes upgrade one database at the same time: one of them does it, and none fails."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from sqlalchemy import Connection, create_engine

from asyncauth.db import lock
from asyncauth.db.lock import upgrade_lock
from asyncauth.db.migrate import check, upgrade
from asyncauth.errors import ConfigurationError
from tests.airflow.describe import describe
from tests.database.crew import Crew
from tests.databases import BACKENDS, Database, Databases

PROCESSES = 8


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    made = Crew("asyncauth.db.migrate", "upgrade", PROCESSES)
    yield made
    assert made.close() == ""


@pytest.mark.parametrize(
    "backend", [*BACKENDS, "postgresql+psycopg2", "mysql+pymysql", "sqlite+pysqlite"], indirect=True
)
def test_one_does_it_and_none_fails(
    crew: Crew, databases: Databases, backend: str, database: Database, full: bool
) -> None:
    expected = describe(database)
    for _ in range(20 if full else 1):
        empty = databases.empty(backend)
        assert crew.call(empty.url) == ["False"] * (PROCESSES - 1) + ["True"]
        assert describe(empty) == expected
        empty.host.drop_database(empty.name)


async def test_one_task_does_it_and_none_fails(empty_database: Database) -> None:
    done: list[bool] = []

    async def run() -> None:
        done.append(await upgrade(empty_database.url))

    async with anyio.create_task_group() as tasks:
        for _ in range(PROCESSES):
            tasks.start_soon(run)
    assert sorted(done) == [False] * (PROCESSES - 1) + [True]


async def test_a_cancelled_upgrade_is_out_of_the_way(empty_database: Database) -> None:
    begun = anyio.Event()

    async def run() -> None:
        begun.set()
        await upgrade(empty_database.url)

    for delay in (0, 0.005, 0.02, 0.05):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await begun.wait()
            await anyio.sleep(delay)
            tasks.cancel_scope.cancel()
    await upgrade(empty_database.url)
    assert all(finding.ok for finding in await check(empty_database.url))


def test_many_begin_a_new_file_at_once(databases: Databases) -> None:
    """SQLite fails one of two who give it its log at once. In few rounds, so there are many."""

    def begin(url: str) -> None:
        engine = create_engine(url)
        with engine.connect() as connection:
            everybody.wait()
            with upgrade_lock(connection):
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS begun (id INTEGER)")
        engine.dispose()

    everybody = threading.Barrier(PROCESSES)
    with ThreadPoolExecutor(PROCESSES) as pool:
        for _ in range(150):
            database = databases.empty("sqlite+aiosqlite")
            for done in [pool.submit(begin, database.sync_url) for _ in range(PROCESSES)]:
                done.result()
            database.host.drop_database(database.name)


@pytest.fixture
def holder(empty_database: Database) -> Iterator[Connection]:
    """A connection that can hold the lock of `empty_database`."""
    engine = create_engine(empty_database.sync_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_wait_has_an_end(empty_database: Database, holder: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0)
    with upgrade_lock(holder), pytest.raises(ConfigurationError, match="another process"):
        anyio.run(upgrade, empty_database.url)
    assert anyio.run(upgrade, empty_database.url) is True


def test_another_database_of_the_server_is_not_locked(
    databases: Databases, backend: str, holder: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0)
    other = databases.empty(backend)
    with upgrade_lock(holder):
        assert anyio.run(upgrade, other.url) is True
    other.host.drop_database(other.name)


def test_the_timeout_of_a_connection_is_as_it_was(databases: Databases) -> None:
    database = databases.empty("sqlite+aiosqlite")
    engine = create_engine(f"{database.sync_url}?timeout=3")
    with engine.connect() as connection:
        with upgrade_lock(connection):
            pass
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 3000
    engine.dispose()
    database.host.drop_database(database.name)
