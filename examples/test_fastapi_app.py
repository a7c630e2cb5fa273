"""Tests of the FastAPI example, as you could write them: no server, and a database only where tokens are meant."""

import httpx
import pytest
from fastapi.testclient import TestClient

from asyncauth.testing import FakeClock, add_user, as_user, make_user, memory_auth_manager, memory_settings
from examples.fastapi_app import app

ETL = [("can_read", "DAG:etl")]
ADA = {"username": "ada", "password": "correct horse"}
client = TestClient(app)


def test_who_may_read() -> None:
    """200, 403 with the reason, and 401."""
    with as_user(app, make_user("ada", permissions=ETL)):
        assert client.get("/dags/etl").json() == {"dag_id": "etl", "user": "ada"}
        refused = client.get("/dags/billing")
    assert refused.status_code == 403
    assert "no role of `ada` has permission `can_read` on `DAG:billing`" in refused.json()["detail"]
    with as_user(app, None):
        assert client.get("/dags/etl").status_code == 401


@pytest.mark.parametrize(("action", "status"), [("can_read", 200), ("can_edit", 403), ("menu_access", 403)])
def test_only_one_action_opens_it(action: str, status: int) -> None:
    """As a table."""
    with as_user(app, make_user("grace", permissions=[(action, "DAG:etl")])):
        assert client.get("/dags/etl").status_code == status


def test_the_whole_app_with_its_lifespan() -> None:
    """It starts and stops the manager itself, on a database that is empty."""
    with memory_settings(export=True), TestClient(app) as whole:
        assert whole.get("/ready").json() == {"detail": "ok"}
        assert whole.post("/token", json=ADA).status_code == 401


async def test_a_login_that_is_refreshed_until_it_ends() -> None:
    """Days pass when the test says so."""
    clock = FakeClock()
    async with (
        memory_auth_manager(clock=clock, refresh_tokens=True, jwt_expiration_seconds=600) as auth,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
    ):
        await add_user(auth, **ADA, permissions=ETL)
        pair = (await http.post("/login", json=ADA)).json()
        clock.advance(3600)
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        assert (await http.get("/dags/etl", headers=headers)).status_code == 401
        pair = (await http.post("/refresh", json={"refresh_token": pair["refresh_token"]})).json()
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        assert (await http.get("/dags/etl", headers=headers)).status_code == 200
        clock.advance(100 * 86_400)
        assert (await http.post("/refresh", json={"refresh_token": pair["refresh_token"]})).status_code == 401
