"""Each of our adapters on a small app, and the same app with something empty of the same shape in its place."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase
from litestar import Litestar, get
from litestar.middleware import DefineMiddleware
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.response import Response as LitestarResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from asyncauth import AuthManager, User
from asyncauth.web import fastapi, litestar
from asyncauth.web.asgi import AuthMiddleware
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import Receive, Scope, Send
from bench.data import MARK
from bench.http import ADAPTERS
from bench.http.requests import COOKIE
from bench.http.serving import App
from bench.parts import NAME, SECRET

ACTION, RESOURCE = f"{MARK}_can_read", f"{MARK}:resource_{{number}}"
NOBODY = User(0, "nobody", ())
POLICY = CookiePolicy(name=COOKIE, secure=False)
PEER_TTL_SECONDS = 300.0
MakeApp = Callable[[AuthManager | None, CookiePolicy | None], App]
"""With a manager: ours. Without one: the empty one."""


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The smallest ASGI app."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class EmptyMiddleware:
    """The shape of a middleware, and nothing in it."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.app(scope, receive, send)


class PeerMiddleware:
    """What is often written in our place: PyJWT verifies, and a user is remembered for some minutes by its id. Nothing
    is ever revoked; a right that was taken away lasts until the user is forgotten."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._users: dict[str, tuple[float, User]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            token = next(value for name, value in scope["headers"] if name == b"authorization")[len(b"Bearer ") :]
            claims = jwt.decode(token, SECRET, algorithms=["HS512"], issuer=NAME, audience=NAME)
            deadline, user = self._users.get(claims["sub"], (0.0, NOBODY))
            if deadline <= time.monotonic():
                user = User(int(claims["sub"]), "loaded once", ())
                self._users[claims["sub"]] = (time.monotonic() + PEER_TTL_SECONDS, user)
            scope["user"] = user
        await self.app(scope, receive, send)


def asgi(auth: AuthManager | None, cookie: CookiePolicy | None) -> App:
    """A bare ASGI app."""
    return EmptyMiddleware(bare) if auth is None else AuthMiddleware(bare, auth, cookie=cookie)


def starlette(auth: AuthManager | None, cookie: CookiePolicy | None) -> App:
    """The ASGI middleware on Starlette."""

    async def read(_: Request) -> StarletteResponse:
        return StarletteResponse(b"ok")

    app = Starlette(routes=[Route("/resources/{number}", read)])
    if auth is None:
        app.add_middleware(EmptyMiddleware)
    else:
        app.add_middleware(AuthMiddleware, auth=auth, cookie=cookie)
    return app


class _Nobody(SecurityBase):
    def __init__(self) -> None:
        self.model = HTTPBearer()
        self.scheme_name = "Bearer"

    async def __call__(self, connection: HTTPConnection) -> User:
        return NOBODY


_Empty = Annotated[User, Security(_Nobody())]
"""As FastAPI's own schemes are: classes that the OpenAPI document shows."""


def fastapi_user(auth: AuthManager | None, cookie: CookiePolicy | None) -> App:
    """FastAPI with a dependency that gives the user."""
    app = FastAPI()
    dependency: Any = _Empty
    if auth is not None:
        fastapi.install(app, auth, cookie=cookie)
        dependency = fastapi.CurrentUser

    async def read(user: dependency) -> Response:
        return Response(b"ok")

    app.get("/resources/{number}")(read)
    return app


async def _nobody_may(_: HTTPConnection, user: _Empty) -> User:
    return user


def fastapi_requires(auth: AuthManager | None, cookie: CookiePolicy | None) -> App:
    """FastAPI with a dependency that gives the user and one on it that decides."""
    app = FastAPI()
    dependency: Callable[..., Any] = _nobody_may
    if auth is not None:
        fastapi.install(app, auth, cookie=cookie)
        dependency = fastapi.requires(ACTION, RESOURCE)

    async def read() -> Response:
        return Response(b"ok")

    app.get("/resources/{number}", dependencies=[Depends(dependency)])(read)
    return app


class _NobodyMiddleware(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: Any) -> AuthenticationResult:
        return AuthenticationResult(NOBODY, "")


async def _empty_guard(_connection: Any, _handler: Any) -> None:
    return None


def litestar_guard(auth: AuthManager | None, cookie: CookiePolicy | None) -> App:
    """Litestar with a middleware that gives the user and a guard that decides."""
    guard: Any = _empty_guard if auth is None else litestar.requires(ACTION, RESOURCE)

    @get("/resources/{number:str}", guards=[guard])
    async def read(number: str) -> LitestarResponse[bytes]:
        return LitestarResponse(b"ok")

    if auth is None:
        app = Litestar([read], middleware=[DefineMiddleware(_NobodyMiddleware)])
    else:
        app = Litestar([read], plugins=[litestar.AuthPlugin(auth, cookie=cookie)])
    return app


FAMILIES: dict[str, MakeApp] = dict(
    zip(ADAPTERS, (asgi, starlette, fastapi_user, fastapi_requires, litestar_guard), strict=True)
)
