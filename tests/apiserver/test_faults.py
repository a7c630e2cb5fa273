"""A database that goes away: what FAB answers with 500, and what logs nobody out on ours."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass

import httpx
import pytest

from tests.airflow.process import FAB, sync_url
from tests.apiserver.conftest import OPTIONS, Worlds
from tests.apiserver.server import OURS, ApiServer
from tests.databases import Database
from tests.proxy import Proxy
from tests.waiting import poll

LEASE_SECONDS, DATABASE_TIMEOUT_SECONDS = 10, 8
"""So long that a busy machine uses up neither while the database is there."""
IDLE_SECONDS = 1.0
NO_PING = OPTIONS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING": "False"}
IMPATIENT = NO_PING | {
    "AIRFLOW__ASYNCAUTH__MAX_STALENESS_SECONDS": str(LEASE_SECONDS),
    "AIRFLOW__ASYNCAUTH__DATABASE_TIMEOUT_SECONDS": str(DATABASE_TIMEOUT_SECONDS),
}
FROM_MEMORY = ("/ui/auth/me", "/ui/auth/menus", "/ui/config")
"""For these core asks no database of its own."""
AT_ONCE = 20
PATIENCE_SECONDS = 60.0


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
        closing(ApiServer(url, FAB, workers=1, **NO_PING)) as fab,
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
    statuses = [200]

    def is_refused() -> bool:
        statuses.append(ask(server, token, FROM_MEMORY[0], cookie=True).status_code)
        return statuses[-1] != 200

    poll(is_refused, lambda: "memory is trusted for ever", PATIENCE_SECONDS)
    assert statuses[-1] == 503
    for path, cookie in asked * 3:
        answer = ask(server, token, path, cookie=cookie)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        assert "set-cookie" not in answer.headers
    proxy.silent = False
    poll(
        lambda: ask(server, token, FROM_MEMORY[0], cookie=True).status_code != 503,
        lambda: "it does not come back",
        PATIENCE_SECONDS,
    )
    assert {ask(server, token, path, cookie=cookie).status_code for path, cookie in asked} == {200}


Cut = Callable[[Database], None]


def kill(database: Database) -> None:
    """An administrator ends every connection (airflow#57470)."""
    assert database.server.terminate_backends(database.name) > 0


def leave_idle(database: Database) -> None:
    """The database ends connections on which nothing has happened for a while (airflow#62903, #71395)."""
    # Through another database, whose connections may be idle.
    with closing(database.server.connect()) as connection, connection.cursor() as work:
        work.execute("SELECT clock_timestamp()")
        ((begin,),) = work.fetchall()

        def all_gone() -> bool:
            """Of our servers' connections those that have done nothing since."""
            work.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'idle' AND state_change < %s",
                (database.name, begin),
            )
            return work.fetchall()[0][0] == 0

        poll(all_gone, lambda: "the database ends no connections", PATIENCE_SECONDS)


def restart(database: Database) -> None:
    """The database is restarted (airflow#61518)."""
    database.server.restart()


@pytest.mark.parametrize("cut", [kill, leave_idle, restart], ids=["killed", "idle", "restart"])
def test_lost_connections(doomed: Doomed, cut: Cut) -> None:
    """FAB asks the database about the token, on a connection that is gone, and answers 500; ours knows it, or has tried
    again. With core's pool as it is without `sql_alchemy_pool_pre_ping`, which hides some of this and not all."""
    tokens = [(server, doomed.ours.log_in("ada")) for server in (doomed.fab, doomed.ours)]
    alter = f'ALTER DATABASE "{doomed.database.name}"'
    if cut is leave_idle:
        doomed.database.server.execute(f"{alter} SET idle_session_timeout = {int(IDLE_SECONDS * 1000)}")
        kill(doomed.database)  # it holds for connections that are made from now on
    for server, token in tokens * 3:  # what is dead before is found out
        burst(server, token)
    cut(doomed.database)
    fab, ours = (burst(server, token) for server, token in tokens)
    assert {500} <= set(fab) <= {200, 500}
    assert set(ours) == {200}
    if cut is leave_idle:  # or a connection could end while the password is hashed, and a write is not tried again
        doomed.database.server.execute(f"{alter} RESET idle_session_timeout")
        doomed.database.server.terminate_backends(doomed.database.name)
    with doomed.ours.client() as client:
        body = {"username": "vera", "password": "the password of vera"}
        assert client.post("/auth/token", json=body).status_code == 201


def test_a_database_that_is_down(doomed: Doomed) -> None:
    """FAB answers 500 as long as it is; ours goes on, for as long as memory may be trusted."""
    tokens = [(server, doomed.ours.log_in("ada")) for server in (doomed.fab, doomed.ours)]
    for server, token in tokens:
        burst(server, token)
    doomed.database.server.stop()
    try:
        statuses = [ask(server, token, FROM_MEMORY[0], cookie=True).status_code for server, token in tokens]
    finally:
        doomed.database.server.start()
    assert statuses == [500, 200]


def burst(server: ApiServer, token: str) -> Counter[int]:
    """Everybody at once, for what core answers without the database. How often which status came."""
    with server.client(token) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [FROM_MEMORY[number % len(FROM_MEMORY)] for number in range(2 * AT_ONCE)]
        return Counter(pool.map(lambda path: client.get(path).status_code, asked))


def log_in_at_fab(doomed: Doomed, username: str) -> str:
    """A token of somebody whom ours does not know. FAB stumbles over each connection that was cut before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(AssertionError):
            return doomed.fab.log_in(username)
    return doomed.fab.log_in(username)


def test_a_silent_database_holds_no_loop(doomed: Doomed) -> None:
    """Users whom memory does not know wait for a database that says nothing; everybody else is answered meanwhile."""
    cold = [log_in_at_fab(doomed, username) for username in ("uma", "otto", "dora")]
    asked = cold * 5
    with doomed.ours.client() as client, ThreadPoolExecutor(len(asked)) as pool:
        doomed.proxy.silent = True
        client.get("/probe/watch").raise_for_status()
        waiting = [pool.submit(ask, doomed.ours, token, "/ui/auth/me", cookie=False) for token in asked]
        statuses = {one.result().status_code for one in waiting}
        held = client.get("/probe/held").json()
        doomed.proxy.silent = False
    assert statuses == {503}
    assert held < DATABASE_TIMEOUT_SECONDS / 2  # whoever waits on the loop holds it for all of that
