"""A database that goes away: what FAB answers with 500, and what logs nobody out on ours."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import httpx
import pytest

from tests.airflow.process import FAB, sync_url
from tests.apiserver.conftest import OPTIONS, Worlds
from tests.apiserver.server import OURS, ApiServer
from tests.databases import Database
from tests.proxy import Proxy

LEASE_SECONDS = 5
IDLE_SECONDS = 0.5
IMPATIENT = OPTIONS | {
    "AIRFLOW__ASYNCAUTH__MAX_STALENESS_SECONDS": str(LEASE_SECONDS),
    "AIRFLOW__ASYNCAUTH__DATABASE_TIMEOUT_SECONDS": "4",
}
FROM_MEMORY = ("/ui/auth/me", "/ui/auth/menus", "/ui/config")
"""For these core asks no database of its own."""
AT_ONCE = 40
"""As many as core has threads for handlers, so that each of them has done something before a connection dies."""
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Doomed:
    """A server with each auth manager, of one worker, on a database that nobody else uses; ours behind a proxy."""

    database: Database
    fab: ApiServer
    ours: ApiServer
    proxy: Proxy


@pytest.fixture(scope="module")
def doomed(worlds: Worlds) -> Iterator[Doomed]:
    """Ours has a lease so short that a test can outlast it."""
    database = worlds.copy("postgresql")
    url = sync_url(database)
    with (
        Proxy(database.server.port) as proxy,
        closing(ApiServer(proxy.url(url), OURS, workers=1, **IMPATIENT)) as ours,
        closing(ApiServer(url, FAB, workers=1, **OPTIONS)) as fab,
    ):
        fab.wait()
        ours.wait()
        yield Doomed(database, fab, ours, proxy)


def ask(server: ApiServer, token: str, path: str, *, cookie: bool) -> httpx.Response:
    """On a connection of its own."""
    headers = {"Cookie": f"_token={token}"} if cookie else {"Authorization": f"Bearer {token}"}
    return httpx.get(server.base_url + path, headers=headers, timeout=60, trust_env=False)


def test_a_partition_longer_than_the_lease(doomed: Doomed) -> None:
    """First answers from memory, then 503 with Retry-After, never another; no cookie is taken away, and when the
    database is back the same token is good."""
    server, proxy = doomed.ours, doomed.proxy
    token = server.log_in("vera")
    asked = [(path, cookie) for path in FROM_MEMORY for cookie in (False, True)]
    assert {ask(server, token, path, cookie=cookie).status_code for path, cookie in asked} == {200}
    proxy.silent = True
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (status := ask(server, token, FROM_MEMORY[0], cookie=True).status_code) == 200:
        assert time.monotonic() < deadline, "memory is trusted for ever"
        time.sleep(0.05)
    assert status == 503
    for path, cookie in asked * 3:
        answer = ask(server, token, path, cookie=cookie)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        assert "set-cookie" not in answer.headers
    proxy.silent = False
    deadline = time.monotonic() + PATIENCE_SECONDS
    while ask(server, token, FROM_MEMORY[0], cookie=True).status_code == 503:
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.05)
    assert {ask(server, token, path, cookie=cookie).status_code for path, cookie in asked} == {200}


Cut = Callable[[Database], None]


def kill(database: Database) -> None:
    """An administrator ends every connection (airflow#57470)."""
    assert database.server.terminate_backends(database.name) > 0


def leave_idle(database: Database) -> None:
    """The database ends transactions in which nothing happens any more (airflow#62903, #71395)."""
    time.sleep(3 * IDLE_SECONDS)


def restart(database: Database) -> None:
    """The database is restarted (airflow#61518)."""
    database.server.restart()


@pytest.mark.parametrize("cut", [kill, leave_idle, restart], ids=["killed", "idle", "restart"])
def test_lost_connections(doomed: Doomed, cut: Cut) -> None:
    """All threads hold a session of FAB's; then its connection is gone. FAB answers 500, ours does not."""
    servers = (doomed.fab, doomed.ours)
    doomed.database.server.execute(
        f'ALTER DATABASE "{doomed.database.name}" SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000:.0f}'
    )
    tokens = [server.log_in("ada") for server in servers]
    for server, token in zip(servers, tokens, strict=True):
        burst(server, token, LEFT_OPEN)
    cut(doomed.database)
    fab, ours = (burst(server, token, (*LEFT_OPEN, *OTHERS)) for server, token in zip(servers, tokens, strict=True))
    assert {status for _, status in ours} == {200}, ours
    assert {status for _, status in fab} == {200, 500}, fab


LEFT_OPEN = ("/auth/fab/v1/users/vera", "/auth/fab/v1/roles/Viewer")
"""FAB's handlers of these leave a transaction open in their thread."""
OTHERS = ("/auth/login/", "/api/v2/dags", "/ui/auth/me")


def burst(server: ApiServer, token: str, paths: tuple[str, ...]) -> Counter[tuple[str, int]]:
    """Everybody at once. How often which status came."""
    asked = [paths[number % len(paths)] for number in range(3 * AT_ONCE)]
    with server.client(token) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(zip(asked, pool.map(lambda path: client.get(path).status_code, asked), strict=True))


def test_a_silent_database_holds_no_loop(doomed: Doomed) -> None:
    """Users whom memory does not know wait for a database that says nothing; everybody else is answered meanwhile."""
    cold = [doomed.fab.log_in(username) for username in ("uma", "otto", "dora")]
    with doomed.ours.client() as client, ThreadPoolExecutor(len(cold)) as pool:
        doomed.proxy.silent = True
        client.get("/probe/watch").raise_for_status()
        waiting = [pool.submit(ask, doomed.ours, token, "/ui/auth/me", cookie=False) for token in cold * 5]
        statuses = {one.result().status_code for one in waiting}
        held = client.get("/probe/held").json()
        doomed.proxy.silent = False
    assert statuses == {503}
    assert held < 1.0
