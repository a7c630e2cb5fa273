"""Roles are taken from users while fifty clients hammer: when was the last request sent that was answered 200?"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from statistics import median

from tests.apiserver.conftest import Worlds
from tests.apiserver.server import ApiServer
from tests.databases import Database

from bench.airflow.crew import BIG_POOL, CACHED, HERE, servers, token
from bench.airflow.rows import FIRST_ID, add_people, cursor
from bench.airflow.sizes import Sizes
from bench.airflow.wire import Connection, request
from bench.figures import Figure, Section

NAMES = [CACHED, HERE]
PATH = "/api/v2/config/section/core/option/parallelism"
"""Core answers it from memory, to whom may read the configuration."""
CLIENTS = 50
EVERY_SECONDS = 0.06
"""From one revoke to the next, of another user."""
AWAY_SECONDS = 1.5
"""So long a user is without the role: much longer than an answer takes."""
PATIENCE_SECONDS = 60.0
"""Until a client is allowed what is then taken away."""
ALLOWED_MS = 50.0
FAB_SECONDS = 45.0
"""FAB trusts a user for half a minute."""


def measure(worlds: Worlds, sizes: Sizes) -> list[Section]:
    """First FAB, a few times, then ours."""
    database = worlds.copy("postgresql")
    users = add_readers(database)
    with servers(database, NAMES, workers=2, **BIG_POOL) as started:
        for server in started.values():
            server.wait()
        fab = asyncio.run(hammer(started[CACHED], database, users, sizes.revokes_fab, away=FAB_SECONDS))
        here = asyncio.run(hammer(started[HERE], database, users, sizes.revokes, away=AWAY_SECONDS))
    what = f"{len(here)} revokes under {CLIENTS} clients: last request answered 200 was sent, after the commit"
    beside = {"median": median(here), f"{CACHED}, of {len(fab)}": max(fab)}
    figure = Figure(what, "ms", max(here), ALLOWED_MS, beside=beside)
    return [Section("revokes", "PostgreSQL, pool of 50", "2 workers", (figure,))]


def add_readers(database: Database) -> list[int]:
    """Users with a role each that lets them read the configuration."""
    with cursor(database) as work:
        work.execute(
            "SELECT p.id FROM ab_permission_view p JOIN ab_permission a ON a.id = p.permission_id "
            "JOIN ab_view_menu v ON v.id = p.view_menu_id WHERE a.name = 'can_read' AND v.name = 'Configurations'"
        )
        permission = int(str(work.fetchall()[0][0]))
    return [*add_people(database, CLIENTS, range(permission, permission + 1), first=FIRST_ID)]


class Client:
    """One user who never stops asking. Notes when the last request was sent that was answered 200."""

    def __init__(self, server: ApiServer, user_id: int) -> None:
        self.user_id = user_id
        self.last_allowed = 0.0
        self.turn = asyncio.Lock()
        """Of who takes its role, until it is given back."""
        self._port = server.port
        self._asked = request("GET", PATH, token=token(user_id)).encode()

    async def run(self) -> None:
        """Until cancelled."""
        async with Connection(self._port) as connection:
            while True:
                sent = time.perf_counter()
                if await connection.ask(self._asked) == 200:
                    self.last_allowed = sent

    async def allowed(self) -> None:
        """Return once a request is answered 200 that is sent from now on. Raises TimeoutError."""
        now = time.perf_counter()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.last_allowed < now:  # noqa: ASYNC110  # an event would be set thousands of times a second
                await asyncio.sleep(0.005)


async def hammer(server: ApiServer, database: Database, users: list[int], revokes: int, *, away: float) -> list[float]:
    """For each revoke: how many ms after its commit had returned the last request was sent that was answered 200.

    Raises:
        TimeoutError: a client was not allowed at all.
    """
    clients = [Client(server, user_id) for user_id in users]
    hammering = [asyncio.create_task(client.run()) for client in clients]
    await asyncio.gather(*(client.allowed() for client in clients))
    await asyncio.sleep(1.0)
    tasks = []
    for client in _turns(clients, revokes):
        tasks.append(asyncio.create_task(_revoke(database, client, away)))
        await asyncio.sleep(EVERY_SECONDS)
    found = await asyncio.gather(*tasks)
    for task in hammering:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return found


def _turns(clients: list[Client], number: int) -> Iterator[Client]:
    for turn in range(number):
        yield clients[turn % len(clients)]


async def _revoke(database: Database, client: Client, away: float) -> float:
    async with client.turn:
        await client.allowed()
        committed = await asyncio.to_thread(_take, database, client.user_id)
        await asyncio.sleep(away)
        late = max(0.0, client.last_allowed - committed) * 1e3
        await asyncio.to_thread(_give, database, client.user_id)
        return late


def _take(database: Database, user_id: int) -> float:
    with cursor(database) as work:
        work.execute("DELETE FROM ab_user_role WHERE user_id = %s", (user_id,))
        return time.perf_counter()


def _give(database: Database, user_id: int) -> None:
    with cursor(database) as work:
        work.execute("INSERT INTO ab_user_role (id, user_id, role_id) VALUES (%s, %s, %s)", (user_id,) * 3)
