"""API keys come in wherever a token does: every adapter, requests and open websockets."""

import pytest

from asyncauth import AuthManager, Settings, User, admin
from tests.web.apps import MakeApp
from tests.web.conftest import bearer, client
from tests.web.websocket_driver import WebsocketDriver, sent


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With API keys on."""
    return settings.model_copy(update={"api_key_secret": "a secret of the tests, 32 bytes at least"})


@pytest.fixture
async def key(auth: AuthManager, ada: User) -> admin.NewApiKey:
    """May no more than read the DAG `etl`, of two that ada may."""
    await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:other")
    scopes = [("can_read", "DAG:etl")]
    return (await admin.create_api_key(auth, username="ada", name="nightly", scopes=scopes)).value


async def test_a_request(auth: AuthManager, make_app: MakeApp, ada: User, key: admin.NewApiKey) -> None:
    """200, 403 where the scope ends, 401 for another secret and once the key is revoked."""
    async with client(make_app(auth, None)) as http:
        for _ in range(2):
            assert (await http.get("/dags/etl", headers=bearer(key.text))).status_code == 200
            assert (await http.get("/dags/other", headers=bearer(key.text))).status_code == 403
        assert (await http.get("/dags/other", headers=bearer(auth.issue_token(ada.id)))).status_code == 200
        for wrong in (key.text[:-4] + "AAAA", key.text + "A", "ak_", f"ak_7_{'A' * 43}"):
            response = await http.get("/dags/etl", headers=bearer(wrong))
            assert (response.status_code, key.text[-20:] in response.text) == (401, False)
        await admin.revoke_api_key(auth, key_id=key.id)
        assert (await http.get("/dags/etl", headers=bearer(key.text))).status_code == 401


async def test_an_open_websocket(auth: AuthManager, make_app: MakeApp, key: admin.NewApiKey) -> None:
    """Is closed when the key is revoked."""
    async with WebsocketDriver(make_app(auth, None), "/ws/etl", sent(key.text)) as ws:
        await ws.accepted()
        await admin.revoke_api_key(auth, key_id=key.id)
        assert await ws.closed() == 1008
