"""What broke FAB under load (airflow#61108, repaired in #62431): logins, FAB's routes and core's, all at once."""

import asyncio
import re
from collections import Counter
from contextlib import closing

import httpx
from sqlalchemy import select

from asyncauth.db.engine import make_engine
from asyncauth.db.tables import roles
from asyncauth.passwords import make
from tests.airflow.process import sync_url
from tests.apiserver.conftest import DRIVERS, OPTIONS, Pair
from tests.apiserver.server import OURS, ApiServer, Home, run_airflow
from tests.databases import Database, Databases
from tests.rows import add_user

AT_ONCE = 50
LOGINS = 5
"""Of those; each takes a tenth of a second of one core."""
FIRST_LOGINS = 20
READ = (
    "/auth/fab/v1/users",
    "/auth/fab/v1/roles",
    "/auth/fab/v1/permissions",
    "/api/v2/dags",
    "/api/v2/pools",
    "/api/v2/connections",
    "/ui/auth/me",
    "/ui/auth/menus",
    "/ui/config",
)
TROUBLE = re.compile(r"Traceback|\[error +\]|\[critical *\]|\bERROR\b|\bCRITICAL\b")


async def storm(server: ApiServer, username: str, rounds: int) -> Counter[int]:
    """How often which status came."""
    body = {"username": username, "password": f"the password of {username}"}
    statuses: Counter[int] = Counter()
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE // 2)
    async with httpx.AsyncClient(base_url=server.base_url, limits=limits, timeout=60, trust_env=False) as client:

        async def log_in() -> dict[str, str]:
            answer = await client.post("/auth/token", json=body)
            statuses[answer.status_code] += 1
            return {"Authorization": f"Bearer {answer.json().get('access_token')}"}

        async def read(path: str, headers: dict[str, str]) -> None:
            statuses[(await client.get(path, headers=headers)).status_code] += 1

        headers, *_ = await asyncio.gather(*(log_in() for _ in range(FIRST_LOGINS)))
        for _ in range(rounds):
            reads = [read(READ[number % len(READ)], headers) for number in range(AT_ONCE - LOGINS)]
            new, *_ = await asyncio.gather(*(log_in() for _ in range(LOGINS)), *reads)
            headers = new if isinstance(new, dict) else headers
    return statuses


def trouble(server: ApiServer, begin: int = 0) -> list[str]:
    """Lines of the log that tell of errors, from a place in it."""
    return [line for line in server.log[begin:].splitlines() if TROUBLE.search(line)]


def test_all_at_once(pair: Pair, full: bool) -> None:
    """Two warm workers: only 200 and 201, and no error in the log."""
    begin = len(pair.ours.log)
    statuses = asyncio.run(storm(pair.ours, "ada", 500 if full else 20))
    assert set(statuses) == {200, 201}
    assert trouble(pair.ours, begin) == []


def test_four_cold_workers_on_an_empty_database(databases: Databases) -> None:
    """They start at once on what `airflow db migrate` left, each wanting to make roles; then the storm."""
    host = databases.host("postgresql")
    database = Database(host, "empty_for_airflow", DRIVERS["postgresql"])
    host.create_database(database.name)
    url = sync_url(database)
    with closing(Home()) as home:
        run_airflow(home, url, OURS, "db", "migrate")
    with ApiServer(url, OURS, workers=4, **OPTIONS | {"AIRFLOW__FAB__UPDATE_FAB_PERMS": "True"}) as server:
        asyncio.run(_add_administrator(database.url))
        statuses = asyncio.run(storm(server, "first", 4))
        assert set(statuses) == {200, 201}
        assert trouble(server) == []


async def _add_administrator(url: str) -> None:
    engine = make_engine(url, pool_size=1, timeout_seconds=10)
    async with engine.begin() as connection:
        admin = await connection.scalar(select(roles.c.id).where(roles.c.name == "Admin"))
        assert admin is not None
        await add_user(connection, "first", roles=[admin], password=make("the password of first"))
    await engine.dispose()
