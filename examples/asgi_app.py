"""Any ASGI app, here one without a framework: `uvicorn --lifespan on examples.asgi_app:app`."""

import json
from typing import Any

from asyncauth import close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.web.asgi import AuthMiddleware, health_app
from asyncauth.web.gate import gate_of
from asyncauth.web.http import Receive, Scope, Send
from examples.credentials import parse_credentials

health = health_app()


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    """Routes by hand."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    match scope["type"], scope.get("method"), scope["path"].split("/")[1:]:
        case "http", "POST", ["token"]:
            await login(receive, send)
        case "http", "DELETE", ["token"]:
            await get_auth_manager().revoke_token(gate_of(scope).get_token(scope))
            await answer(send, 204)
        case "http", "GET", ["dags", dag_id]:
            await answer(send, 200, {"dag_id": dag_id, "user": scope["user"].username})
        case _:
            await health(scope, receive, send)  # also answers 404


def permission(scope: Scope) -> tuple[str, str] | None:
    """What a request needs: reading a DAG needs the permission to."""
    match scope["path"].split("/")[1:]:
        case ["dags", dag_id]:
            return "can_read", f"DAG:{dag_id}"
    return None


app = AuthMiddleware(api, requires=permission, public=["/token", "/live", "/ready"])


async def login(receive: Receive, send: Send) -> None:
    """User name and password for a token."""
    body, more = b"", True
    while more and len(body) < 10_000:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    token = await get_auth_manager().login(*parse_credentials(body))
    await answer(send, 200, {"access_token": token, "token_type": "bearer"})


async def lifespan(receive: Receive, send: Send) -> None:
    """Start the process's auth manager, and stop it in the end."""
    await receive()
    await create_auth_manager()  # settings from the environment
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await close_auth_manager()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Send, status: int, body: Any = None) -> None:
    """A response without a framework."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
