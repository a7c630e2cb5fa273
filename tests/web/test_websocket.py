"""Websockets: the handshake, and what happens to an open one when the right is gone. Every test with each adapter."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncauth import AuthManager, Settings, User, admin
from asyncauth.clock import Clock
from asyncauth.errors import ForbiddenError
from asyncauth.web import websocket
from asyncauth.web.asgi import AuthMiddleware
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import ASGIApp, Receive, Scope, Send
from tests.web.apps import MakeApp
from tests.web.conftest import add_user, deactivate
from tests.web.websocket_driver import WAIT_SECONDS, Headers, WebsocketDriver

COOKIE = CookiePolicy()


def sent(token: str) -> Headers:
    """The header of a handshake."""
    return [(b"authorization", f"Bearer {token}".encode())]


async def test_an_open_websocket_works(app: ASGIApp, token: str) -> None:
    """Messages pass; when the client leaves, nothing of ours stays."""
    async with WebsocketDriver(app, "/ws/etl", sent(token)) as ws:
        await ws.accepted()
        await ws.echo("hello")
        await ws.echo("again")
        await ws.to_app.put({"type": "websocket.disconnect", "code": 1001, "reason": ""})
        assert await ws.ended() is None
        assert ws.from_app.empty()


# ── the handshake ──


async def test_a_handshake_without_credentials(app: ASGIApp) -> None:
    """401 where the server can send it, else a close before the accept."""
    async with WebsocketDriver(app, "/ws/etl") as ws:
        status, headers, body = await ws.denied()
        assert (status, headers["www-authenticate"], headers["cache-control"]) == (401, "Bearer", "no-store")
        assert body == b'{"detail":"the credentials are missing, invalid or expired"}'
        assert await ws.ended() is None
    async with WebsocketDriver(app, "/ws/etl", denial=False) as ws:
        assert await ws.closed() == 1008
        assert await ws.ended() is None


async def test_a_handshake_with_bad_credentials(app: ASGIApp) -> None:
    """401, invalid_token."""
    async with WebsocketDriver(app, "/ws/etl", sent("garbage")) as ws:
        status, headers, _ = await ws.denied()
        assert (status, headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    async with WebsocketDriver(app, "/ws/etl", sent("garbage"), denial=False) as ws:
        await ws.closed()
        assert await ws.ended() is None


async def test_a_handshake_without_the_permission(app: ASGIApp, token: str) -> None:
    """403 with the reason."""
    async with WebsocketDriver(app, "/ws/billing", sent(token)) as ws:
        status, _, body = await ws.denied()
        assert status == 403
        assert b"no role of `ada` has permission `can_read` on `DAG:billing`" in body
    async with WebsocketDriver(app, "/ws/billing", sent(token), denial=False) as ws:
        assert await ws.closed() == 1008


async def test_a_handshake_that_cannot_be_judged(app: ASGIApp, auth: AuthManager, token: str) -> None:
    """503 with Retry-After, or 1013."""
    await auth.close()
    async with WebsocketDriver(app, "/ws/etl", sent(token)) as ws:
        status, headers, _ = await ws.denied()
        assert (status, headers["retry-after"]) == (503, "1")
    async with WebsocketDriver(app, "/ws/etl", sent(token), denial=False) as ws:
        assert await ws.closed() == 1013


async def test_a_handshake_with_a_cookie_is_from_our_own_pages(
    make_app: MakeApp, auth: AuthManager, token: str
) -> None:
    """A websocket is never a safe method, although its handshake is a GET."""
    app = make_app(auth, COOKIE)
    cookie = (b"cookie", f"{COOKIE.name}={token}".encode())
    for headers in ([], [(b"origin", b"http://evil.example")], [(b"origin", b"null")]):
        async with WebsocketDriver(app, "/ws/etl", [cookie, *headers]) as ws:
            assert (await ws.denied())[0] == 403
    for headers in ([(b"origin", b"http://testserver")], [(b"sec-fetch-site", b"same-origin")]):
        async with WebsocketDriver(app, "/ws/etl", [cookie, *headers]) as ws:
            await ws.accepted()
            await ws.echo("hello")


# ── an open websocket whose right is gone ──

Change = Callable[[AuthManager, User, str], Awaitable[None]]


async def _revoke(auth: AuthManager, _: User, token: str) -> None:
    await auth.revoke_token(token)


async def _take_permission(auth: AuthManager, _: User, __: str) -> None:
    await admin.take_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")


async def _take_role(auth: AuthManager, _: User, __: str) -> None:
    await admin.take_role(auth, username="ada", role="Viewer")


async def _deactivate(auth: AuthManager, ada: User, _: str) -> None:
    await deactivate(auth, ada)


async def _close(auth: AuthManager, _: User, __: str) -> None:
    await auth.close()


GONE: dict[str, tuple[Change, int]] = {
    "token revoked": (_revoke, 1008),
    "permission taken": (_take_permission, 1008),
    "role taken": (_take_role, 1008),
    "user inactive": (_deactivate, 1008),
    "cannot be known": (_close, 1013),
}


@pytest.mark.parametrize("case", GONE)
async def test_the_next_message_closes(app: ASGIApp, auth: AuthManager, ada: User, token: str, case: str) -> None:
    """The message does not reach the app, and the app is told that it is over."""
    change, code = GONE[case]
    async with WebsocketDriver(app, "/ws/etl", sent(token)) as ws:
        await ws.accepted()
        await ws.echo("hello")
        await change(auth, ada, token)
        await ws.say("too late")
        assert await ws.closed() == code
        assert await ws.ended() is None
        assert ws.from_app.empty()


@pytest.mark.parametrize("case", GONE)
async def test_silence_closes_as_well(
    app: ASGIApp, auth: AuthManager, ada: User, token: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any message, and although the app only waits for one."""
    monkeypatch.setattr(websocket, "RECHECK_SECONDS", 0.02)
    change, code = GONE[case]
    async with WebsocketDriver(app, "/ws/etl", sent(token)) as ws:
        await ws.accepted()
        await change(auth, ada, token)
        assert await ws.closed() == code
        assert await ws.ended() is None


