"""Litestar: its plugin, and the two hooks of its own JWTAuth."""

from datetime import timedelta
from typing import Any, cast

import pytest
from litestar import Litestar, Request, WebSocket, get, websocket
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.security.jwt import JWTAuth

from asyncauth import AuthManager, User
from asyncauth.errors import ConfigurationError, ForbiddenError
from asyncauth.web.http import ASGIApp
from asyncauth.web.litestar import AuthPlugin, is_revoked, requires, retrieve_user
from tests.conftest import SECRET
from tests.web.conftest import add_user, bearer, client, deactivate
from tests.web.websocket_driver import WebsocketDriver

GUARD = requires("can_read", "DAG:{dag_id}")


@get("/dags/{dag_id:str}", guards=[GUARD])
async def dag(request: Request[Any, Any, Any]) -> str:
    """Says whose request it is."""
    return cast("str", request.user.username)


@get("/open", exclude_from_auth=True)
async def everybody() -> str:
    """Needs no credentials."""
    return "ok"


@websocket("/ws/{dag_id:str}", guards=[GUARD])
async def ws(socket: WebSocket[Any, Any, Any]) -> None:
    """Echoes."""
    await socket.accept()
    async for text in socket.iter_data("text"):
        await socket.send_text(text)


def jwt_app(auth: AuthManager) -> ASGIApp:
    """With Litestar's own JWTAuth, and our hooks in it."""
    jwt = JWTAuth[User](
        token_secret=SECRET, algorithm="HS512", retrieve_user_handler=retrieve_user, revoked_token_handler=is_revoked
    )
    plugin = AuthPlugin(auth, authenticate=False)
    app = Litestar([dag, everybody, ws], plugins=[plugin], on_app_init=[jwt.on_app_init], openapi_config=None)
    return cast("ASGIApp", app)


async def test_jwt_auth_with_our_hooks(auth: AuthManager, ada: User, token: str) -> None:
    """The same 200, 403 and 401 as everywhere."""
    idle = await add_user(auth, "idle")
    await deactivate(auth, idle)
    async with client(jwt_app(auth)) as http:
        assert (await http.get("/open")).text == "ok"
        assert (await http.get("/dags/etl", headers=bearer(token))).text == "ada"
        assert (await http.get("/dags/billing", headers=bearer(token))).status_code == 403
        assert (await http.get("/dags/etl")).status_code == 401
        assert (await http.get("/dags/etl", headers=bearer("garbage"))).status_code == 401
        assert (await http.get("/dags/etl", headers=bearer(auth.issue_token(idle.id)))).status_code == 401
        await auth.revoke_token(token)
        response = await http.get("/dags/etl", headers=bearer(token))
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_the_hooks_verify_what_litestar_does_not_look_at(auth: AuthManager, ada: User) -> None:
    """A token signed with our key, but without `jti`, issuer and audience, is not one of ours."""
    jwt = JWTAuth[User](token_secret=SECRET, algorithm="HS512", retrieve_user_handler=retrieve_user)
    foreign = jwt.create_token(str(ada.id), token_expiration=timedelta(hours=1))
    async with client(jwt_app(auth)) as http:
        assert (await http.get("/dags/etl", headers=bearer(foreign))).status_code == 401


async def test_the_hooks_do_not_take_an_outage_for_a_refusal(auth: AuthManager, token: str) -> None:
    """503."""
    app = jwt_app(auth)
    await auth.close()
    async with client(app) as http:
        assert (await http.get("/dags/etl", headers=bearer(token))).status_code == 503


async def test_is_revoked(auth: AuthManager, token: str) -> None:
    """The hook by itself: asked before and after."""
    answers: list[bool] = []

    @get("/")
    async def ask(request: Request[Any, Any, Any]) -> None:
        answers.append(await is_revoked(None, request))

    plugin = AuthPlugin(auth, authenticate=False)
    async with client(cast("ASGIApp", Litestar([ask], plugins=[plugin], openapi_config=None))) as http:
        await http.get("/", headers=bearer(token))
        await auth.revoke_token(token)
        await http.get("/", headers=bearer(token))
    assert answers == [False, True]


