"""Litestar: `uvicorn examples.litestar_app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Request, delete, get, post
from litestar.datastructures import CacheControlHeader, State

from asyncauth import User, close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.web.litestar import AuthPlugin, health_handler, requires
from examples.credentials import parse_credentials

AuthenticatedRequest = Request[User, str, State]


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """Start the process's auth manager, and stop it in the end."""
    await create_auth_manager()  # settings from the environment
    yield
    await close_auth_manager()


@post("/token", exclude_from_auth=True, status_code=200, cache_control=CacheControlHeader(no_store=True))
async def login(request: Request[None, None, State]) -> dict[str, str]:
    """User name and password for a token."""
    token = await get_auth_manager().login(*parse_credentials(await request.body()))
    return {"access_token": token, "token_type": "bearer"}


@delete("/token")
async def logout(request: AuthenticatedRequest) -> None:
    """Revoke the token that came."""
    await get_auth_manager().revoke_token(request.auth)


@get("/dags/{dag_id:str}", guards=[requires("can_read", "DAG:{dag_id}")])
async def read_dag(request: AuthenticatedRequest) -> dict[str, str]:
    """Protected: only for who may read this DAG."""
    return {"dag_id": request.path_params["dag_id"], "user": request.user.username}


app = Litestar([login, logout, read_dag, health_handler()], lifespan=[lifespan], plugins=[AuthPlugin()])
