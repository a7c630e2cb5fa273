"""asyncauth.testing keeps its promises, on every adapter."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect as LitestarDisconnect
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from asyncauth import AuthManager, Decision, Settings, User
from asyncauth.errors import ConfigurationError
from asyncauth.testing import as_user, make_user
from asyncauth.web import fastapi, starlette
from asyncauth.web.asgi import AuthMiddleware, health_app
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import ASGIApp, Receive, Scope, Send, json_answer, respond
from asyncauth.web.litestar import AuthPlugin
from tests.web.apps import ADAPTERS, MakeApp
from tests.web.conftest import bearer, client
from tests.web.servers import serve

ETL = [("can_read", "DAG:etl")]
ADA, GRACE = make_user("ada", permissions=ETL), make_user("grace")


@pytest.fixture
def app(make_app: MakeApp) -> ASGIApp:
    """With each adapter; there is no manager anywhere."""
    return make_app(None, None)


def make_client(app: ASGIApp) -> TestClient | LitestarClient[Litestar]:
    """The client without async, of the app's own framework."""
    return LitestarClient(app) if isinstance(app, Litestar) else TestClient(app)


async def who(app: ASGIApp, headers: dict[str, str] | None = None) -> object:
    """Whom the app takes the sender for; the status if for nobody."""
    async with client(app) as http:
        answer = await http.get("/me", headers=headers)
        return answer.json()["detail"] if answer.status_code == 200 else answer.status_code


async def test_the_real_adapter_and_the_real_decision(app: ASGIApp) -> None:
    """200; 403 with the reason that `decide` gives."""
    async with client(app) as http:
        with as_user(app, ADA) as given:
            assert given is ADA
            assert (await http.get("/dags/etl")).status_code == 200
            refused = await http.get("/dags/billing")
    assert refused.status_code == 403
    reason = "no role of `ada` has permission `can_read` on `DAG:billing` (looked at: `role of ada`)"
    assert refused.json() == {"detail": reason}


async def test_nobody(app: ASGIApp) -> None:
    """401, with the challenge of a request that carries nothing."""
    async with client(app) as http:
        with as_user(app, None):
            refused = await http.get("/me", headers=bearer("anything"))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("headers", [bearer("anything"), {"Authorization": "Basic x"}, {"X-Consistency-Token": "x"}])
async def test_whatever_a_request_carries(app: ASGIApp, headers: dict[str, str]) -> None:
    """The block says who sends it."""
    with as_user(app, ADA):
        assert await who(app, headers) == "ada"


async def test_an_inactive_user(app: ASGIApp) -> None:
    """Is refused as by a manager."""
    with as_user(app, make_user("ada", active=False)):
        assert await who(app) == 401


async def test_blocks_are_nested_and_end(app: ASGIApp) -> None:
    """However they end; afterwards a token is looked at again, which nobody can do here: 503."""
    with as_user(app, ADA):
        with suppress(KeyError), as_user(app, GRACE):
            assert await who(app) == "grace"
            raise KeyError
        assert await who(app) == "ada"
    assert await who(app) == 401
    assert await who(app, bearer("x")) == 503


async def test_tasks_at_once(app: ASGIApp) -> None:
    """Each has its own user, in whatever order they begin and end."""
    users = [make_user(f"user{number}") for number in range(5)]
    inside = asyncio.Barrier(len(users))

    async def act(user: User, turns: int) -> None:
        with as_user(app, user):
            await inside.wait()
            for _ in range(turns):
                assert await who(app) == user.username
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for turns, user in enumerate(users, 1):
            tasks.create_task(act(user, turns))
    assert await who(app) == 401


async def test_a_server_of_its_own(app: ASGIApp) -> None:
    """Its tasks have no block around them: a request is the user's of the block that was opened last."""
    async with serve(app) as address, httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as http:
        with as_user(app, ADA), as_user(app, GRACE):
            assert (await http.get("/me")).json() == {"detail": "grace"}
        assert (await http.get("/me")).status_code == 401