async def test_websockets_with_jwt_auth_are_watched(auth: AuthManager, token: str) -> None:
    """The hooks hold the watch as our middleware does."""
    app = jwt_app(auth)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    async with WebsocketDriver(app, "/ws/etl", headers) as connection:
        await connection.accepted()
        await connection.echo("hello")
        await auth.revoke_token(token)
        await connection.say("too late")
        assert await connection.closed() == 1008
    async with WebsocketDriver(app, "/ws/etl", headers) as connection:
        assert (await connection.denied())[0] == 401


async def test_head_is_authenticated_although_jwt_auth_skips_it(auth: AuthManager) -> None:
    """JWTAuth lets HEAD and OPTIONS through without looking; the guard does not."""

    @get("/dags/{dag_id:str}", guards=[GUARD])
    async def dags() -> None:
        raise AssertionError("reached")

    jwt = JWTAuth[User](
        token_secret=SECRET, retrieve_user_handler=retrieve_user, exclude_http_methods=["GET", "HEAD", "OPTIONS"]
    )
    plugin = AuthPlugin(auth, authenticate=False)
    app = Litestar([dags], plugins=[plugin], on_app_init=[jwt.on_app_init], openapi_config=None)
    async with client(cast("ASGIApp", app)) as http:
        assert (await http.get("/dags/etl")).status_code == 401


async def _start(app: Litestar) -> None:
    async with app.lifespan():
        pass


async def test_a_template_that_names_what_the_path_lacks_stops_the_start(auth: AuthManager) -> None:
    """On routes and websockets, wherever the guard was put."""

    @get("/things/{other:str}", guards=[GUARD])
    async def thing() -> None: ...

    @websocket("/things/{other:str}", guards=[GUARD])
    async def socket(socket: WebSocket[Any, Any, Any]) -> None: ...

    refused = pytest.RaisesExc(ConfigurationError, match=r"route /.* has no path parameter dag_id")
    for handler in (thing, socket):
        with pytest.RaisesGroup(refused):
            await _start(Litestar([handler], plugins=[AuthPlugin(auth)]))
    with pytest.RaisesGroup(refused):
        await _start(Litestar([everybody], guards=[GUARD], plugins=[AuthPlugin(auth)], openapi_config=None))
    await _start(Litestar([dag, everybody, ws], plugins=[AuthPlugin(auth)]))


async def test_other_guards_stay(auth: AuthManager, token: str) -> None:
    """The app's own handlers and guards work beside ours."""

    async def never(_: ASGIConnection[Any, Any, Any, Any], __: BaseRouteHandler) -> None:
        raise ForbiddenError("not today")

    app = Litestar([dag], guards=[never], plugins=[AuthPlugin(auth)], openapi_config=None)
    await _start(app)
    async with client(cast("ASGIApp", app)) as http:
        response = await http.get("/dags/etl", headers=bearer(token))
    assert (response.status_code, response.json()) == (403, {"detail": "not today"})


async def test_routes_may_be_excluded_by_pattern(auth: AuthManager) -> None:
    """As with all of Litestar's middleware."""

    @get("/public/page")
    async def page() -> str:
        return "ok"

    app = Litestar([page], plugins=[AuthPlugin(auth, exclude="^/public")], openapi_config=None)
    async with client(cast("ASGIApp", app)) as http:
        assert (await http.get("/public/page", headers=bearer("garbage"))).text == "ok"


async def test_an_error_after_the_accept_closes_with_its_own_code(auth: AuthManager, token: str) -> None:
    """Not with Litestar's 4500."""

    @websocket("/")
    async def late(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        raise ForbiddenError("because")

    app = cast("ASGIApp", Litestar([late], plugins=[AuthPlugin(auth)], openapi_config=None))
    async with WebsocketDriver(app, "/", [(b"authorization", f"Bearer {token}".encode())]) as connection:
        await connection.accepted()
        assert await connection.closed() == 1008
