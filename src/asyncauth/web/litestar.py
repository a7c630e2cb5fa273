"""For Litestar: a plugin that authenticates, a guard factory, and the two hooks of Litestar's own JWTAuth.

    @get("/dags/{dag_id:str}", guards=[requires("can_read", "DAG:{dag_id}")])
    async def read_dag(request: Request[User, str, State]) -> str: ...

    app = Litestar([read_dag], plugins=[AuthPlugin()])

With Litestar's JWTAuth in place of our middleware (it then wants the key as well; ours decides all the same):

    jwt = JWTAuth[User](
        token_secret=…, algorithm="HS512", retrieve_user_handler=retrieve_user, revoked_token_handler=is_revoked
    )
    app = Litestar([read_dag], plugins=[AuthPlugin(authenticate=False)], on_app_init=[jwt.on_app_init])
"""

from collections.abc import Callable
from typing import Any, cast

from litestar import Litestar, Request, Response, asgi
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.handlers.asgi_handlers import ASGIRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.plugins import InitPlugin
from litestar.types import Receive, Scope, Send

from asyncauth.errors import AuthError, CredentialsMissingError, RevokedTokenError
from asyncauth.manager import AuthManager
from asyncauth.model import User
from asyncauth.web.asgi import HEALTH_PATHS, health_app
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import Gate, GateMiddleware, gate_of
from asyncauth.web.http import refusal
from asyncauth.web.template import ResourceTemplate
from asyncauth.web.websocket import find_watch

__all__ = [
    "AuthPlugin",
    "AuthenticationMiddleware",
    "Guard",
    "health_handler",
    "is_revoked",
    "on_auth_error",
    "requires",
    "retrieve_user",
]

Connection = ASGIConnection[Any, Any, Any, Any]


class AuthenticationMiddleware(AbstractAuthenticationMiddleware):
    """Authenticates every route that does not opt out: `connection.user` is the User, `connection.auth` the token."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Raises AuthError."""
        scope = connection.scope
        gate = gate_of(scope)
        user, token = gate.recall(scope) or await gate.get_user_and_token(scope)
        return AuthenticationResult(user=user, auth=token)


class Guard:
    """See `requires`."""

    def __init__(self, action: str, template: ResourceTemplate) -> None:
        self.action = action
        self.template = template

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        scope = connection.scope
        user = scope.get("user")
        if not isinstance(user, User):
            raise CredentialsMissingError
        gate_of(scope).require(scope, user, self.action, self.template.fill(scope["path_params"]))


def requires(action: str, resource: str) -> Guard:
    """A guard that lets only users in who may do `action` on `resource`.

    `resource` may name path parameters: `DAG:{dag_id}`. An open websocket needs the permission as long as it is open.

    Raises:
        ConfigurationError: the template is wrong; at the start of the app: it names what the path lacks.
    """
    return Guard(action, ResourceTemplate(resource))


async def retrieve_user(_: object, connection: Connection) -> User:
    """For JWTAuth's `retrieve_user_handler`. The whole token is verified once more, from memory as a rule: Litestar
    looks at less of it (no `jti`, no `iss` or `aud` unless told to).

    Raises:
        AuthError: which the plugin answers.
    """
    return await gate_of(connection.scope).get_user(connection.scope)


async def is_revoked(_: object, connection: Connection) -> bool:
    """For JWTAuth's `revoked_token_handler`."""
    try:
        await retrieve_user(_, connection)
    except RevokedTokenError:
        return True
    return False


def on_auth_error(_: Request[Any, Any, Any], error: AuthError) -> Response[bytes]:
    """Exception handler for AuthError: the refusal as JSON."""
    status, headers, body = refusal(error)
    return Response(body, status_code=status, headers=headers)


async def _explain_close(error: Exception, scope: Scope) -> None:
    # Litestar turns every error of a websocket into a bare close; the watch makes the right one of it.
    watch = find_watch(scope)
    if watch and isinstance(error, AuthError):
        watch.refuse(error)


class AuthPlugin(InitPlugin):
    """Plugs in: authentication, refusals, the watch over open websockets.

    Args:
        auth: None for the process-wide manager, looked up at each request.
        cookie: turns cookies on.
        exclude: patterns of paths that need no credentials; a route opts out with `exclude_from_auth=True`.
        authenticate: False where Litestar's own JWTAuth finds the user, with our hooks.
    """

    def __init__(
        self,
        auth: AuthManager | None = None,
        *,
        cookie: CookiePolicy | None = None,
        exclude: str | list[str] | None = None,
        authenticate: bool = True,
    ) -> None:
        self.gate: Gate = Gate(auth, cookie)
        self.exclude = exclude
        self.authenticate = authenticate

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Called by Litestar."""
        ours = [DefineMiddleware(cast("Callable[..., Any]", GateMiddleware), gate=self.gate)]
        if self.authenticate:
            ours.append(DefineMiddleware(AuthenticationMiddleware, exclude=self.exclude, exclude_http_methods=[]))
        app_config.middleware = [*ours, *app_config.middleware]
        app_config.exception_handlers = {AuthError: on_auth_error, **app_config.exception_handlers}
        app_config.after_exception.append(_explain_close)
        app_config.on_startup.append(check_routes)
        return app_config


def check_routes(app: Litestar) -> None:
    """Refuse a template that names a parameter which its path lacks. `AuthPlugin` does this when the app starts.

    Raises:
        ConfigurationError: the route and the parameter.
    """
    for route in cast("list[Any]", app.routes):
        handlers = getattr(route, "route_handlers", None) or [route.route_handler]
        for guard in (guard for handler in handlers for guard in handler.resolve_guards()):
            guard = getattr(guard, "func", guard)
            if isinstance(guard, Guard):
                guard.template.check(route.path_parameters, f"route {route.path}")


def health_handler(auth: AuthManager | None = None) -> ASGIRouteHandler:
    """`/live` and `/ready`, see `asyncauth.web.asgi.health_app`."""
    app: Any = health_app(auth)

    async def health(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    handler: ASGIRouteHandler = asgi(list(HEALTH_PATHS), exclude_from_auth=True, copy_scope=True)(health)
    return handler
