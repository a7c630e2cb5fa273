"""python -m bench.peers.fastapi_users_server: fastapi-users on our user table, in an environment of its own.

As its documentation sets it up: SQLAlchemy's async session, its own adapter, a bearer transport, its JWT strategy. The
tokens are ours: its strategy wants `sub`, `aud` and `exp`, and its algorithm can be chosen.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response
from fastapi_users import BaseUserManager, FastAPIUsers, IntegerIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.http.serving import App, serve
from bench.peers.user import User

NAME = "fastapi-users"


class UserManager(IntegerIDMixin, BaseUserManager[User, int]):  # type: ignore[misc]  # Any, as they are not here
    """The hooks stay as they are."""


def make_app(sessions: async_sessionmaker[AsyncSession], given: dict[str, Any]) -> FastAPI:
    """An app whose one route wants an active user."""

    async def get_user_database() -> AsyncIterator[Any]:
        async with sessions() as session:
            yield SQLAlchemyUserDatabase(session, User)

    async def get_user_manager(database: Annotated[Any, Depends(get_user_database)]) -> AsyncIterator[UserManager]:
        yield UserManager(database)

    def get_strategy() -> Any:
        return JWTStrategy(given["secret"], lifetime_seconds=3600, token_audience=[given["name"]], algorithm="HS512")

    backend: Any = AuthenticationBackend("jwt", BearerTransport(tokenUrl="login"), get_strategy)
    users: Any = FastAPIUsers(get_user_manager, [backend])
    app = FastAPI()

    @app.get("/resources/{number}")
    async def read(number: int, user: Annotated[Any, Depends(users.current_user(active=True))]) -> Response:
        return Response(f"{user.id:09}".encode())

    return app


@asynccontextmanager
async def apps(given: dict[str, Any]) -> AsyncIterator[dict[str, App]]:
    """The one app."""
    # Of the default, 5, the others would be opened anew for each request.
    engine = create_async_engine(given["url"], pool_size=given["connections"])
    try:
        yield {NAME: make_app(async_sessionmaker(engine, expire_on_commit=False), given)}
    finally:
        await engine.dispose()


if __name__ == "__main__":
    serve(apps)
