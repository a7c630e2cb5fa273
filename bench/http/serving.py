"""Several ASGI apps in one process, on a port of uvicorn's each. Imports nothing of ours: peers may live in an
environment of their own."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn

App = Callable[..., Awaitable[None]]
Apps = Mapping[str, App]
MakeApps = Callable[[dict[str, Any]], AbstractAsyncContextManager[Apps]]


def serve(make_apps: MakeApps) -> None:
    """Serve until stdin ends.

    The first line of stdin is JSON: what `make_apps` is given. The first line of stdout is JSON: name → port. Each
    further line of stdin is answered with the processor time of this process so far, in seconds. Loop and parser are
    those that uvicorn takes by itself where they are installed: uvloop and httptools.
    """
    given = json.loads(sys.stdin.readline())
    config = uvicorn.Config(_nothing)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(make_apps, given))


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


async def _serve(make_apps: MakeApps, given: dict[str, Any]) -> None:
    async with make_apps(given) as apps:
        sockets = {name: _listen() for name in apps}
        servers = [_server(app) for app in apps.values()]
        serving = [
            asyncio.ensure_future(server.serve([listening]))
            for server, listening in zip(servers, sockets.values(), strict=True)
        ]
        while not all(server.started for server in servers):  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        _say({name: listening.getsockname()[1] for name, listening in sockets.items()})
        await _answer()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)


def _listen() -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    return listening


def _server(app: App) -> uvicorn.Server:
    # A connection that waits for the others is kept: on a busy machine that may be longer than uvicorn's five seconds.
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=60)
    return uvicorn.Server(config)


async def _answer() -> None:
    """Tell the time to whoever asks, until nobody can any more."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if sys.stdin.readline():
            _say(time.process_time())
        else:
            loop.remove_reader(sys.stdin)
            ended.set()

    loop.add_reader(sys.stdin, read)
    await ended.wait()


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)
