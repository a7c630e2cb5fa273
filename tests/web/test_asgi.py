"""What the plain ASGI middleware does beyond what all adapters do."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from asyncauth import AuthManager, Settings, close_auth_manager, create_auth_manager
from asyncauth.errors import (
    AuthError,
    BusyError,
    ConfigurationError,
    CrossOriginError,
    ExpiredTokenError,
    ForbiddenError,
    LoginError,
    TakenError,
    UserInactiveError,
)
from asyncauth.web.asgi import AuthMiddleware, health_app
from asyncauth.web.gate import gate_of
from asyncauth.web.http import CLOSED, Receive, Scope, Send, json_answer, refusal, respond
from tests.web.conftest import bearer, client
from tests.web.websocket_driver import WebsocketDriver


async def ok(_: Scope, __: Receive, send: Send) -> None:
    """An app that answers everything."""
    await respond(send, json_answer(200, "ok"))


PUBLIC = ("/login", "/static/a.css", "/static/deep/a.css", "/static/", "/static/..a")
PRIVATE = ("/login/", "/loginx", "/static", "/static/../dags", "/static/..", "/Login", "//login", "", "/")


async def test_public_paths(auth: AuthManager) -> None:
    """Exactly, or below an entry that ends in a slash."""
    app = AuthMiddleware(ok, auth, public=["/login", "/static/"])
    for path in PUBLIC:
        assert await _status(app, path) == 200, path
    for path in PRIVATE:
        assert await _status(app, path) == 401, path


async def test_public_paths_below_a_mount(auth: AuthManager) -> None:
    """`root_path` is not part of them."""
    app = AuthMiddleware(ok, auth, public=["/login"])
    assert await _status(app, "/api/login", root_path="/api") == 200
    assert await _status(app, "/login", root_path="/api") == 200
    assert await _status(app, "/apilogin", root_path="/api") == 401


async def _status(app: AuthMiddleware, path: str, root_path: str = "") -> int:
    # By hand: a client would tidy the path up.
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody reads the body")

    scope = {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": []}
    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


async def test_public_means_that_credentials_are_not_looked_at(auth: AuthManager) -> None:
    """An old token does not lock anybody out of the login."""
    async with client(AuthMiddleware(ok, auth, public=["/login"])) as http:
        assert (await http.get("/login", headers=bearer("garbage"))).status_code == 200


async def test_lifespan_passes_through(auth: AuthManager) -> None:
    """The very same objects."""
    seen: list[object] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send))

    scope: Scope = {"type": "lifespan"}
    given: tuple[Any, Any] = (object(), object())
    await AuthMiddleware(inside, auth)(scope, *given)
    assert seen == [scope, *given]
    assert scope == {"type": "lifespan"}


async def test_errors_of_the_app_inside_become_responses(auth: AuthManager) -> None:
    """A route may simply raise; what had begun stays broken, and the server says that it takes no second answer."""

    async def refuse(scope: Scope, _: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LoginError

    async with client(AuthMiddleware(refuse, auth, public=["/", "/late"])) as http:
        response = await http.get("/")
        assert (response.status_code, response.json()) == (401, {"detail": "wrong user name or password"})
        assert response.headers["www-authenticate"] == "Bearer"
        with pytest.raises(AssertionError) as complaint:  # httpx's, as the server here
            await http.get("/late")
        assert isinstance(complaint.value.__context__, LoginError)


async def test_a_mistake_of_the_server_is_not_an_answer(auth: AuthManager) -> None:
    """It reaches the server, which logs it and answers 500."""

    async def wrong(_: Scope, __: Receive, ___: Send) -> None:
        raise ConfigurationError("no gate")

    async with client(AuthMiddleware(wrong, auth, public=["/"])) as http:
        with pytest.raises(ConfigurationError):
            await http.get("/")
    with pytest.raises(ConfigurationError, match="not installed"):
        gate_of({"type": "http"})


async def test_the_process_wide_manager(settings: Settings) -> None:
    """Looked up at each request, so it may start later and be another one tomorrow."""
    app = AuthMiddleware(ok)
    ready = health_app()
    try:
        async with client(app) as http, client(ready) as health:
            assert (await http.get("/", headers=bearer("x"))).status_code == 503
            response = await health.get("/ready")
            assert (response.status_code, "no auth manager" in response.text) == (503, True)
            await create_auth_manager(settings)
            assert (await http.get("/", headers=bearer("x"))).status_code == 401
            assert (await health.get("/ready")).status_code == 200
    finally:
        await close_auth_manager()


async def test_a_websocket_on_a_public_path(auth: AuthManager) -> None:
    """Nobody is asked for and nothing is watched."""

    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert "user" not in scope
        await receive()

    async with WebsocketDriver(AuthMiddleware(api, auth, public=["/ws"]), "/ws") as ws:
        await ws.accepted()
        await ws.say("bye")
        assert await ws.ended() is None


async def test_a_middleware_in_a_middleware(auth: AuthManager, token: str) -> None:
    """The client is told once."""

    async def api(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    inner = AuthMiddleware(api, auth, requires=lambda _: ("can_read", "DAG:etl"))
    headers = [(b"authorization", f"Bearer {token}".encode())]
    async with WebsocketDriver(AuthMiddleware(inner, auth), "/", headers) as ws:
        await ws.accepted()
        await auth.revoke_token(token)
        assert await ws.closed() == 1008
        assert await ws.ended() is None
        assert ws.from_app.empty()


Case = tuple[AuthError, int, dict[str, str], str]
CASES: list[Case] = [
    (ExpiredTokenError("at 12"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, "the credentials are"),
    (UserInactiveError("ada"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, "the credentials are"),
    (LoginError("no such user"), 401, {"WWW-Authenticate": "Bearer"}, "wrong user name or password"),
    (ForbiddenError("because"), 403, {}, "because"),
    (CrossOriginError(), 403, {}, "a cookie is accepted"),
    (BusyError("full", retry_after_seconds=7), 503, {"Retry-After": "7"}, "the answer cannot be known"),
    (TakenError("`ada` is taken"), 409, {}, "`ada` is taken"),
]


@pytest.mark.parametrize(("error", "status", "headers", "detail"), CASES, ids=lambda case: type(case).__name__)
def test_refusal(error: AuthError, status: int, headers: dict[str, str], detail: str) -> None:
    """The one place where errors become HTTP; what is for the log only stays there."""
    answer = refusal(error)
    assert answer.status == status
    fixed = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))}
    assert answer.headers == fixed | CLOSED | headers
    assert answer.body.startswith(f'{{"detail":"{detail}'.encode())


async def test_health_answers_nothing_else(auth: AuthManager) -> None:
    """404, 405 with Allow, HEAD without a body, no websocket, no lifespan."""
    app = health_app(auth)
    async with client(app) as http:
        assert (await http.get("/")).status_code == 404
        response = await http.post("/ready")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert (await http.head("/ready")).status_code == 200
        assert (await http.get("/ready")).headers["cache-control"] == "no-store"
    async with WebsocketDriver(app, "/live") as ws:
        assert await ws.closed() == 1000
    with pytest.raises(NotImplementedError):
        await app({"type": "lifespan"}, *_nothing())


def _nothing() -> tuple[Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]]:
    async def receive() -> Any:
        return None

    async def send(_: Any) -> None:
        return None

    return receive, send


async def test_a_refusal_is_logged_with_its_code_and_without_its_token(
    auth: AuthManager, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Outside all look the same; the log tells them apart."""
    caplog.set_level("INFO", "asyncauth.web")
    await auth.revoke_token(token)
    async with client(AuthMiddleware(ok, auth)) as http:
        responses: list[httpx.Response] = [await http.get("/", headers=bearer(bad)) for bad in (token, "garbage")]
    assert len({response.content for response in responses}) == 1
    assert [record.getMessage().split(":")[0] for record in caplog.records if record.name == "asyncauth.web"] == [
        "401 token_revoked",
        "401 token_malformed",
    ]
    assert token not in caplog.text


async def test_whoever_forgot_the_manager_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """At a level that is seen where nobody set logging up."""

    async def nothing(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError

    async with client(AuthMiddleware(nothing)) as http:
        assert (await http.get("/", headers=bearer("a.b.c"))).status_code == 503
    (said,) = [record for record in caplog.records if record.name == "asyncauth.web"]
    assert (said.levelname, "create_auth_manager" in said.getMessage()) == ("WARNING", True)
