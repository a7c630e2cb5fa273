"""For Starlette: an AuthenticationBackend, `install` to plug it in, and `requires` for endpoints.

    app = Starlette(routes=[Route("/dags/{dag_id}", read_dag)])
    install(app)

    @requires("can_read", "DAG:{dag_id}")
    async def read_dag(request: Request) -> Response: ...

Requests without credentials go through as Starlette's `UnauthenticatedUser`; bad credentials are refused.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from inspect import iscoroutinefunction
from typing import ParamSpec, TypeVar

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.websockets import WebSocket

from asyncauth.errors import AuthError, ConfigurationError, CredentialsMissingError
from asyncauth.manager import AuthManager
from asyncauth.model import User
from asyncauth.web.asgi import HEALTH_PATHS, JWKS_PATH, health_app, jwks_app
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import Gate, GateMiddleware, gate_of, set_gate
from asyncauth.web.http import refusal
from asyncauth.web.template import ResourceTemplate
from asyncauth.web.websocket import find_watch

__all__ = [
    "AuthBackend",
    "AuthenticatedUser",
    "current_token",
    "current_user",
    "health_routes",
    "install",
    "jwks_routes",
    "requires",
]

P = ParamSpec("P")
T = TypeVar("T")


class AuthenticatedUser(BaseUser):
    """A User as Starlette wants it: `request.user.user` is ours."""

    def __init__(self, user: User) -> None:
        self.user = user

    @property
    def is_authenticated(self) -> bool:
        """Always true."""
        return True

    @property
    def display_name(self) -> str:
        """First and last name, else the user name."""
        return f"{self.user.first_name} {self.user.last_name}".strip() or self.user.username

    @property
    def identity(self) -> str:
        """The id."""
        return str(self.user.id)


class RefusedError(AuthenticationError):
    """Starlette's error around ours."""

    def __init__(self, error: AuthError) -> None:
        super().__init__(error.public_message)
        self.error = error


class AuthBackend(AuthenticationBackend):
    """For Starlette's AuthenticationMiddleware, together with `on_error`."""

    def __init__(
        self, auth: AuthManager | None = None, *, cookie: CookiePolicy | None = None, public: Collection[str] = ()
    ) -> None:
        self.gate: Gate = Gate(auth, cookie, tuple(public))

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Who sends this? None if no credentials came, or the path is public."""
        set_gate(conn.scope, self.gate)
        gate = self.gate.acting
        if gate.is_public(conn.scope):
            return None
        try:
            found = gate.recall(conn.scope)
            user = await gate.find_user(conn.scope) if found is None else found[0]
        except ConfigurationError:
            raise
        except AuthError as error:
            raise RefusedError(error) from error
        return None if user is None else (AuthCredentials(["authenticated"]), AuthenticatedUser(user))


def on_error(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """For AuthenticationMiddleware: the refusal as JSON."""
    if not isinstance(error, RefusedError):
        raise error
    if watch := find_watch(conn.scope):
        watch.refuse(error.error)
    return _response(error.error)


async def on_auth_error(connection: Request | WebSocket, error: Exception) -> Response:
    """Exception handler for AuthError. On a websocket it lets the error through to the watch, which knows how."""
    if isinstance(connection, WebSocket) or not isinstance(error, AuthError):
        raise error
    return _response(error)


def _response(error: AuthError) -> Response:
    status, headers, body = refusal(error)
    return Response(body, status, headers)


def install(
    app: Starlette,
    auth: AuthManager | None = None,
    *,
    cookie: CookiePolicy | None = None,
    public: Collection[str] = (),
) -> None:
    """Plug in: authentication, refusals, the watch over open websockets.

    `auth`: None for the process-wide manager, looked up at each request. `cookie`: turns cookies on. `public`: paths
    for which no credentials are looked at, like the login's; one that ends in `/` means all that is below it.
    """
    backend = AuthBackend(auth, cookie=cookie, public=public)
    app.add_middleware(AuthenticationMiddleware, backend=backend, on_error=on_error)
    install_gate(app, backend.gate)


def install_gate(app: Starlette, gate: Gate) -> None:
    """The part of `install` that FastAPI needs as well."""
    app.add_middleware(GateMiddleware, gate=gate)
    app.add_exception_handler(AuthError, on_auth_error)


def current_user(connection: HTTPConnection) -> User:
    """The user of this request or websocket.

    Raises:
        CredentialsMissingError: it came without credentials.
    """
    user = connection.user
    if not isinstance(user, AuthenticatedUser):
        raise CredentialsMissingError
    return user.user


def current_token(connection: HTTPConnection) -> str:
    """The token that came, to revoke it for example.

    Raises:
        AuthError: none, or none that can be used.
    """
    return gate_of(connection.scope).get_token(connection.scope)


def requires(action: str, resource: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorate an async endpoint, function or method: only users who may do `action` on `resource` get in.

    `resource` may name path parameters: `DAG:{dag_id}`. An open websocket needs the permission as long as it is open.

    Raises:
        ConfigurationError: the template is wrong, or (at the first request) names what the path lacks.
        TypeError: the endpoint is not async.
    """
    template = ResourceTemplate(resource)

    def decorate(endpoint: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        if not iscoroutinefunction(endpoint):
            raise TypeError(f"{endpoint!r} must be an async function to be guarded")

        @wraps(endpoint)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            connection = next(value for value in (*args, *kwargs.values()) if isinstance(value, HTTPConnection))
            scope = connection.scope
            gate_of(scope).require(scope, current_user(connection), action, template.fill(connection.path_params))
            return await endpoint(*args, **kwargs)

        return guarded

    return decorate


def health_routes(auth: AuthManager | None = None) -> list[BaseRoute]:
    """`/live` and `/ready`, see `asyncauth.web.asgi.health_app`."""
    app = health_app(auth)
    return [Route(path, app) for path in HEALTH_PATHS]


def jwks_routes(auth: AuthManager | None = None) -> list[BaseRoute]:
    """`/.well-known/jwks.json`, see `asyncauth.web.asgi.jwks_app`."""
    return [Route(JWKS_PATH, jwks_app(auth))]
