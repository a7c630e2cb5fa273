"""The same small app with each adapter: what must hold for one must hold for all.

`/me` wants any user, `/dags/{dag_id}` (every method) and the websocket `/ws/{dag_id}` want `can_read` on that DAG. The
websocket echoes, says "woken" into its scope's `log` when it learns of its end, and pushes "tick" after "start".
"""

from collections.abc import Callable
from typing import Any, cast

from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from litestar import Litestar, Request, WebSocket, get, route, websocket
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from asyncauth import AuthManager
from asyncauth.web import fastapi, litestar, starlette
from asyncauth.web.asgi import AuthMiddleware, health_app
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import ASGIApp, Receive, Scope, Send, json_answer, respond

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
MakeApp = Callable[[AuthManager | None, CookiePolicy | None], ASGIApp]


async def echo(receive: Receive, send: Send) -> None:
    """The websocket of all apps, in plain ASGI."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def asgi_app(auth: AuthManager | None, cookie: CookiePolicy | None = None) -> ASGIApp:
    """No framework."""

    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await echo(receive, send)
        elif scope["path"] in ("/live", "/ready"):
            await health_app(auth)(scope, receive, send)
        else:
            assert scope["user"] is scope["state"]["user"]
            await respond(send, json_answer(200, scope["user"].username))

    def needed(scope: Scope) -> tuple[str, str] | None:
        match scope["path"].split("/")[1:]:
            case ["dags" | "ws", dag_id]:
                return "can_read", f"DAG:{dag_id}"
        return None

    return AuthMiddleware(api, auth, requires=needed, cookie=cookie, public=["/live", "/ready"])


def starlette_app(auth: AuthManager | None, cookie: CookiePolicy | None = None) -> ASGIApp:
    """Starlette."""

    async def me(request: StarletteRequest) -> JSONResponse:
        return JSONResponse({"detail": starlette.current_user(request).username})

    @starlette.requires("can_read", "DAG:{dag_id}")
    async def dag(request: StarletteRequest) -> JSONResponse:
        return await me(request)

    @starlette.requires("can_read", "DAG:{dag_id}")
    async def ws(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    routes = [
        Route("/me", me),
        Route("/dags/{dag_id}", dag, methods=METHODS),
        WebSocketRoute("/ws/{dag_id}", ws),
        *starlette.health_routes(auth),
    ]
    app = Starlette(routes=routes)
    starlette.install(app, auth, cookie=cookie)
    return app


def fastapi_app(auth: AuthManager | None, cookie: CookiePolicy | None = None) -> ASGIApp:
    """FastAPI."""
    app = FastAPI(routes=starlette.health_routes(auth))
    fastapi.install(app, auth, cookie=cookie)
    guard = Depends(fastapi.requires("can_read", "DAG:{dag_id}"))

    @app.get("/me")
    async def me(user: fastapi.CurrentUser) -> dict[str, str]:
        return {"detail": user.username}

    @app.api_route("/dags/{dag_id}", methods=METHODS, dependencies=[guard])
    async def dag(user: fastapi.CurrentUser) -> dict[str, str]:
        return {"detail": user.username}

    @app.websocket("/ws/{dag_id}", dependencies=[guard])
    async def ws(websocket: FastAPIWebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


def litestar_app(auth: AuthManager | None, cookie: CookiePolicy | None = None) -> ASGIApp:
    """Litestar."""
    guard = litestar.requires("can_read", "DAG:{dag_id}")

    @get("/me")
    async def me(request: Request[Any, Any, Any]) -> dict[str, str]:
        return {"detail": request.user.username}

    @route("/dags/{dag_id:str}", http_method=cast("Any", METHODS), guards=[guard], status_code=200)
    async def dag(request: Request[Any, Any, Any]) -> dict[str, str]:
        return {"detail": request.user.username}

    @websocket("/ws/{dag_id:str}", guards=[guard])
    async def ws(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        async for text in socket.iter_data("text"):
            await socket.send_text(text)

    plugin = litestar.AuthPlugin(auth, cookie=cookie)
    app = Litestar([me, dag, ws, litestar.health_handler(auth)], plugins=[plugin], openapi_config=None)
    return cast("ASGIApp", app)  # Litestar's types of ASGI messages are narrower


ADAPTERS: dict[str, MakeApp] = {
    "asgi": asgi_app,
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
}
