"""Tests of the Litestar example, as you could write them."""

from litestar.testing import AsyncTestClient, TestClient

from asyncauth.testing import as_user, make_user, memory_settings
from examples.litestar_app import app


def test_who_may_read() -> None:
    """Without a lifespan no manager runs, and none is needed."""
    client = TestClient(app)
    with as_user(app, make_user("ada", permissions=[("can_read", "DAG:etl")])):
        assert client.get("/dags/etl").json() == {"dag_id": "etl", "user": "ada"}
        assert client.get("/dags/billing").status_code == 403
    with as_user(app, None):
        assert client.get("/dags/etl").status_code == 401


async def test_the_whole_app_with_its_lifespan() -> None:
    """Health and a wrong password, by the manager that the app starts itself."""
    with memory_settings(export=True):
        async with AsyncTestClient(app) as client:
            assert (await client.get("/ready")).status_code == 200
            answer = await client.post("/token", json={"username": "ada", "password": "wrong"})
            assert (answer.status_code, answer.json()) == (401, {"detail": "wrong user name or password"})
            with as_user(app, make_user("ada")):
                assert (await client.get("/dags/etl")).status_code == 403
