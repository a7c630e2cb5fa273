"""With Airflow's default pool of 5 and 10 more connections: does a burst of 50 at once ever end?"""

from contextlib import closing

from tests.airflow.process import sync_url
from tests.apiserver.conftest import Worlds, add_runs
from tests.apiserver.server import ApiServer
from tests.databases import Database

from bench.airflow.crew import CACHED, HERE, MANAGERS, QUIET, token
from bench.airflow.load import Load, run
from bench.airflow.sizes import Sizes
from bench.airflow.wire import request
from bench.figures import Figure, Section

PATH = "/ui/dags/example_complex/latest_run"
ADMIN = 1
"""The id of the first user that was made."""
CREWS = {"postgresql": ("PostgreSQL", 2), "mysql": ("MariaDB", 4)}


def measure(worlds: Worlds, sizes: Sizes) -> list[Section]:
    """On both databases."""
    return [Section("hangs", name, "uvicorn", _on(worlds, dialect, sizes)) for dialect, (name, _) in CREWS.items()]


def _on(worlds: Worlds, dialect: str, sizes: Sizes) -> tuple[Figure, ...]:
    database = worlds.copy(dialect)
    workers = CREWS[dialect][1]
    counts = {
        name: _count(database, name, workers, runs, sizes)
        for name, runs in ((CACHED, sizes.hang_runs_fab), (HERE, sizes.hang_runs))
    }
    what = f"default pool, {workers} workers, {sizes.hang_requests} requests, 50 at once: runs that hang"
    fab = {f"{CACHED}, of {sizes.hang_runs_fab}": float(counts[CACHED])}
    return (Figure(what, f"of {sizes.hang_runs}", counts[HERE], 0, beside=fab),)


def _count(database: Database, name: str, workers: int, runs: int, sizes: Sizes) -> int:
    """How many runs hang. After one that did, the server is another."""
    hung = done = 0
    while done < runs:
        with closing(ApiServer(sync_url(database), MANAGERS[name], workers=workers, **QUIET)) as server:
            server.wait()
            add_runs(server)
            while done < runs:
                done += 1
                if _hangs(server, sizes):
                    hung += 1
                    server.kill()  # asked to end, it would wait for what never ends
                    break
    return hung


def _hangs(server: ApiServer, sizes: Sizes) -> bool:
    asked = [request("GET", PATH, token=token(ADMIN), cookie=True)]
    return run(Load(server.port, asked, 50, sizes.hang_requests, sizes.hang_seconds)).unanswered > 0
