"""Many processes upgrade one database at the same time: one of them does it, and none fails."""

import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest
from sqlalchemy import Connection, create_engine

from asyncauth.db import lock
from asyncauth.db.lock import upgrade_lock
from asyncauth.db.migrate import check, upgrade
from asyncauth.errors import ConfigurationError
from tests.airflow.describe import describe
from tests.databases import BACKENDS, Database, Databases

PROCESSES = 8
WORKER = """
import sys, anyio
from asyncauth.db.migrate import upgrade
print("ready", flush=True)
for url in sys.stdin:
    print(anyio.run(upgrade, url.strip()), flush=True)
"""


class Crew:
    """Processes that upgrade whatever database they are told, all at once."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", WORKER]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        assert self.answers() == ["ready"] * PROCESSES

    def upgrade(self, url: str) -> list[str]:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{url}\n")
            process.stdin.flush()
        return self.answers()

    def answers(self) -> list[str]:
        """One line from each; its complaint from one that failed."""
        lines = []
        for process in self.processes:
            assert process.stdout is not None
            assert process.stderr is not None
            lines.append(process.stdout.readline().strip() or process.stderr.read())
        return lines

    def close(self) -> str:
        """End all; returns what they complained about."""
        return "".join(process.communicate(timeout=20)[1] for process in self.processes)


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    assert made.close() == ""


@pytest.mark.parametrize(
    "backend", [*BACKENDS, "postgresql+psycopg2", "mysql+pymysql", "sqlite+pysqlite"], indirect=True
)
def test_one_does_it_and_none_fails(
    crew: Crew, databases: Databases, backend: str, database: Database, full: bool
) -> None:
    expected = describe(database)
    for _ in range(20 if full else 2):
        empty = databases.empty(backend)
        assert sorted(crew.upgrade(empty.url)) == ["False"] * (PROCESSES - 1) + ["True"]
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
