"""What a request costs that could be answered from memory: no SQL of the auth layer, and no Flask in the process."""

import re
import time

import pytest

from tests.apiserver.conftest import Pair
from tests.apiserver.server import ApiServer

AUTH = re.compile(r"\b(ab_\w+|asyncauth_\w+|revoked_token)\b")
ANYBODYS = ("/ui/auth/me", "/ui/auth/menus", "/ui/config", "/api/v2/dags", "/api/v2/dags/readable/dagRuns")
PATHS = {"vera": (*ANYBODYS, "/api/v2/pools"), "dora": ANYBODYS}
IDLE_SECONDS = 1.5
"""Long enough for a follower to look several times."""
FLASK = re.compile(r"(flask|werkzeug)")


def told(server: ApiServer, begin: int) -> list[str]:
    """The statements about users, tokens and permissions that a server has sent since `begin`."""
    return [statement for statement in server.statements[begin:] if AUTH.search(statement)]


@pytest.mark.parametrize("username", PATHS)
@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_warm_requests_ask_nothing(pair: Pair, username: str, cookie: bool) -> None:
    """Whereas FAB's ask the database whether the token is revoked, each time."""
    asked = {}
    for server in pair:
        token = server.log_in(username)
        for _ in range(4 * server.workers):  # on connections of their own, so that every worker knows the user
            with server.client(token, cookie=cookie) as client:
                assert [client.get(path).status_code for path in PATHS[username]] == [200] * len(PATHS[username])
        begin = len(server.statements)
        time.sleep(IDLE_SECONDS)
        when_idle = set(told(server, begin))
        begin = len(server.statements)
        for _ in range(4 * server.workers):
            with server.client(token, cookie=cookie) as client:
                assert [client.get(path).status_code for path in PATHS[username]] == [200] * len(PATHS[username])
        assert len(server.statements) > begin + len(PATHS[username])  # core asks for the DAGs themselves
        asked[server] = [statement for statement in told(server, begin) if statement not in when_idle]
    assert len(asked[pair.fab]) >= 4 * pair.fab.workers * len(PATHS[username])
    assert asked[pair.ours] == []


def test_no_flask(pair: Pair) -> None:
    """Neither core nor we import Flask, Werkzeug or Flask-AppBuilder, whatever page is asked for."""
    found = {}
    for server in pair:
        with server.client(server.log_in("ada")) as client:
            for path in ("/", "/auth/login/", "/auth/openapi.json", "/auth/fab/v1/users", *PATHS["vera"]):
                assert client.get(path).status_code == 200
            modules = client.get("/probe/modules").json()
        found[server] = {name.split(".")[0] for name in modules if FLASK.match(name)}
    assert found[pair.ours] == set()
    assert found[pair.fab] >= {"flask", "flask_appbuilder", "werkzeug"}
