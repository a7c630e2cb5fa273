"""Each adapter under a real server, with real clients over a real network."""

from contextlib import suppress

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from asyncauth import AuthManager, admin
from asyncauth.web import websocket
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.http import ASGIApp
from tests.web.apps import MakeApp
from tests.web.conftest import bearer
from tests.web.servers import serve


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "RECHECK_SECONDS", 0.02)


def _client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{address}", timeout=60)


async def test_requests(app: ASGIApp, auth: AuthManager, token: str) -> None:
    """200, 403, 401, 503, with their headers, as they arrive."""
    async with serve(app) as address, _client(address) as http:
        assert (await http.get("/dags/etl", headers=bearer(token))).status_code == 200
        assert (await http.get("/dags/billing", headers=bearer(token))).status_code == 403
        response = await http.get("/dags/etl")
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        response = await http.head("/dags/etl")
        assert (response.status_code, response.content) == (401, b"")
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
        assert (await http.get("/dags/etl", headers=headers)).status_code == 401
        headers = [("Authorization", "Bearer " + "a" * 60_000)]
        assert (await http.get("/dags/etl", headers=headers)).status_code in (400, 401)  # the server has a limit, too
        await auth.close()
        response = await http.get("/dags/etl", headers=bearer(token))
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert (await http.get("/ready")).status_code == 503
        assert (await http.get("/live")).status_code == 200


async def test_handshakes(app: ASGIApp, auth: AuthManager, token: str) -> None:
    """Refused with the very status: 401, 403, 503."""
    async with serve(app) as address:

        async def status(path: str, headers: dict[str, str]) -> int:
            with pytest.raises(InvalidStatus) as raised:
                await connect(f"ws://{address}{path}", additional_headers=headers, proxy=None)
            return raised.value.response.status_code

        assert await status("/ws/etl", {}) == 401
        assert await status("/ws/etl", bearer("garbage")) == 401
        assert await status("/ws/billing", bearer(token)) == 403
        await auth.close()
        assert await status("/ws/etl", bearer(token)) == 503


async def _closed(address: str, auth: AuthManager, token: str, *, ask: bool) -> ConnectionClosed:
    async with connect(f"ws://{address}/ws/etl", additional_headers=bearer(token), proxy=None) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        await admin.take_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")
        if ask:
            with suppress(ConnectionClosed):  # already: nobody waits for this message
                await ws.send("too late")
        with pytest.raises(ConnectionClosed) as raised:
            await ws.recv()
    return raised.value


@pytest.mark.parametrize("ask", [True, False])
async def test_an_open_websocket_is_closed(app: ASGIApp, auth: AuthManager, token: str, *, ask: bool) -> None:
    """1008, with the next message or without any."""
    async with serve(app) as address:
        error = await _closed(address, auth, token, ask=ask)
    assert error.rcvd is not None
    assert (error.rcvd.code, error.rcvd.reason) == (1008, "you may not do this")


async def test_an_open_websocket_is_closed_when_nothing_can_be_known(
    app: ASGIApp, auth: AuthManager, token: str
) -> None:
    """1013: try again later."""
    async with (
        serve(app) as address,
        connect(f"ws://{address}/ws/etl", additional_headers=bearer(token), proxy=None) as ws,
    ):
        await auth.close()
        with pytest.raises(ConnectionClosed) as raised:
            await ws.recv()
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1013


async def test_a_server_that_stops_closes_its_websockets(app: ASGIApp, token: str) -> None:
    """The server's shutdown ends the watch, too; the fixture looks for tasks."""
    async with serve(app) as address:
        ws = await connect(f"ws://{address}/ws/etl", additional_headers=bearer(token), proxy=None)
        await ws.send("hello")
        assert await ws.recv() == "hello"
    with pytest.raises(ConnectionClosed):
        await ws.recv()
    await ws.close()


async def test_cookies(make_app: MakeApp, auth: AuthManager, token: str) -> None:
    """A browser's headers: same origin passes, everything else is refused."""
    cookie = CookiePolicy()
    headers = {"Cookie": f"{cookie.name}={token}"}
    async with serve(make_app(auth, cookie)) as address, _client(address) as http:
        assert (await http.get("/dags/etl", headers=headers)).status_code == 200
        assert (await http.post("/dags/etl", headers=headers)).status_code == 403
        ours = {**headers, "Origin": f"http://{address}"}
        assert (await http.post("/dags/etl", headers=ours)).status_code == 200
        async with connect(f"ws://{address}/ws/etl", additional_headers=ours, proxy=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        foreign = {**headers, "Origin": "http://evil.example"}
        with pytest.raises(InvalidStatus) as raised:
            await connect(f"ws://{address}/ws/etl", additional_headers=foreign, proxy=None)
        assert raised.value.response.status_code == 403
