"""Websockets: the handshake, and what happens to an open one when the right is gone. Every test with each adapter."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncauth import AuthManager, Settings, User, admin
from asyncauth.clock import Clock
from asyncauth.web import websocket
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import ASGIApp
from tests.web.apps import MakeApp
from tests.web.conftest import add_user, deactivate
from tests.web.websocket_driver import WebsocketDriver, sent

COOKIE = CookiePolicy()


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
        role = (await admin.create_role(auth, "Viewer")).value
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
        role = (await admin.create_role(auth, "Viewer")).value
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
        role = (await admin.create_role(auth, "Viewer")).value
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
