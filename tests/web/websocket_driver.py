"""A websocket server's side of ASGI, by hand: one connection to one app."""

import asyncio
from types import TracebackType
from typing import Any, Self

from asyncauth.web.http import ASGIApp, Message

WAIT_SECONDS = 60  # only ever reached by a failing test

Headers = list[tuple[bytes, bytes]]


def sent(token: str) -> Headers:
    """The header of a handshake."""
    return [(b"authorization", f"Bearer {token}".encode())]


class WebsocketDriver:
    """Opens a websocket to an app: `async with WebsocketDriver(app, "/ws/etl") as ws`."""

    def __init__(self, app: ASGIApp, path: str, headers: Headers | None = None, *, denial: bool = True) -> None:
        self.app = app
        self.scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *(headers or [])],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "subprotocols": [],
            "state": {},
            "extensions": {"websocket.http.response": {}} if denial else {},
        }
        self.to_app: asyncio.Queue[Message] = asyncio.Queue()
        self.from_app: asyncio.Queue[Message] = asyncio.Queue()
        self.reading = asyncio.Event()
        """Cleared: the client does not read, so that sending blocks."""
        self.reading.set()
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.to_app.put({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(self.app(self.scope, self.to_app.get, self._send))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=WAIT_SECONDS)

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await self.reading.wait()
        await self.from_app.put(message)

    async def next(self) -> Message:
        """What the app sends next."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.from_app.get()

    async def accepted(self) -> None:
        """The app accepts."""
        assert (await self.next())["type"] == "websocket.accept"

    async def say(self, text: str) -> None:
        """A message from the client."""
        await self.to_app.put({"type": "websocket.receive", "text": text})

    async def echo(self, text: str) -> None:
        """The app answers with the same."""
        await self.say(text)
        message = await self.next()
        assert (message["type"], message.get("text")) == ("websocket.send", text)

    async def closed(self) -> int:
        """The app, or what stands around it, closes; the code."""
        message = await self.next()
        assert message["type"] == "websocket.close", message
        code: int = message["code"]
        return code

    async def denied(self) -> tuple[int, dict[str, str], bytes]:
        """The handshake is refused with a response: status, headers, body."""
        start, body = await self.next(), await self.next()
        assert start["type"] == "websocket.http.response.start", start
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, body["body"]

    async def ended(self) -> Any:
        """The app returns; what it raised, if it did."""
        assert self.task is not None
        await asyncio.wait({self.task}, timeout=WAIT_SECONDS)
        assert self.task.done(), "the app still runs"
        return self.task.exception()
