"""For the tests of your own application: no server, and for most of them no database.

    client = TestClient(app)  # Starlette's, Litestar's, or httpx with its ASGITransport

    def test_who_may_read() -> None:
        with as_user(app, make_user("ada", permissions=[("can_read", "DAG:etl")])):
            assert client.get("/dags/etl").status_code == 200
            assert client.get("/dags/billing").status_code == 403

`as_user` stands in for who sends a request, and for nothing else: your routes, the adapter and the decision are the
real ones. `memory_auth_manager` is a real manager, on SQLite in a temporary folder, for tests of logins, revocation
and expiry; it needs the extra `sqlite`.
"""

from asyncauth.testing.clock import FakeClock
from asyncauth.testing.memory import memory_auth_manager, memory_settings
from asyncauth.testing.people import add_user, make_token, make_user
from asyncauth.testing.stand_in import as_user

__all__ = [
    "FakeClock",
    "add_user",
    "as_user",
    "make_token",
    "make_user",
    "memory_auth_manager",
    "memory_settings",
]
