"""FastAPI: the OpenAPI document, templates that do not fit, and what only FastAPI has."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket

from asyncauth import AuthManager, User
from asyncauth.errors import ConfigurationError
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.fastapi import CurrentToken, CurrentUser, current_user, install, requires
from tests.web.conftest import bearer, client


def make(auth: AuthManager | None = None, cookie: CookiePolicy | None = None) -> FastAPI:
    """An app with an open, an authenticated and a guarded route, the last one in a router."""
    app = FastAPI()
    install(app, auth, cookie=cookie)
    router = APIRouter(prefix="/teams/{team}")

    @app.get("/open")
    async def everybody() -> str:
        return "ok"

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.username

    @router.post("/dags/{dag_id}", responses={403: {"description": "ours"}})
    async def dag(user: Annotated[User, Depends(requires("can_edit", "DAG:{team}:{dag_id}"))]) -> str:
        return user.username

    app.include_router(router)
    return app


def operations(app: FastAPI) -> dict[str, Any]:
    """The one operation of each path."""
    return {path: next(iter(item.values())) for path, item in app.openapi()["paths"].items()}


def test_the_document_shows_how_to_authenticate() -> None:
    """A bearer scheme on what needs it, and nothing on what does not."""
    app = make()
    assert app.openapi()["components"]["securitySchemes"] == {
        "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    shown = operations(app)
    assert "security" not in shown["/open"]
    assert shown["/me"]["security"] == [{"Bearer": []}]
    assert shown["/teams/{team}/dags/{dag_id}"]["security"] == [{"Bearer": []}]


def test_the_document_shows_the_cookie_where_cookies_are_on() -> None:
    """As an alternative, and once however often the document is asked for."""
    app = make(cookie=CookiePolicy())
    for _ in range(2):
        schemes = app.openapi()["components"]["securitySchemes"]
        assert schemes["Cookie"] == {"type": "apiKey", "in": "cookie", "name": "__Host-asyncauth"}
        assert operations(app)["/me"]["security"] == [{"Bearer": []}, {"Cookie": []}]
        assert "security" not in operations(app)["/open"]


def test_the_document_shows_the_refusals() -> None:
    """401, 403 and 503, unless the route says something else."""
    shown = operations(make())
    assert set(shown["/open"]["responses"]) == {"200"}
    assert {"200", "401", "403", "503"} <= set(shown["/me"]["responses"])
    unauthorized = shown["/me"]["responses"]["401"]
    assert unauthorized["description"] == "the credentials are missing, invalid or expired"
    assert unauthorized["content"]["application/json"]["schema"]["properties"] == {"detail": {"type": "string"}}
    assert shown["/teams/{team}/dags/{dag_id}"]["responses"]["403"] == {"description": "ours"}


def test_a_document_without_anything_protected_stays_as_it_is() -> None:
    """Even with cookies on."""
    plain, installed = FastAPI(), FastAPI()
    install(installed, cookie=CookiePolicy())
    assert installed.openapi() == plain.openapi()


async def _start(app: FastAPI) -> None:
    async with app.router.lifespan_context(app):
        pass


async def test_a_template_that_names_what_the_path_lacks_stops_the_start() -> None:
    """Whether the dependency stands at a route, a router or a websocket."""
    guard = Depends(requires("can_read", "DAG:{dag_id}"))

    async def endpoint(other: str) -> None: ...

    async def ws(websocket: WebSocket) -> None: ...

    broken = [FastAPI() for _ in range(3)]
    broken[0].get("/things/{other}", dependencies=[guard])(endpoint)
    router = APIRouter(prefix="/things/{other}", dependencies=[guard])
    router.get("/x")(endpoint)
    broken[1].include_router(router)
    broken[2].websocket("/things/{other}", dependencies=[guard])(ws)
    for app in broken:
        install(app)
        with pytest.raises(ConfigurationError, match=r"route /things/\{other\}.* has no path parameter dag_id"):
            await _start(app)
    await _start(make())


async def test_a_router_may_bring_the_parameter() -> None:
    """In its prefix, and with a converter."""
    app = FastAPI()
    install(app)
    router = APIRouter(prefix="/dags/{dag_id:path}", dependencies=[Depends(requires("can_read", "DAG:{dag_id}"))])

    @router.get("/x")
    async def endpoint() -> None: ...

    app.include_router(router)
    await _start(app)


async def test_a_template_that_does_not_fit_never_lets_anybody_in(auth: AuthManager, token: str) -> None:
    """Also where no start was checked: 500, and the message is for the operator."""
    app = FastAPI()
    install(app, auth)

    @app.get("/x", dependencies=[Depends(requires("can_read", "DAG:{dag_id}"))])
    async def endpoint() -> None:
        raise AssertionError("reached")

    async with client(app) as http:
        with pytest.raises(ConfigurationError, match="no path parameter dag_id"):
            await http.get("/x", headers=bearer(token))


def test_a_wrong_template_is_refused_at_once() -> None:
    """When it is written."""
    with pytest.raises(ConfigurationError):
        requires("can_read", "DAG:{dag_id.__class__}")


async def test_without_install_nobody_gets_in(auth: AuthManager, token: str) -> None:
    """The message says what is missing."""
    app = FastAPI()

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        raise AssertionError("reached")

    async with client(app) as http:
        with pytest.raises(ConfigurationError, match="not installed"):
            await http.get("/me", headers=bearer(token))


async def test_two_parameters_cannot_be_mixed_up(auth: AuthManager, token: str) -> None:
    """`a:b` and `c` is not `a` and `b:c`: 403."""
    app = make(auth)
    async with client(app) as http:
        response = await http.post("/teams/a:b/dags/c", headers=bearer(token))
    assert (response.status_code, response.json()) == (403, {"detail": "path parameter team may not hold ':'"})


async def test_the_user_is_looked_up_once_per_request(
    auth: AuthManager, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many dependencies want it; and the token is there to be revoked."""
    app = FastAPI()
    install(app, auth)
    asked = []
    find = auth.find_user_from_token

    def counting(given: object) -> User | None:
        asked.append(given)
        return find(given)

    monkeypatch.setattr(auth, "find_user_from_token", counting)
    guards = [Depends(requires("can_read", resource)) for resource in ("DAG:{dag_id}", "DAG:etl")]

    @app.get("/dags/{dag_id}", dependencies=guards)
    async def dag(user: CurrentUser, given: CurrentToken) -> str:
        assert given == token
        return user.username

    async with client(app) as http:
        assert (await http.get("/dags/etl", headers=bearer(token))).json() == "ada"
    assert asked == [token]


async def test_tests_of_an_app_may_put_a_user_in(auth: AuthManager, ada: User) -> None:
    """`dependency_overrides` works; the permissions of that user count."""
    app = FastAPI()
    install(app, auth)

    @app.get("/dags/{dag_id}", dependencies=[Depends(requires("can_read", "DAG:{dag_id}"))])
    async def dag(user: CurrentUser) -> str:
        return user.username

    app.dependency_overrides[current_user] = lambda: ada
    async with client(app) as http:
        assert (await http.get("/dags/etl")).json() == "ada"
        assert (await http.get("/dags/billing")).status_code == 403
