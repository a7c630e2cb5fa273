"""A plugin of Airflow's that tells what goes on in a worker: its modules, its routes, and how its loop is held."""

import asyncio
import gc
import os
import sys
import time
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI
from fastapi.routing import APIRoute

app = FastAPI()
TICK_SECONDS = 0.001


class Watch:
    """Measures the longest time for which the event loop was held."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on; running already, it begins anew."""
        self.longest = 0.0
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def stop(self) -> float:
        """How long, in seconds."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        return self.longest

    async def _run(self) -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.perf_counter()
            self.longest = max(self.longest, now - before - TICK_SECONDS)
            before = now


watch = Watch()


@app.get("/modules")
async def modules() -> list[str]:
    """Names of what is imported."""
    return sorted(sys.modules)


@app.get("/routes")
async def routes() -> list[tuple[str, str]]:
    """Method and path of every route of Airflow's own."""
    served = sys.modules["airflow.api_fastapi.main"].app
    found = [route for route in served.routes if isinstance(route, APIRoute)]
    return sorted((method, route.path) for route in found for method in route.methods or ())


@app.get("/pid")
async def pid() -> int:
    """Which worker this is."""
    return os.getpid()


@app.post("/freeze")
async def freeze() -> int:
    """Take what is in memory now out of garbage collection; which worker did."""
    gc.collect()
    gc.freeze()
    return os.getpid()


@app.get("/watch")
async def begin() -> None:
    """Begin to measure how long the loop is held."""
    watch.start()


@app.get("/held")
async def held() -> float:
    """The longest time since, in seconds."""
    await asyncio.sleep(2 * TICK_SECONDS)
    return watch.stop()


@app.get("/calls")
async def calls(token: str, number: int) -> tuple[float, float]:
    """Many calls of `get_user_from_token` at once, and as many coroutines that do nothing: how long each held the loop,
    in seconds."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()

    async def nothing() -> None:
        pass

    found = []
    for make in (lambda: manager.get_user_from_token(token), nothing):
        watch.start()
        await asyncio.sleep(5 * TICK_SECONDS)
        watch.longest = 0.0
        await asyncio.gather(*(make() for _ in range(number)))
        await asyncio.sleep(5 * TICK_SECONDS)
        found.append(watch.stop())
    return found[0], found[1]


@app.get("/decide")
async def decide(token: str, dag_id: str, number: int) -> tuple[float, float]:
    """So many times from the token to the user, and as often the question whether that user may see a DAG: how long one
    of each takes, in seconds."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails

    manager, details = get_auth_manager(), DagDetails(id=dag_id)
    user = await manager.get_user_from_token(token)
    begin = time.perf_counter()
    for _ in range(number):
        user = await manager.get_user_from_token(token)
    middle = time.perf_counter()
    allowed = [manager.is_authorized_dag(method="GET", details=details, user=user) for _ in range(number)]
    end = time.perf_counter()
    assert all(allowed)
    return (middle - begin) / number, (end - middle) / number


@app.post("/arrive")
async def arrive(tokens: list[str]) -> float:
    """All these tokens come at once: how long that holds the loop, in seconds."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    watch.start()
    await asyncio.sleep(5 * TICK_SECONDS)
    watch.longest = 0.0
    await asyncio.gather(*(manager.get_user_from_token(token) for token in tokens))
    await asyncio.sleep(5 * TICK_SECONDS)
    return watch.stop()


@app.get("/dag_ids")
async def dag_ids(token: str, number: int) -> tuple[float, int]:
    """How long one call of `get_authorized_dag_ids` takes, in seconds, in a thread as core calls it; how many ids."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    user = await manager.get_user_from_token(token)

    def ask() -> tuple[float, int]:
        found = manager.get_authorized_dag_ids(user=user)  # what is made once is no matter of this
        begin = time.perf_counter()
        for _ in range(number):
            found = manager.get_authorized_dag_ids(user=user)
        return (time.perf_counter() - begin) / number, len(found)

    return await asyncio.to_thread(ask)


class Probe(AirflowPlugin):  # type: ignore[misc]
    """Found by its place, AIRFLOW_HOME/plugins."""

    name = "probe"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [{"app": app, "url_prefix": "/probe", "name": "probe"}]
