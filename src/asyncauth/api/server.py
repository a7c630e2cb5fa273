"""The app behind `asyncauth serve`: the whole API below `/auth`, login, who am I, health and public keys."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from asyncauth.api.app import make_app
from asyncauth.api.bodies import limited
from asyncauth.bootstrap import close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.errors import InvalidValueError
from asyncauth.settings import Settings
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import CLOSED
from asyncauth.web.starlette import current_user, health_routes, install, jwks_routes

MAX_BODY_BYTES = 16 * 1024
LIMITS = {"login_failures_per_user": 10, "login_failures_per_address": 10, "login_failures_in_all": 1000}
"""Of failed logins within five minutes, where the settings say nothing: those of PyPI. 0 turns one off."""


def create_app(
    settings: Settings | None = None,
    *,
    pages: Sequence[BaseRoute] = (),
    cookie: CookiePolicy | None = None,
    login_url: str = "/",
) -> Starlette:
    """An ASGI app with a manager of its own.

    Args:
        settings: None reads the environment.
        pages: more routes below `/auth`, which look at credentials themselves.
        cookie: of them; the API takes it, too.
        login_url: where `GET /auth/logout` sends a browser.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    limited = with_limits(settings if settings is not None else Settings())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await create_auth_manager(limited)
        try:
            yield
        finally:
            await close_auth_manager()

    own = [Route("/login", log_in, methods=["POST"]), Route("/me", read_me), *health_routes(), *jwks_routes()]
    api = make_app(prefix="", cookie=cookie, login_url=login_url)
    api.router.routes.extend(pages)
    routes = [*own, _Below("/auth", api)]
    app = Starlette(routes=routes, lifespan=lifespan)
    install(app, public=["/login", "/auth/"])  # the API looks at credentials itself
    return app


class _Below(Mount):
    """Starlette's does not match a path with a line break in it, which a name may hold: a 404 of another form."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        super().__init__(path, app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


def with_limits(settings: Settings) -> Settings:
    """The settings with `LIMITS` where they name none."""
    if find_spec("limits") is None:
        return settings
    return settings.model_copy(
        update={name: amount for name, amount in LIMITS.items() if getattr(settings, name) is None}
    )


async def log_in(request: Request) -> Response:
    """User name and password in a JSON object → `{"access_token": …}`."""
    body = await _read_object(request)
    username, password = body.get("username"), body.get("password")
    if not isinstance(username, str) or not isinstance(password, str):
        raise InvalidValueError("send a JSON object with username and password, both text")
    address = request.client.host if request.client is not None else None
    token = await get_auth_manager().login(username, password, address)
    return JSONResponse({"access_token": token, "token_type": "bearer"}, headers=CLOSED)


async def read_me(request: Request) -> Response:
    """Who sends this."""
    user = current_user(request)
    me = {"id": user.id, "username": user.username, "roles": [role.name for role in user.roles]}
    return JSONResponse(me, headers=CLOSED)


async def _read_object(request: Request) -> dict[str, Any]:
    body = await limited(request, MAX_BODY_BYTES).body()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidValueError("send a JSON object with username and password, both text")
    return value
