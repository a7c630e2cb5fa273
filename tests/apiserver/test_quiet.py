"""What a request costs that could be answered from memory: no SQL of the auth layer, and no Flask in the process."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.airflow.process import sync_url
from tests.apiserver.conftest import OPTIONS, Pair
from tests.apiserver.server import OURS, SIMPLE, ApiServer

AUTH = re.compile(r"\b(ab_\w+|asyncauth_\w+|revoked_token)\b")
PATHS = ("/ui/auth/me", "/ui/auth/menus", "/ui/config", "/api/v2/dags", "/api/v2/pools", "/api/v2/dags/readable/dagRuns")
FLASK = ("flask", "werkzeug")
NO_POLLING = {"AIRFLOW__ASYNCAUTH__POLL_INTERVAL_SECONDS": "3600", "AIRFLOW__ASYNCAUTH__MAX_STALENESS_SECONDS": "7200"}
NO_LOOKING = NO_POLLING | {"AIRFLOW__ASYNCAUTH__TRIGGER_CHECK_SECONDS": "3600"}


@contextmanager
def watch(server: ApiServer) -> Iterator[list[str]]:
    """The statements about users, tokens and permissions that a server sends inside the block."""
    before = len(server.statements)
    found: list[str] = []
    yield found
    time.sleep(0.1)
    found += [statement for statement in server.statements[before:] if AUTH.search(statement)]


@pytest.fixture(scope="module")
def quiet(pair: Pair) -> Iterator[ApiServer]:
    """One worker of ours that follows changes by LISTEN only: what its follower asks is no part of a request."""
    with ApiServer(sync_url(pair.database), OURS, workers=1, watch=True, **OPTIONS | NO_LOOKING) as server:
        yield server



@pytest.mark.parametrize("username", ["vera", "dora"])
@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_warm_requests_ask_nothing(pair: Pair, quiet: ApiServer, username: str, cookie: bool) -> None:
    """Whereas FAB's ask the database whether the token is revoked, each time."""
    asked = {}
    paths = PATHS if username == "vera" else PATHS[:4]
    for name, server in (("FAB", pair.fab), ("ours", quiet)):
        token = server.log_in(username)
        with server.client(token, cookie=cookie) as client:
            for path in paths:  # warm up: the user, and what core caches
                client.get(path)
            before = len(server.statements)
            with watch(server) as asked[name]:
                assert [client.get(path).status_code for path in paths] == [200] * len(paths)
            assert len(server.statements) > before  # core asks for the DAGs themselves
    assert len(asked["FAB"]) >= len(paths)
    assert asked["ours"] == []


def test_no_flask(quiet: ApiServer, pair: Pair) -> None:
    """Of Flask, Werkzeug and Flask-AppBuilder our server holds what core itself imports, under whatever manager."""
    found = {}
    with quiet.client() as client:
        client.get("/auth/login/")
        client.get("/auth/openapi.json")
        found["ours"] = _flask_modules(client.get("/probe/modules").json())
    options = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
    with (
        ApiServer(sync_url(pair.database), SIMPLE, workers=1, **OPTIONS | options) as server,
        server.client() as client,
    ):
        found["simple"] = _flask_modules(client.get("/probe/modules").json())
    with pair.fab.client() as client:
        found["FAB"] = _flask_modules(client.get("/probe/modules").json())
    assert found["ours"] - found["simple"] == set()
    assert "flask_appbuilder" in found["FAB"]


def _flask_modules(names: list[str]) -> set[str]:
    return {name.split(".")[0] for name in names if name.startswith(FLASK)}