def test_at_least_each_second() -> None:
    """The interval, plus whatever the event loop is late."""
    assert websocket.RECHECK_SECONDS <= 0.5


async def test_an_expired_token_closes(make_app: MakeApp, settings: Settings) -> None:
    """`exp` is looked at again, although nothing in the database has changed."""
    now = [1_000_000.0]
    async with AuthManager(settings, clock=Clock(now=lambda: now[0])) as auth:
        role = await admin.create_role(auth, "Viewer")
        await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")
        token = auth.issue_token((await add_user(auth, "ada", role.id)).id)
        async with WebsocketDriver(make_app(auth, None), "/ws/etl", sent(token)) as ws:
            await ws.accepted()
            await ws.echo("hello")
            now[0] += settings.jwt_expiration_seconds + settings.jwt_leeway_seconds + 1
            await ws.say("too late")
            assert await ws.closed() == 1008


async def test_stale_memory_closes(make_app: MakeApp, settings: Settings) -> None:
    """Nothing is granted on what is not proven current: 1013, try again later."""
    passed = [0.0]
    slow = settings.model_copy(update={"poll_interval_seconds": 60.0, "max_staleness_seconds": 120.0})
    async with AuthManager(slow, clock=Clock(elapsed=lambda: passed[0])) as auth:
        role = await admin.create_role(auth, "Viewer")
        await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")
        token = auth.issue_token((await add_user(auth, "ada", role.id)).id)
        async with WebsocketDriver(make_app(auth, None), "/ws/etl", sent(token)) as ws:
            await ws.accepted()
            passed[0] += 121
            await ws.say("too late")
            assert await ws.closed() == 1013


async def test_an_evicted_user_is_loaded_again(make_app: MakeApp, settings: Settings) -> None:
    """Eviction is no refusal."""
    async with AuthManager(settings.model_copy(update={"user_cache_size": 1})) as auth:
        role = await admin.create_role(auth, "Viewer")
        await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")
        token = auth.issue_token((await add_user(auth, "ada", role.id)).id)
        other = auth.issue_token((await add_user(auth, "grace")).id)
        async with WebsocketDriver(make_app(auth, None), "/ws/etl", sent(token)) as ws:
            await ws.accepted()
            await auth.get_user_from_token(other)
            assert auth.find_user_from_token(token) is None
            await ws.echo("hello")


async def test_a_cancelled_server_leaves_nothing(app: ASGIApp, token: str) -> None:
    """The cancellation reaches the app and comes out again; the fixture looks for tasks."""
    async with WebsocketDriver(app, "/ws/etl", sent(token)) as ws:
        await ws.accepted()
        assert ws.task is not None
        ws.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ws.task


# ── apps that do something else than wait for the next message ──


def _app(auth: AuthManager, inside: Callable[[Receive, Send], Awaitable[None]]) -> ASGIApp:
    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await inside(receive, send)

    return AuthMiddleware(api, auth, requires=lambda _: ("can_read", "DAG:etl"))


async def test_a_push_is_checked(auth: AuthManager, ada: User, token: str) -> None:
    """What an app sends by itself does not go out once the right is gone; the app gets an OSError."""
    pushing = asyncio.Event()
    raised: list[BaseException] = []

    async def push(_: Receive, send: Send) -> None:
        await pushing.wait()
        try:
            await send({"type": "websocket.send", "text": "secret"})
        except OSError as error:
            raised.append(error)
            raise

    async with WebsocketDriver(_app(auth, push), "/", sent(token)) as ws:
        await ws.accepted()
        await auth.revoke_token(token)
        pushing.set()
        assert await ws.closed() == 1008
        assert await ws.ended() is None  # ours, so nobody else has to hear of it
        assert len(raised) == 1
        assert ws.from_app.empty()


