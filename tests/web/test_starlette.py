"""Starlette: its own words for users and errors, and the backend without `install`."""

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError
from starlette.authentication import requires as starlette_requires
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from asyncauth import AuthManager, User
from asyncauth.errors import AuthError, ConfigurationError
from asyncauth.web.starlette import AuthBackend, AuthenticatedUser, install, on_auth_error, on_error, requires
from tests.web.conftest import bearer, client


async def who(request: Request) -> Response:
    """What Starlette knows of the user."""
    user = request.user
    return JSONResponse([user.is_authenticated, user.display_name, request.auth.scopes])


async def test_requests_without_credentials_are_starlettes_unauthenticated_user(auth: AuthManager) -> None:
    """The route decides what to do with them."""
    app = Starlette(routes=[Route("/", who)])
    install(app, auth)
    async with client(app) as http:
        assert (await http.get("/")).json() == [False, "", []]


async def test_bad_credentials_are_refused_on_any_route_but_public_ones(auth: AuthManager, token: str) -> None:
    """401 JSON; an old token locks nobody out of the login."""
    app = Starlette(routes=[Route("/", who), Route("/login", who)])
    install(app, auth, public=["/login"])
    async with client(app) as http:
        response = await http.get("/", headers=bearer("garbage"))
        assert (response.status_code, response.headers["content-type"]) == (401, "application/json")
        assert (await http.get("/login", headers=bearer("garbage"))).json() == [False, "", []]
        assert (await http.get("/login", headers=bearer(token))).json() == [False, "", []]


async def test_the_user_in_starlettes_words(auth: AuthManager, token: str) -> None:
    """Authenticated, with the scope of that name, so that Starlette's own `requires` works, too."""

    @starlette_requires("authenticated")
    async def inside(request: Request) -> Response:
        return await who(request)

    app = Starlette(routes=[Route("/", inside)])
    install(app, auth)
    async with client(app) as http:
        assert (await http.get("/", headers=bearer(token))).json() == [True, "ada", ["authenticated"]]
        assert (await http.get("/")).status_code == 403  # Starlette's own answer


def test_names() -> None:
    """First and last name, where there are any."""
    user = AuthenticatedUser(User(7, "ada", first_name="Ada", last_name="Lovelace"))
    assert (user.display_name, user.identity, user.is_authenticated) == ("Ada Lovelace", "7", True)
    assert AuthenticatedUser(User(7, "ada")).display_name == "ada"


async def test_the_backend_alone(auth: AuthManager, token: str) -> None:
    """With Starlette's middleware and our two handlers, for who composes middleware by hand."""

    @requires("can_read", "DAG:{dag_id}")
    async def dag(request: Request) -> Response:
        return await who(request)

    app = Starlette(
        routes=[Route("/dags/{dag_id}", dag)],
        middleware=[Middleware(AuthenticationMiddleware, backend=AuthBackend(auth), on_error=on_error)],
        exception_handlers={AuthError: on_auth_error},
    )
    async with client(app) as http:
        assert (await http.get("/dags/etl", headers=bearer(token))).status_code == 200
        assert (await http.get("/dags/billing", headers=bearer(token))).status_code == 403
        assert (await http.get("/dags/etl", headers=bearer("garbage"))).status_code == 401
        assert (await http.get("/dags/etl")).status_code == 401
        await auth.close()
        assert (await http.get("/dags/etl", headers=bearer(token))).status_code == 503


async def test_methods_and_mounted_apps(auth: AuthManager, token: str) -> None:
    """`requires` finds the request in a method's arguments, and the gate from inside a mount."""

    class Dag(HTTPEndpoint):
        @requires("can_read", "DAG:{dag_id}")
        async def get(self, request: Request) -> Response:
            return await who(request)

    app = Starlette(routes=[Mount("/api", routes=[Route("/dags/{dag_id}", Dag)])])
    install(app, auth)
    async with client(app) as http:
        assert (await http.get("/api/dags/etl", headers=bearer(token))).status_code == 200
        assert (await http.get("/api/dags/billing", headers=bearer(token))).status_code == 403
        assert (await http.get("/api/dags/etl")).status_code == 401


def test_an_endpoint_must_be_async() -> None:
    """A sync one would run in a thread, past the guard's `await`."""
    with pytest.raises(TypeError, match="must be an async function"):
        requires("can_read", "DAGs")(lambda _: Response())  # type: ignore[arg-type, return-value]


async def test_a_template_that_does_not_fit_never_lets_anybody_in(auth: AuthManager, token: str) -> None:
    """An error for the operator."""

    @requires("can_read", "DAG:{dag_id}")
    async def dag(_: Request) -> Response:
        raise AssertionError("reached")

    app = Starlette(routes=[Route("/x", dag)])
    install(app, auth)
    async with client(app) as http:
        with pytest.raises(ConfigurationError, match="no path parameter dag_id"):
            await http.get("/x", headers=bearer(token))


async def test_without_install_nobody_gets_in() -> None:
    """Starlette itself has no user then, and we no gate."""

    @requires("can_read", "DAGs")
    async def dags(_: Request) -> Response:
        raise AssertionError("reached")

    async with client(Starlette(routes=[Route("/", dags)])) as http:
        with pytest.raises(ConfigurationError, match="not installed"):
            await http.get("/")


def test_errors_of_other_backends_are_not_ours() -> None:
    """Raised on."""
    error = AuthenticationError("somebody else's")
    with pytest.raises(AuthenticationError, match="somebody else's"):
        on_error(HTTPConnection({"type": "http"}), error)
