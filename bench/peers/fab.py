"""Token → user → decision inside a worker of Airflow's API server: FAB's auth manager beside ours.

The real Airflow in an environment of its own, on a PostgreSQL database that it made; one worker each. Called as core
calls it, without HTTP: `get_user_from_token`, then `is_authorized_dag` for one DAG.
"""

import os
from pathlib import Path
from statistics import median

from anyio import to_thread
from tests.apiserver.conftest import Worlds
from tests.databases import Databases

from bench.airflow.crew import BIG_POOL, CACHED, HERE, servers, token
from bench.airflow.rows import FIRST_ID, add_people, add_permissions
from bench.figures import Figure
from bench.progress import say
from bench.sizes import Sizes

VARIABLE = "ASYNCAUTH_TEST_AIRFLOW"
MADE = Path(__file__).parents[2] / ".cache/airflow/bin/python"
MISSING = (
    "FAB is left out: it needs Airflow in an environment of its own; `make bench-airflow` makes it, or set "
    f"{VARIABLE} to the Python of one"
)
PERMISSIONS = 300
"""Of the user: DAGs that he may see."""


async def measure(_url: str, sizes: Sizes) -> list[Figure]:
    """Both managers on one database, in turn."""
    if not _is_there():
        say(MISSING)
        return []
    # One thread for all of it: the servers end with the thread that started them.
    return await to_thread.run_sync(_measure, sizes)


def _is_there() -> bool:
    return Path(os.environ.setdefault(VARIABLE, str(MADE))).is_file()


def _measure(sizes: Sizes) -> list[Figure]:
    databases = Databases()
    try:
        database = Worlds(databases).copy("postgresql")
        permissions = add_permissions(database, "DAG:many", PERMISSIONS, first=FIRST_ID)
        (user,) = add_people(database, 1, permissions, first=FIRST_ID)
        found: dict[str, list[tuple[float, float]]] = {HERE: [], CACHED: []}
        asked: dict[str, str | int] = {"token": token(user), "dag_id": "many7", "number": max(10, sizes.calls // 20)}
        with servers(database, list(found), workers=1, runs=False, **BIG_POOL) as started:
            for _ in range(sizes.rounds + 1):  # the first one warms up
                for name, server in started.items():
                    with server.client(timeout=120) as client:
                        found[name].append(client.get("/probe/decide", params=asked).raise_for_status().json())
    finally:
        databases.close()
    return [_figure(found[HERE][1:], found[CACHED][1:])]


def _figure(here: list[tuple[float, float]], fab: list[tuple[float, float]]) -> Figure:
    limit = median(map(sum, fab)) * 1e6
    notes = {
        f"µs {what}, {name}": median(both[place] for both in found) * 1e6
        for name, found in (("ours", here), ("FAB", fab))
        for place, what in enumerate(("to the user", "to decide"))
    }
    what = "Airflow: token, user, decision about a DAG, warm"
    return Figure(
        what, "µs", median(map(sum, here)) * 1e6, limit, "no more than FAB", peers={"FAB": limit}, notes=notes
    )
