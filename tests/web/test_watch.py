"""The watch over a websocket, with apps that do something else than wait for the next message."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncauth import AuthManager, User
from asyncauth.errors import ForbiddenError
from asyncauth.web import websocket
from asyncauth.web.asgi import AuthMiddleware
from asyncauth.web.http import ASGIApp, Receive, Scope, Send
from tests.web.websocket_driver import WAIT_SECONDS, WebsocketDriver, sent


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
