"""FAB's routes that need no token: getting one, and leaving."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Body, Request
from starlette.responses import RedirectResponse

from asyncauth.api.parts import Manager, address_of
from asyncauth.api.problems import FabRoute, fab_errors
from asyncauth.api.schemas import LoginResponse
from asyncauth.errors import InvalidValueError
from asyncauth.manager import AuthManager
from asyncauth.web.gate import gate_of

_TEXT = {"type": "string", "minLength": 1}
_CREDENTIALS = Body(
    examples=[{"username": "ada", "password": "correct horse"}],
    json_schema_extra={"properties": {"username": _TEXT, "password": _TEXT}, "required": ["username", "password"]},
)
_ERRORS = fab_errors(401, 429)


def token_routes(login_url: str, *, throttled: bool = True) -> APIRouter:
    """The three routes. `login_url`: where a browser is sent after leaving. `throttled`: see `AuthManager.login`."""
    router = APIRouter(route_class=FabRoute)
    log_in = partial(_log_in, throttled=throttled)

    @router.post("/token", status_code=201, responses=_ERRORS)
    async def create_token(request: Request, auth: Manager, body: dict[str, Any] = _CREDENTIALS) -> LoginResponse:
        """Give a token for a user name (in any case) or e-mail, and a password."""
        return await log_in(request, auth, body, None)

    @router.post("/token/cli", status_code=201, responses=_ERRORS)
    async def create_token_cli(request: Request, auth: Manager, body: dict[str, Any] = _CREDENTIALS) -> LoginResponse:
        """The same for command lines: it lives for `jwt_cli_expiration_seconds`."""
        return await log_in(request, auth, body, auth.settings.jwt_cli_expiration_seconds)

    @router.get("/logout", status_code=307, response_class=RedirectResponse)
    async def logout(request: Request) -> RedirectResponse:
        """Take the cookie from the browser and send it to the login page. Ends no token: any page can link here."""
        response = RedirectResponse(login_url)
        cookie = gate_of(request.scope).cookie
        if cookie is not None:
            response.headers.append("Set-Cookie", cookie.clear_cookie())
        return response

    return router


async def _log_in(
    request: Request,
    auth: AuthManager,
    body: dict[str, Any],
    lifetime_seconds: int | None,
    *,
    throttled: bool,
) -> LoginResponse:
    username, password = body.get("username"), body.get("password")
    if not (isinstance(username, str) and isinstance(password, str) and username and password):
        raise InvalidValueError("Username and password must be provided")
    address = address_of(request)
    token = await auth.login(username, password, address, lifetime_seconds=lifetime_seconds, throttled=throttled)
    return LoginResponse(access_token=token)
