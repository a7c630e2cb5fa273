"""No route reads more than anybody needs: what is longer is refused while it comes, before it is read as JSON."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from asyncauth import AuthManager
from asyncauth.api.bodies import MAX_BODY_BYTES
from tests.web.api.conftest import DOCUMENT, FAB, OURS, Call

BODIES = [(path, method) for path, item in DOCUMENT.items() for method in item if "requestBody" in item[method]]
PIECE = b" " * 65_536
on_sqlite = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)


class Flood:
    """A body without an end, and how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += len(PIECE)
            yield PIECE

    async def receive(self) -> Message:
        """As a server gives it."""
        self.taken += len(PIECE)
        return {"type": "http.request", "body": PIECE, "more_body": True}


async def ask(app: FastAPI, method: str, path: str, headers: dict[str, str], flood: Flood) -> httpx.Response:
    """Send a flood, without a client in between that would take it all first."""
    scope: Scope = {
        "type": "http",
        "method": method.upper(),
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.7", 1),
    }
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, flood.receive, send)
    start, *bodies = sent
    content = b"".join(message["body"] for message in bodies)
    return httpx.Response(start["status"], headers=start["headers"], content=content)


@on_sqlite
@pytest.mark.parametrize(("path", "method"), BODIES)
async def test_a_body_without_an_end(app: FastAPI, root: dict[str, str], path: str, method: str) -> None:
    """413 in the form of the route, declared, with or without a token; little more is read than may be."""
    for headers in (root, {}):
        flood = Flood()
        target = path.replace("{username}", "root").replace("{name}", "Viewer")
        answer = await ask(app, method, target, {**headers, "Content-Type": "application/json"}, flood)
        assert answer.status_code == 413
        assert "413" in DOCUMENT[path][method]["responses"]
        assert flood.taken <= MAX_BODY_BYTES + 2 * len(PIECE)
        if path.startswith(OURS):
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:asyncauth:problem:body_too_large"
        else:
            assert set(answer.json()) == {"detail"}


@on_sqlite
@pytest.mark.parametrize("announced", [str(MAX_BODY_BYTES + 1), "9" * 5000])
async def test_a_body_that_says_so_itself(app: FastAPI, root: dict[str, str], announced: str) -> None:
    """Nothing of it is read."""
    flood = Flood()
    headers = {**root, "Content-Type": "application/json", "Content-Length": announced}
    assert (await ask(app, "POST", f"{FAB}/roles", headers, flood)).status_code == 413
    assert flood.taken == 0


@on_sqlite
async def test_the_longest_that_is_read(call: Call, auth: AuthManager) -> None:
    """To the byte, and refused for what stands in it, if for anything."""
    for more, status in ((0, 422), (1, 413)):
        text = json.dumps({"name": ""}).encode()
        content = text + b" " * (MAX_BODY_BYTES - len(text) + more)
        answer = await call("POST", f"{OURS}/groups", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == status
