"""For FastAPI: `install` once, then dependencies.

    app = FastAPI()
    install(app)

    @app.get("/dags/{dag_id}", dependencies=[Depends(requires("can_read", "DAG:{dag_id}"))])
    async def read_dag(dag_id: str, user: CurrentUser) -> dict[str, str]: ...

Both work on HTTP and websocket routes. For tests of your own: `asyncauth.testing`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import fastapi.routing
import fastapi.utils
from fastapi import Depends, FastAPI, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from asyncauth.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from asyncauth.manager import AuthManager
from asyncauth.model import User
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import Gate, gate_of
from asyncauth.web.starlette import current_token, install_gate
from asyncauth.web.template import ResourceTemplate

__all__ = ["CurrentToken", "CurrentUser", "current_user", "install", "requires"]

BEARER, COOKIE = "Bearer", "Cookie"
"""Names of the security schemes in the OpenAPI document."""
_RESPONSES = {
    str(error.status): error.public_message for error in (UnauthenticatedError, ForbiddenError, UnavailableError)
}


class _CurrentUser(SecurityBase):
    """Authenticates; being a SecurityBase shows it in the OpenAPI document."""

    def __init__(self) -> None:
        self.model: SecurityModel = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = BEARER

    async def __call__(self, connection: HTTPConnection) -> User:
        scope = connection.scope
        gate = gate_of(scope)
        found = gate.recall(scope)
        return await gate.get_user(scope) if found is None else found[0]


current_user: _CurrentUser = _CurrentUser()
"""The dependency behind `CurrentUser`."""
CurrentUser = Annotated[User, Security(current_user)]
"""Type of a parameter: the user of this request or websocket. Without valid credentials there is no call."""


async def _current_token(connection: HTTPConnection, _: CurrentUser) -> str:
    return current_token(connection)


CurrentToken = Annotated[str, Depends(_current_token)]
"""Type of a parameter: the token with which `CurrentUser` was found, to revoke it for example."""


@dataclass(frozen=True, eq=False)  # FastAPI takes its hash at each request: that of an object is the cheapest
class _Requires:
    action: str
    template: ResourceTemplate

    async def __call__(self, connection: HTTPConnection, user: CurrentUser) -> User:
        scope = connection.scope
        gate_of(scope).require(scope, user, self.action, self.template.fill(scope["path_params"]))
        return user


def requires(action: str, resource: str) -> _Requires:
    """A dependency that lets only users in who may do `action` on `resource`, and gives the user.

    `resource` may name path parameters (`DAG:{dag_id}`); their text is taken as it stands in the path, before
    FastAPI converts it. An open websocket needs the permission as long as it is open.

    Raises:
        ConfigurationError: the template is wrong; at the start of the app: it names what the path lacks.
    """
    return _Requires(action, ResourceTemplate(resource))


def install(app: FastAPI, auth: AuthManager | None = None, *, cookie: CookiePolicy | None = None) -> None:
    """Plug in: refusals, the watch over open websockets, the OpenAPI document.

    `auth`: None for the process-wide manager, looked up at each request. `cookie`: turns cookies on.
    """
    install_gate(app, Gate(auth, cookie))
    _check_at_start(app)
    _document(app, cookie)


# ── routes ──


def _check_at_start(app: FastAPI) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        check_routes(app)
        async with inner(app) as state:
            yield state

    app.router.lifespan_context = lifespan


def check_routes(app: FastAPI) -> None:
    """Refuse a template that names a parameter which its path lacks. `install` does this when the app starts.

    Raises:
        ConfigurationError: the route and the parameter.
    """
    # FastAPI before 0.137 has a flat list of routes, and no function to walk it.
    walk: Callable[[Any], Iterable[Any]] = getattr(fastapi.routing, "iter_route_contexts", iter)
    for route in walk(app.routes):
        dependant = getattr(route, "dependant", None)
        for call in _calls(dependant) if dependant else ():
            if isinstance(call, _Requires):
                call.template.check(fastapi.utils.get_path_param_names(route.path_format), f"route {route.path_format}")


def _calls(dependant: Any) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


# ── the OpenAPI document ──


def _document(app: FastAPI, cookie: CookiePolicy | None) -> None:
    original = app.openapi

    def openapi() -> dict[str, Any]:
        schema = original()
        operations = [operation for operation in _operations(schema) if {BEARER: []} in operation.get("security", [])]
        for operation in operations:
            for status, description in _RESPONSES.items():
                operation["responses"].setdefault(status, _response(description))
        if cookie is not None and operations:
            schemes = schema["components"]["securitySchemes"]
            schemes[COOKIE] = {"type": "apiKey", "in": "cookie", "name": cookie.name}
            for operation in operations:
                if {COOKIE: []} not in operation["security"]:
                    operation["security"].append({COOKIE: []})
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _operations(schema: dict[str, Any]) -> Iterable[dict[str, Any]]:
    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    return [path[method] for path in schema.get("paths", {}).values() for method in methods if method in path]


def _response(description: str) -> dict[str, Any]:
    body = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    return {"description": description, "content": {"application/json": {"schema": body}}}
