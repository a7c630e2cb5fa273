"""Databases that the real Airflow made and filled, and servers on them, one with each auth manager."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest

from asyncauth.db.migrate import upgrade
from tests.airflow.process import Airflow, sync_url
from tests.apiserver.server import FAB, HOME, OURS, SECRETS, ApiServer
from tests.databases import Database, Databases

DAG_ROLE = "DAG readers"
"""What `home/dags` gives one DAG; the rest of it is here."""
DAG_ROLE_PAIRS = [
    ("can_read", "Website"),
    ("menu_access", "DAGs"),
    ("can_read", "DAG Runs"),
    ("can_create", "DAG Runs"),
    ("can_read", "Task Instances"),
]
ROLES = {"ada": "Admin", "otto": "Op", "uma": "User", "dora": DAG_ROLE, "vera": "Viewer", "pia": "Public"}
"""Who holds what. The first is also in a group with the role Op, which changes nothing."""
USERS = [
    {
        "username": name,
        "firstname": name.title(),
        "lastname": "Lovelace",
        "email": f"{name}@airflow.example",
        "password": f"the password of {name}",
        "role": role,
        "roles": [role],
        "active": True,
    }
    for name, role in ROLES.items()
]
RUN = "run_1"
OPTIONS: dict[str, Any] = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "50",  # with Airflow's default pool FAB hangs, which is for the bench
    "AIRFLOW__ASYNCAUTH__PASSWORD_QUEUE_SECONDS": "60",  # a busy machine must fail no test
    "AIRFLOW__ASYNCAUTH__DATABASE_TIMEOUT_SECONDS": "15",
    "AIRFLOW__ASYNCAUTH__MAX_ENTRY_AGE_SECONDS": "3600",  # and nothing has to be read again while it is watched
    "AIRFLOW__ASYNCAUTH__TRIGGER_CHECK_SECONDS": "3600",
    "AIRFLOW__ASYNCAUTH__DAG_SYNC_INTERVAL_SECONDS": "3600",  # once, at the start
}
"""Of servers that are about neither."""
DRIVERS = {"postgresql": "asyncpg", "mysql": "aiomysql"}
TEMPLATE = "template_airflow"


class Worlds:
    """Copies of a database that Airflow made, with users, roles and DAGs, and asyncauth's tables and triggers."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._made: set[str] = set()
        self._numbers = itertools.count(1)

    def copy(self, dialect: str) -> Database:
        """A database of the caller's own."""
        host = self._databases.host(dialect)
        if dialect not in self._made:
            self._make(Database(host, TEMPLATE, DRIVERS[dialect]))
            self._made.add(dialect)
        copy = Database(host, f"world_{next(self._numbers)}", DRIVERS[dialect])
        host.copy_database(TEMPLATE, copy.name)
        return copy

    def _make(self, database: Database) -> None:
        database.host.create_database(database.name)
        with closing(Airflow(database, AIRFLOW__CORE__DAGS_FOLDER=str(HOME / "dags"), **SECRETS)) as airflow:
            airflow.call("set_up", users=USERS, roles={DAG_ROLE: DAG_ROLE_PAIRS})
            airflow.call("cli", line=["dags", "reserialize"])
            airflow.call("cli", line=["connections", "add", "http_tests", "--conn-type", "http"])
            airflow.call("cli", line=["variables", "set", "colour", "red"])
            airflow.call("cli", line=["pools", "set", "small", "3", "for the tests"])
        asyncio.run(upgrade(database.url))


@dataclass(frozen=True)
class Pair:
    """One database and two servers on it, that differ in the auth manager only."""

    database: Database
    fab: ApiServer
    ours: ApiServer

    def __iter__(self) -> Iterator[ApiServer]:
        return iter((self.fab, self.ours))


@pytest.fixture(scope="session")
def worlds(databases: Databases) -> Worlds:
    """Databases by dialect."""
    return Worlds(databases)


@pytest.fixture(scope="session")
def make_pair(worlds: Worlds) -> Iterator[Callable[[str], Pair]]:
    """Two workers each, on PostgreSQL or MariaDB; once for each."""
    pairs: dict[str, Pair] = {}
    with ExitStack() as stack:

        def make(dialect: str) -> Pair:
            if dialect not in pairs:
                pairs[dialect] = _start(worlds.copy(dialect), stack)
            return pairs[dialect]

        yield make


def _start(database: Database, stack: ExitStack) -> Pair:
    url = sync_url(database)
    fab, ours = (stack.enter_context(closing(ApiServer(url, name, watch=True, **OPTIONS))) for name in (FAB, OURS))
    fab.wait()
    ours.wait()
    add_runs(fab)
    return Pair(database, fab, ours)


def add_runs(server: ApiServer) -> None:
    """Trigger a run of every DAG, as an administrator."""
    with server.client(server.log_in("ada")) as client:
        for dag in client.get("/api/v2/dags").raise_for_status().json()["dags"]:
            path = f"/api/v2/dags/{dag['dag_id']}/dagRuns"
            answer = client.post(path, json={"dag_run_id": RUN, "logical_date": "2026-01-01T00:00:00Z"})
            assert answer.status_code in {200, 409}, answer.text  # 409: another server has been here before


@pytest.fixture(scope="session")
def pair(make_pair: Callable[[str], Pair]) -> Pair:
    """On PostgreSQL."""
    return make_pair("postgresql")
