"""FastAPI: `uvicorn examples.fastapi_app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Response
from pydantic import BaseModel

from asyncauth import close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.web.fastapi import CurrentToken, CurrentUser, install, requires
from asyncauth.web.starlette import health_routes, jwks_routes


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start the process's auth manager, and stop it in the end."""
    await create_auth_manager()  # settings from the environment
    yield
    await close_auth_manager()


app = FastAPI(title="asyncauth with FastAPI", lifespan=lifespan, routes=[*health_routes(), *jwks_routes()])
install(app)


class Credentials(BaseModel):
    """What somebody types in."""

    username: str
    password: str


@app.post("/token")
async def login(credentials: Credentials, response: Response) -> dict[str, str]:
    """User name and password for a token."""
    token = await get_auth_manager().login(credentials.username, credentials.password)
    response.headers["Cache-Control"] = "no-store"
    return {"access_token": token, "token_type": "bearer"}


@app.delete("/token", status_code=204)
async def logout(token: CurrentToken) -> None:
    """Revoke the token that came."""
    await get_auth_manager().revoke_token(token)


@app.get("/dags/{dag_id}", dependencies=[Depends(requires("can_read", "DAG:{dag_id}"))])
async def read_dag(dag_id: str, user: CurrentUser) -> dict[str, str]:
    """Protected: only for who may read this DAG."""
    return {"dag_id": dag_id, "user": user.username}
