"""python -m bench.peers.server: Litestar's JWTAuth on our user table, and ours on the same frameworks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from litestar import Litestar, Request, get
from litestar.connection import ASGIConnection
from litestar.response import Response as LitestarResponse
from litestar.security.jwt import JWTAuth, Token
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from asyncauth import AuthManager
from asyncauth.web.fastapi import CurrentUser, install
from asyncauth.web.litestar import AuthPlugin
from bench.http.serving import App, serve
from bench.parts import started
from bench.peers.user import User

FASTAPI, LITESTAR, JWT_AUTH = "asyncauth on FastAPI", "asyncauth on Litestar", "Litestar's JWTAuth"


@get("/resources/{number:int}")
async def read(number: int, request: Request[Any, Any, Any]) -> LitestarResponse[bytes]:
    """The user's id; all answers are equally long."""
    return LitestarResponse(f"{request.user.id:09}".encode())


def jwt_auth(sessions: async_sessionmaker[AsyncSession], given: dict[str, Any]) -> Any:
    """As Litestar's documentation sets it up, with a handler that reads the user's row."""

    async def retrieve_user(token: Token, _: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        async with sessions() as session:
            user = await session.get(User, int(token.sub))
        return user if user is not None and user.is_active else None

    auth = JWTAuth[User](
        token_secret=given["secret"],
        algorithm="HS512",
        retrieve_user_handler=retrieve_user,
        accepted_audiences=[given["name"]],
        accepted_issuers=[given["name"]],
    )
    return Litestar([read], on_app_init=[auth.on_app_init])


def on_fastapi(auth: AuthManager) -> FastAPI:
    """Ours."""
    app = FastAPI()
    install(app, auth)

    @app.get("/resources/{number}")
    async def read(number: int, user: CurrentUser) -> Response:
        return Response(f"{user.id:09}".encode())

    return app


@asynccontextmanager
async def apps(given: dict[str, Any]) -> AsyncIterator[dict[str, App]]:
    """By name."""
    # Of the default, 5, the others would be opened anew for each request.
    engine = create_async_engine(given["url"], pool_size=given["connections"])
    try:
        async with started(given["url"]) as auth:
            ours: Any = Litestar([read], plugins=[AuthPlugin(auth)])
            peer = jwt_auth(async_sessionmaker(engine, expire_on_commit=False), given)
            yield {FASTAPI: on_fastapi(auth), LITESTAR: ours, JWT_AUTH: peer}
    finally:
        await engine.dispose()


if __name__ == "__main__":
    serve(apps)
