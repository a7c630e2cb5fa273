"""What a request costs that could be answered from memory: no SQL of the auth layer, and no Flask in the process."""

import json
import re
import subprocess
from collections import Counter
from contextlib import closing

import pytest

from tests.airflow.process import find_python, sync_url
from tests.apiserver.conftest import Pair
from tests.apiserver.server import SIMPLE, ApiServer, Home
from tests.waiting import poll

AUTH = re.compile(r"\b(ab_\w+|asyncauth_\w+|revoked_token)\b")
ANYBODYS = ("/ui/auth/me", "/ui/auth/menus", "/ui/config", "/api/v2/dags", "/api/v2/dags/readable/dagRuns")
PATHS = {"vera": (*ANYBODYS, "/api/v2/pools"), "dora": ANYBODYS}
LOOKS = 3
"""Of each worker's follower, before what comes later is looked at."""
PATIENCE_SECONDS = 60.0
FLASK = re.compile(r"(flask|werkzeug)")


def told(server: ApiServer, begin: int) -> list[tuple[int, str]]:
    """The statements about users, tokens and permissions that a server has sent since `begin`, each with its worker."""
    return [(pid, statement) for pid, statement in server.statements[begin:] if AUTH.search(statement)]


def warm(server: ApiServer, token: str, paths: tuple[str, ...], *, cookie: bool) -> None:
    """Ask until every worker knows the user. A connection stays with one of them, and which one is chance."""
    met: set[int] = set()

    def ask() -> bool:
        with server.client(token, cookie=cookie) as client:
            met.add(client.get("/probe/pid").json())
            assert [client.get(path).status_code for path in paths] == [200] * len(paths)
        return met == server.pids

    poll(ask, lambda: f"of {server.pids} only {met} answered", PATIENCE_SECONDS)


def watch_idle(server: ApiServer) -> set[str]:
    """What our workers ask all the time: each of them has looked for changes a few times when this returns."""
    begin = len(server.statements)

    def looks() -> bool:
        found = Counter(pid for pid, _ in told(server, begin))
        return all(found[pid] >= LOOKS for pid in server.pids)

    poll(looks, lambda: "the followers do not look", PATIENCE_SECONDS)
    return {statement for _, statement in told(server, begin)}


@pytest.mark.parametrize("username", PATHS)
@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_warm_requests_ask_nothing(pair: Pair, username: str, cookie: bool) -> None:
    """Whereas FAB's ask the database whether the token is revoked, each time."""
    asked = {}
    for server in pair:
        token = server.log_in(username)
        warm(server, token, PATHS[username], cookie=cookie)
        when_idle = watch_idle(server) if server is pair.ours else set()
        begin = len(server.statements)
        for _ in range(4 * server.workers):
            with server.client(token, cookie=cookie) as client:
                assert [client.get(path).status_code for path in PATHS[username]] == [200] * len(PATHS[username])
        assert len(server.statements) > begin + len(PATHS[username])  # core asks for the DAGs themselves
        asked[server] = [statement for _, statement in told(server, begin) if statement not in when_idle]
    assert len(asked[pair.fab]) >= 4 * pair.fab.workers * len(PATHS[username])
    assert asked[pair.ours] == []


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
