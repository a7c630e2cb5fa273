"""How long the event loop of a worker is held: by users who arrive cold, and by many calls at once."""

from statistics import median

from tests.apiserver.conftest import Worlds
from tests.apiserver.server import ApiServer
from tests.databases import Database

from bench.airflow.crew import BIG_POOL, CACHED, HERE, servers, token
from bench.airflow.rows import FIRST_ID, add_dags, add_people, add_permissions
from bench.airflow.sizes import Sizes
from bench.figures import Figure, Section

NAMES = [CACHED, HERE]
ROUNDS = 3


def measure(worlds: Worlds, sizes: Sizes) -> list[Section]:
    """One worker each."""
    database = worlds.copy("postgresql")
    users = _fill(database, sizes)
    reader = _add_reader(database, sizes)
    with servers(database, NAMES, workers=1, runs=False, **BIG_POOL) as started:
        figures = (_cold(started, users, sizes), _lag(started, reader, sizes), _dag_ids(started, reader, sizes))
    return [Section("cold", "PostgreSQL, pool of 50", "1 worker", figures)]


def _fill(database: Database, sizes: Sizes) -> list[int]:
    """Users for each round, each with a role of its own: what one round loads helps no other."""
    permissions = add_permissions(database, "thing ", sizes.cold_permissions, first=FIRST_ID)
    return [*add_people(database, sizes.cold_users * ROUNDS, permissions, first=FIRST_ID)]


def _add_reader(database: Database, sizes: Sizes) -> int:
    """A user who may read so many DAGs, all of which there are."""
    first = FIRST_ID + sizes.cold_permissions
    permissions = add_permissions(database, "DAG:crowd", sizes.dag_permissions, first=first)
    add_dags(database, "crowd", sizes.dag_permissions)
    return add_people(database, 1, permissions, first=FIRST_ID + sizes.cold_users * ROUNDS)[0]


def _cold(started: dict[str, ApiServer], users: list[int], sizes: Sizes) -> Figure:
    held: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(ROUNDS):
        some = users[number * sizes.cold_users : (number + 1) * sizes.cold_users]
        tokens = [token(user) for user in some]
        for name, server in started.items():
            with server.client(timeout=120) as client:
                answer = client.post("/probe/arrive", json=tokens).raise_for_status()
                held[name].append(float(answer.json()) * 1e3)
    what = f"{sizes.cold_users} users arrive cold, {sizes.cold_permissions} permissions each: longest stall of the loop"
    return Figure(what, "ms", median(held[HERE]), 20, beside={CACHED: median(held[CACHED])})


def _lag(started: dict[str, ApiServer], reader: int, sizes: Sizes) -> Figure:
    held: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    query: dict[str, str | int] = {"token": token(reader), "number": sizes.lag_calls}
    for _ in range(ROUNDS + 1):
        for name, server in started.items():
            with server.client() as client:
                calls, nothing = client.get("/probe/calls", params=query).raise_for_status().json()
                held[name].append((calls * 1e3, nothing * 1e3))
    here, fab = (median(calls for calls, _ in held[name][1:]) for name in (HERE, CACHED))  # the first one warms up
    nothing = median(nothing for _, nothing in held[HERE][1:])
    what = f"{sizes.lag_calls} calls at once, warm, one user: loop held"
    beside = {"empty coroutines": nothing, CACHED: fab}
    return Figure(what, "ms", here, nothing + 2, "2 ms more than empty coroutines", beside)


def _dag_ids(started: dict[str, ApiServer], reader: int, sizes: Sizes) -> Figure:
    took: dict[str, list[float]] = {name: [] for name in NAMES}
    query: dict[str, str | int] = {"token": token(reader), "number": 3}
    for _ in range(ROUNDS):
        for name, server in started.items():
            with server.client() as client:
                seconds, found = client.get("/probe/dag_ids", params=query).raise_for_status().json()
                assert found == sizes.dag_permissions, f"{name}: {found} DAGs"
                took[name].append(seconds * 1e3)
    here, fab = median(took[HERE]), median(took[CACHED])
    what = f"get_authorized_dag_ids, {sizes.dag_permissions} DAG permissions"
    return Figure(what, "ms", here, fab / 20, "20x faster than FAB", {CACHED: fab})
