"""A plugin of Airflow's that tells what goes on in a worker: its modules and its routes."""

import os
import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI
from fastapi.routing import APIRoute

app = FastAPI()


@app.get("/modules")
async def modules() -> list[str]:
    """Names of what is imported."""
    return sorted(sys.modules)


@app.get("/routes")
async def routes() -> list[tuple[str, str]]:
    """Method and path of every route of Airflow's own."""
    served = sys.modules["airflow.api_fastapi.main"].app
    found = [route for route in served.routes if isinstance(route, APIRoute)]
    return sorted((method, route.path) for route in found for method in route.methods)


@app.get("/pid")
async def pid() -> int:
    """Which worker this is."""
    return os.getpid()


class Probe(AirflowPlugin):  # type: ignore[misc]
    """Found by its place, AIRFLOW_HOME/plugins."""

    name = "probe"
    fastapi_apps: list[dict[str, Any]] = [{"app": app, "url_prefix": "/probe", "name": "probe"}]