async def test_an_app_stuck_on_a_client_that_does_not_read_is_woken(auth: AuthManager, ada: User, token: str) -> None:
    """The message that was waiting does not go out any more."""

    async def push(_: Receive, send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "data"})

    ws = WebsocketDriver(_app(auth, push), "/", sent(token))
    ws.reading.clear()
    async with ws:
        await ws.accepted()
        await auth.revoke_token(token)
        assert await ws.closed() == 1008
        assert await ws.ended() is None
        assert ws.from_app.empty()


async def test_an_app_that_only_sleeps_is_closed(auth: AuthManager, ada: User, token: str) -> None:
    """The connection is closed without its help; it learns at its next message."""
    awake = asyncio.Event()

    async def sleep(receive: Receive, _: Send) -> None:
        await awake.wait()
        assert (await receive())["type"] == "websocket.disconnect"

    async with WebsocketDriver(_app(auth, sleep), "/", sent(token)) as ws:
        await ws.accepted()
        await auth.revoke_token(token)
        assert await ws.closed() == 1008
        awake.set()
        assert await ws.ended() is None


@pytest.mark.parametrize("ask", [True, False])
async def test_a_client_that_is_gone_while_we_close(auth: AuthManager, ada: User, token: str, *, ask: bool) -> None:
    """The server's OSError ends in ours, whether a message or the time brought the close about."""

    async def wait(receive: Receive, _: Send) -> None:
        assert (await receive())["type"] == "websocket.disconnect"

    ws = WebsocketDriver(_app(auth, wait), "/", sent(token))
    async with ws:
        await ws.accepted()

        async def gone(message: object) -> None:
            raise OSError

        ws.from_app.put = gone  # type: ignore[method-assign, assignment]
        await auth.revoke_token(token)
        if ask:
            await ws.say("too late")
        assert await ws.ended() is None


async def test_an_app_that_hangs_up_is_not_closed_twice(auth: AuthManager, ada: User, token: str) -> None:
    """After the app's own close there is nothing to check."""
    done = asyncio.Event()

    async def hang_up(_: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 1000, "reason": "bye"})
        await done.wait()

    async with WebsocketDriver(_app(auth, hang_up), "/", sent(token)) as ws:
        await ws.accepted()
        assert await ws.closed() == 1000
        await auth.revoke_token(token)
        await asyncio.sleep(1.5 * websocket.RECHECK_SECONDS)
        done.set()
        assert await ws.ended() is None
        assert ws.from_app.empty()


async def test_a_late_error_of_the_app_closes_nothing_twice(auth: AuthManager, ada: User, token: str) -> None:
    """Neither after the app's own close nor after ours."""

    async def refuse_late(receive: Receive, send: Send) -> None:
        message = await receive()
        if message["type"] == "websocket.receive":
            await send({"type": "websocket.close", "code": 1000, "reason": "bye"})
        raise ForbiddenError("too late")

    for own in (True, False):
        async with WebsocketDriver(_app(auth, refuse_late), "/", sent(token)) as ws:
            await ws.accepted()
            if own:
                await ws.say("please close")
            else:
                await auth.revoke_token(token)
            assert await ws.closed() == (1000 if own else 1008)
            assert await ws.ended() is None
            assert ws.from_app.empty()


async def test_an_error_of_the_app_comes_through(auth: AuthManager, ada: User, token: str) -> None:
    """As it was raised, and not as a group."""

    async def fail(_: Receive, __: Send) -> None:
        raise ZeroDivisionError

    async with WebsocketDriver(_app(auth, fail), "/", sent(token)) as ws:
        await ws.accepted()
        assert isinstance(await ws.ended(), ZeroDivisionError)


async def test_a_check_that_fails_closes(
    auth: AuthManager, ada: User, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the checking itself never leaves a websocket open: 1011."""

    async def wait(receive: Receive, _: Send) -> None:
        await receive()

    def broken(_: object) -> None:
        raise ZeroDivisionError

    async with WebsocketDriver(_app(auth, wait), "/", sent(token)) as ws:
        await ws.accepted()
        monkeypatch.setattr(auth, "find_user_from_token", broken)
        assert await ws.closed() == 1011
        assert await ws.ended() is None


async def test_many_websockets_close_together(auth: AuthManager, ada: User, token: str) -> None:
    """One change, and all of them are over; the fixture looks for tasks."""

    async def wait(receive: Receive, _: Send) -> None:
        await receive()

    app = _app(auth, wait)
    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
        sockets = [WebsocketDriver(app, "/", sent(token)) for _ in range(200)]
        for ws in sockets:
            await ws.__aenter__()
            await ws.accepted()
        await auth.revoke_token(token)
        for ws in sockets:
            group.create_task(ws.ended())
    assert [await ws.closed() for ws in sockets] == [1008] * 200
