"""Databases that the real Airflow made, adopted once per test run on each kind of server."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import asyncauth
from asyncauth import Settings
from asyncauth.db.migrate import upgrade
from tests.airflow.describe import Description, describe, read_rows
from tests.airflow.process import AUDIENCE, ISSUER, SECRET, Airflow
from tests.conftest import PATIENCE_SECONDS
from tests.databases import Databases

SOURCE = str(Path(asyncauth.__file__).parents[1])
"""Airflow's processes can import asyncauth; it is not installed there."""
DRIVERS = {"sqlite": "aiosqlite", "postgresql": "asyncpg", "mysql": "aiomysql"}


def _user(username: str, *roles: str, active: bool | None = True, hashed: str | None = None) -> dict[str, Any]:
    return {
        "username": username,
        "firstname": username.title(),
        "lastname": "Lovelace",
        "email": f"{username}@airflow.example",
        "password": f"the password of {username}",
        "role": roles[0],
        "roles": list(roles),
        "active": active,
        "hash": hashed,
    }


USERS = (
    _user("vera", "Viewer"),
    _user("ada", "Admin"),
    _user("uma", "User", hashed="pbkdf2:sha256:600000"),
    _user("otto", "Op", "Viewer"),
    _user("pia", "Public", hashed="pbkdf2:sha512:1000"),
    _user("ines", "Viewer", active=False),
    _user("nora", "Viewer", active=None),
)
"""Whom Airflow's command line creates. The first is also in a group that carries the role Op."""


@dataclass(frozen=True)
class Adopted:
    """A database of Airflow's, what stood in it, and what asyncauth made of it."""

    airflow: Airflow
    users: list[dict[str, Any]]
    """As FAB's decisions see them."""
    tables_before: Description
    tables_after: Description
    rows_before: Description
    rows_after: Description


def adopt(airflow: Airflow) -> Adopted:
    """Let Airflow make its database, and adopt it."""
    database = airflow.database
    airflow.call("set_up", users=USERS)
    users = airflow.call("read_users")
    tables, rows = describe(database), read_rows(database)
    asyncio.run(upgrade(database.url))
    return Adopted(airflow, users, tables, describe(database), rows, read_rows(database))


@pytest.fixture(scope="session")
def all_adopted(databases: Databases) -> Iterator[dict[str, Adopted]]:
    """One adopted database by dialect. Airflow starts slowly, so two are made at a time."""
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=2) as pool:
        made = [databases.empty(f"{dialect}+{driver}") for dialect, driver in DRIVERS.items()]
        airflows = [stack.enter_context(closing(Airflow(database, PYTHONPATH=SOURCE))) for database in made]
        yield dict(zip(DRIVERS, pool.map(adopt, airflows), strict=True))


@pytest.fixture
def adopted(all_adopted: dict[str, Adopted], backend: str) -> Adopted:
    """The adopted database. Tests add to it and take away nothing that others look at."""
    return all_adopted[backend.split("+")[0]]


@pytest.fixture
def airflow(adopted: Adopted) -> Airflow:
    """The Airflow that made it."""
    return adopted.airflow


@pytest.fixture
def settings(airflow: Airflow, backend: str) -> Settings:
    """Settings for the adopted database, with the key of its Airflow."""
    url = airflow.database.host.url(airflow.database.name, backend.split("+")[1])
    return Settings(
        database_url=url,
        jwt_secret=SECRET,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        poll_interval_seconds=0.05,
        database_timeout_seconds=PATIENCE_SECONDS,
    )
