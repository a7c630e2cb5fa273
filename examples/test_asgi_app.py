"""Tests of the ASGI example, as you could write them."""

import httpx

from asyncauth.testing import add_user, as_user, make_user, memory_auth_manager
from examples.asgi_app import app


def make_client() -> httpx.AsyncClient:
    """Calls the app without a network."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_who_may_read() -> None:
    """By the middleware's own rule."""
    async with make_client() as http:
        with as_user(app, make_user("ada", permissions=[("can_read", "DAG:etl")])):
            assert (await http.get("/dags/etl")).json() == {"dag_id": "etl", "user": "ada"}
            assert (await http.get("/dags/billing")).status_code == 403


async def test_login_and_logout() -> None:
    """A real password, a real token, really revoked."""
    async with memory_auth_manager() as auth, make_client() as http:
        await add_user(auth, "ada", password="correct horse", permissions=[("can_read", "DAG:etl")])
        answer = await http.post("/token", json={"username": "ada", "password": "correct horse"})
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await http.get("/dags/etl", headers=headers)).status_code == 200
        assert (await http.delete("/token", headers=headers)).status_code == 204
        assert (await http.get("/dags/etl", headers=headers)).status_code == 401