def test_threads_at_once(app: ASGIApp) -> None:
    """The clients that are not async run the app in a thread; tests may run in several."""
    found: dict[str, object] = {}
    inside = threading.Barrier(2)

    def act(user: User) -> None:
        http = make_client(app)
        with as_user(app, user):
            inside.wait(60)
            found[user.username] = http.get("/me").json()["detail"]
            inside.wait(60)

    threads = [threading.Thread(target=act, args=(user,)) for user in (ADA, GRACE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"ada": "ada", "grace": "grace"}


def test_a_websocket_in_a_block(app: ASGIApp) -> None:
    """Without the permission it is never opened; with it, it goes on whatever other blocks begin and end."""
    http = make_client(app)
    with as_user(app, ADA):
        with pytest.raises((WebSocketDisconnect, LitestarDisconnect)), http.websocket_connect("/ws/billing") as socket:
            socket.receive_text()
        with http.websocket_connect("/ws/etl") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
            with as_user(app, None):
                socket.send_text("again")
            assert socket.receive_text() == "again"


def test_a_websocket_that_outlives_its_block() -> None:
    """Is closed by its next message: nobody keeps a made-up user."""
    app = ADAPTERS["fastapi"](None, None)
    http = TestClient(app)
    block = as_user(app, ADA)
    block.__enter__()
    with http.websocket_connect("/ws/etl") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
        block.__exit__(None, None, None)
        socket.send_text("again")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1008


# ── which app is meant ──


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    """Says who it is."""
    await respond(send, json_answer(200, scope["user"].username))


def by_add_middleware() -> tuple[ASGIApp, object]:
    """Starlette with our plain middleware."""
    app = Starlette(routes=[Mount("/", api)])
    app.add_middleware(AuthMiddleware)
    return app, app


def by_constructor() -> tuple[ASGIApp, object]:
    """The same, said at once."""
    app = Starlette(routes=[Mount("/", api)], middleware=[Middleware(AuthMiddleware)])
    return app, app


def with_cors_around() -> tuple[ASGIApp, object]:
    """ASGI middleware around ours."""
    app: ASGIApp = CORSMiddleware(AuthMiddleware(api))
    return app, app


def mounted() -> tuple[ASGIApp, object]:
    """Ours is in an app that is mounted; the outer one is named, and has only health routes itself."""
    app = Starlette(routes=[Mount("/", AuthMiddleware(api))])
    return app, app


def the_mounted_one() -> tuple[ASGIApp, object]:
    """The inner one is named."""
    inner = AuthMiddleware(api)
    return Starlette(routes=[Mount("/", inner)]), inner


@pytest.mark.parametrize("make", [by_add_middleware, by_constructor, with_cors_around, mounted, the_mounted_one])
async def test_where_the_middleware_may_be(make: Callable[[], tuple[ASGIApp, object]]) -> None:
    """Found before and after the first request."""
    app, named = make()
    for _ in range(2):
        with as_user(named, ADA):
            assert await who(app) == "ada"
        assert await who(app) == 401


@pytest.mark.parametrize(
    "app",
    [FastAPI(), Starlette(routes=starlette.health_routes()), Litestar(), api, health_app(), None, "app"],
    ids=lambda app: type(app).__name__,
)
def test_an_app_without_us(app: object) -> None:
    """Is told what to do."""
    with pytest.raises(ConfigurationError, match=r"not installed in this .*install\(\)"), as_user(app, ADA):
        pass  # pragma: no cover


def test_litestars_own_jwt_auth() -> None:
    """Would find no token, however we stood in."""
    app = Litestar(plugins=[AuthPlugin(authenticate=False)])
    with pytest.raises(ConfigurationError, match="JWTAuth"), as_user(app, ADA):
        pass  # pragma: no cover


async def test_two_apps_are_two() -> None:
    """A block of one says nothing about the other."""
    one, other = AuthMiddleware(api), AuthMiddleware(api)
    with as_user(one, ADA):
        assert await who(other) == 401
        with as_user(other, GRACE):
            assert (await who(one), await who(other)) == ("ada", "grace")


async def test_public_paths_stay_public_and_cookies_stay_cookies() -> None:
    """The gate that acts is set up as the app's own."""
    app = Starlette()
    starlette.install(app, cookie=CookiePolicy(), public=["/open"])
    seen: list[Scope] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await respond(send, json_answer(200, "ok"))

    app.mount("/", note)
    with as_user(app, ADA):
        async with client(app) as http:
            await http.get("/open")
            await http.get("/other")
    public, other = seen
    assert not public["user"].is_authenticated
    assert other["user"].user is ADA
    assert public["asyncauth.gate"].cookie == CookiePolicy()


async def test_a_managers_own_decisions() -> None:
    """A class of somebody's own, handed to `install`, is asked, although it was never started."""

    class Generous(AuthManager):
        def decide(self, user: User, action: str, resource: str) -> Decision:  # noqa: ARG002
            return Decision(allowed=resource == "DAG:billing", user=user)

    auth = Generous(Settings(jwt_secret="x" * 64, jwt_issuer="x", jwt_audience="x"))
    app = ADAPTERS["fastapi"](auth, None)
    with as_user(app, ADA):
        async with client(app) as http:
            assert (await http.get("/dags/billing")).status_code == 200
            assert (await http.get("/dags/etl")).status_code == 403


async def test_a_handler_that_asks_for_the_token() -> None:
    """Gets a made-up one, which no manager takes."""
    app = FastAPI()
    fastapi.install(app)

    @app.get("/")
    async def show(token: fastapi.CurrentToken) -> str:
        return token

    async with client(app) as http:
        with as_user(app, ADA):
            token = (await http.get("/")).json()
        assert token.startswith("as_user ")
        assert (await http.get("/", headers=bearer(token))).status_code == 503


async def test_a_websocket_in_the_apps_own_words() -> None:
    """CurrentUser on a websocket route."""
    app = FastAPI()
    fastapi.install(app)

    @app.websocket("/")
    async def greet(socket: WebSocket, user: fastapi.CurrentUser) -> None:
        await socket.accept()
        await socket.send_text(user.username)
        await socket.close()

    def connect() -> str:
        with TestClient(app).websocket_connect("/") as socket:
            return socket.receive_text()

    with as_user(app, ADA):
        assert await asyncio.to_thread(connect) == "ada"
