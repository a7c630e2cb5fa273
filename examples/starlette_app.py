"""Starlette: `uvicorn examples.starlette_app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncauth import close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.web.starlette import current_token, current_user, health_routes, install, requires
from examples.credentials import parse_credentials


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Start the process's auth manager, and stop it in the end."""
    await create_auth_manager()  # settings from the environment
    yield
    await close_auth_manager()


async def login(request: Request) -> Response:
    """User name and password for a token."""
    token = await get_auth_manager().login(*parse_credentials(await request.body()))
    return JSONResponse({"access_token": token, "token_type": "bearer"}, headers={"Cache-Control": "no-store"})


async def logout(request: Request) -> Response:
    """Revoke the token that came."""
    await get_auth_manager().revoke_token(current_token(request))
    return Response(status_code=204)


@requires("can_read", "DAG:{dag_id}")
async def read_dag(request: Request) -> Response:
    """Protected: only for who may read this DAG."""
    return JSONResponse({"dag_id": request.path_params["dag_id"], "user": current_user(request).username})


routes = [
    Route("/token", login, methods=["POST"]),
    Route("/token", logout, methods=["DELETE"]),
    Route("/dags/{dag_id}", read_dag),
    *health_routes(),
]
app = Starlette(routes=routes, lifespan=lifespan)
install(app)
