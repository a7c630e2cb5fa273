"""Tests of the Starlette example, as you could write them."""

import httpx
from starlette.testclient import TestClient

from asyncauth import admin
from asyncauth.testing import add_user, as_user, make_token, make_user, memory_auth_manager
from examples.starlette_app import app

client = TestClient(app)


def test_who_may_read() -> None:
    """The role that a colleague holds, too."""
    with as_user(app, make_user("grace", roles={"Operator": [("can_read", "DAG:billing")]})):
        assert client.get("/dags/billing").json() == {"dag_id": "billing", "user": "grace"}
        assert client.get("/dags/etl").status_code == 403
        assert client.get("/live").status_code == 200


async def test_a_role_that_is_taken() -> None:
    """The same token, before and after."""
    async with (
        memory_auth_manager() as auth,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
    ):
        await add_user(auth, "ada", roles={"Viewer": [("can_read", "DAG:etl")]})
        headers = {"Authorization": f"Bearer {await make_token(auth, 'ada')}"}
        assert (await http.get("/dags/etl", headers=headers)).status_code == 200
        await admin.take_role(auth, username="ada", role="Viewer")
        assert (await http.get("/dags/etl", headers=headers)).status_code == 403
