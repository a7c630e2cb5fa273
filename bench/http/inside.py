"""A request to an adapter as the server calls it, without the server: for instruction counts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from asyncauth import AuthManager
from bench.http.apps import ACTION, FAMILIES, POLICY
from bench.http.requests import by_cookie, by_header
from bench.http.serving import App
from bench.parts import started

Send = Callable[[int], Awaitable[None]]
"""Sends so many requests."""
USER = 1
REQUESTS = {"header": by_header, "cookie": by_cookie}


@asynccontextmanager
async def requesting(
    url: str, family: str, carrier: str, *, empty: bool
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """What sends so many requests of a user in memory, who may do what is asked for."""
    async with started(url) as auth:
        number = await _allowed(auth)
        request = REQUESTS[carrier](number, auth.issue_token(USER))
        app = FAMILIES[family](None if empty else auth, POLICY if carrier == "cookie" else None)

        async def work(count: int) -> None:
            for _ in range(count):
                await _send(app, request)

        yield work


async def _allowed(auth: AuthManager) -> int:
    """Of the resources that the user's first role opens."""
    user = await auth.get_user(USER)
    pairs = sorted(pair.resource for pair in user.roles[0].permissions if pair.action == ACTION)
    return int(pairs[0].rpartition("_")[2])


async def _send(app: App, request: bytes) -> None:
    """Everything is made anew, as a server does, and has to be hashed anew."""
    line, *lines = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, path, _ = line.split(b" ")
    pairs = [each.partition(b": ") for each in lines]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 40_000),
        "scheme": "http",
        "root_path": "",
        "headers": [(name.lower(), value) for name, _, value in pairs],
        "state": {},
        "method": method.decode(),
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
    }
    await app(scope, _receive, _answer)


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _answer(message: Any) -> None:
    if message.get("status", 200) != 200:
        raise RuntimeError(f"the answer was not the expected one: {message}")
