"""What a request costs that could be answered from memory: no SQL of the auth layer, and no Flask in the process."""

import json
import re
import subprocess
import time
from contextlib import closing

import pytest

from tests.airflow.process import find_python, sync_url
from tests.apiserver.conftest import Pair
from tests.apiserver.server import SIMPLE, ApiServer, Home

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
        met: set[int] = set()
        while met != server.pids:  # so that every worker knows the user: a connection stays with one of them
            with server.client(token, cookie=cookie) as client:
                met.add(client.get("/probe/pid").json())
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
    by_follower = [statement for statement in asked[pair.ours] if set(AUTH.findall(statement)) == {"asyncauth_change"}]
    assert [statement for statement in asked[pair.ours] if statement not in by_follower] == []
    assert len(by_follower) < len(PATHS[username])  # what it does now and then, not what a request does


def test_no_flask(pair: Pair) -> None:
    """Of Flask, Werkzeug and Flask-AppBuilder our server has imported what core imports by itself, through svcs, where
    they are installed: whatever page is asked for."""
    found = {}
    for server in pair:
        with server.client(server.log_in("ada")) as client:
            for path in ("/", "/auth/login/", "/auth/openapi.json", "/auth/fab/v1/users", *PATHS["vera"]):
                assert client.get(path).status_code == 200
            found[server] = {name for name in client.get("/probe/modules").json() if FLASK.match(name)}
    assert found[pair.ours] - core_imports(pair) == set()
    assert not any(name.startswith("flask_appbuilder") for name in found[pair.ours])
    assert any(name.startswith("flask_appbuilder") for name in found[pair.fab])


def core_imports(pair: Pair) -> set[str]:
    """What core's app imports of them with an auth manager that is neither FAB's nor ours."""
    program = "import airflow.api_fastapi.main, json, sys; print(json.dumps(sorted(sys.modules)))"
    with closing(Home(with_us=False)) as home:
        said = subprocess.run(
            [find_python(), "-c", program],
            cwd=home.path,
            env=home.environment(sync_url(pair.database), SIMPLE),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return {name for name in json.loads(said.splitlines()[-1]) if FLASK.match(name)}
