"""FastAPI: `uvicorn examples.fastapi_app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from asyncauth import TokenPair, close_auth_manager, create_auth_manager, get_auth_manager
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


@app.exception_handler(RequestValidationError)
async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
    """Say what is wrong with a body, without repeating it: FastAPI would answer with the password."""
    return JSONResponse({"detail": [{"loc": one["loc"], "msg": one["msg"]} for one in error.errors()]}, 422)


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


class RefreshToken(BaseModel):
    """What `/login` and `/refresh` gave."""

    refresh_token: str


@app.post("/login")
async def login_pair(credentials: Credentials, response: Response) -> dict[str, str]:
    """User name and password for an access token and a refresh token (with ASYNCAUTH_REFRESH_TOKENS=true)."""
    return _give(await get_auth_manager().login_pair(credentials.username, credentials.password), response)


@app.post("/refresh")
async def refresh(token: RefreshToken, response: Response) -> dict[str, str]:
    """A refresh token for the next pair."""
    return _give(await get_auth_manager().refresh(token.refresh_token), response)


def _give(pair: TokenPair, response: Response) -> dict[str, str]:
    response.headers["Cache-Control"] = "no-store"
    return {"access_token": pair.access_token, "refresh_token": pair.refresh_token, "token_type": "bearer"}


@app.delete("/token", status_code=204)
async def logout(token: CurrentToken) -> None:
    """Revoke the token that came."""
    await get_auth_manager().revoke_token(token)


@app.get("/dags/{dag_id}", dependencies=[Depends(requires("can_read", "DAG:{dag_id}"))])
async def read_dag(dag_id: str, user: CurrentUser) -> dict[str, str]:
    """Protected: only for who may read this DAG."""
    return {"dag_id": dag_id, "user": user.username}
