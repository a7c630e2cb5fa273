"""The guarded instance: whole or absent, whoever asks, however many at once, whatever goes wrong on the way."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, bootstrap, close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.db.migrate import upgrade
from asyncauth.errors import ClosedError, ConfigurationError, LoginError
from asyncauth.passwords import Scheme
from tests.conftest import PATIENCE_SECONDS
from tests.databases import Database
from tests.leaks import no_connection_open
from tests.managers import quiet, running
from tests.noise import collect_noise
from tests.rows import add_role, add_user
from tests.waiting import settle, until

on_sqlite = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
on_two = pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)


class Counting(AuthManager):
    """A manager that counts its starts and closes."""

    starts = 0
    closes = 0

    async def start(self) -> None:
        Counting.starts += 1
        await super().start()

    async def close(self) -> None:
        await super().close()
        Counting.closes += 1


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    Counting.starts = Counting.closes = 0
    yield
    await close_auth_manager()


@pytest.fixture
def calm(settings: Settings) -> Settings:
    """Settings without polling."""
    return quiet(settings)


@pytest.fixture
async def ada(engine: AsyncEngine) -> int:
    """A user with a role."""
    async with engine.begin() as connection:
        return await add_user(connection, roles=[await add_role(connection, "Viewer", [("can_read", "DAG:etl")])])


def in_threads(number: int, work: Callable[[], Awaitable[object]]) -> list[object]:
    """Run `work` in so many threads at once, each with an event loop of its own; what each returns or raises."""
    barrier = threading.Barrier(number)
    results: list[object] = []

    def run() -> None:
        barrier.wait(60)
        try:
            results.append(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001
            results.append(error)

    async def main() -> object:
        return await work()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == number
    return results


@on_two
async def test_ten_threads_at_once(calm: Settings, ada: int) -> None:
    """Ten threads, each with its event loop: one whole manager for each, at once (the test of airflow#62431)."""

    async def work() -> AuthManager:
        made = await asyncio.gather(*(create_auth_manager(calm, cls=Counting) for _ in range(3)))
        assert get_auth_manager() is made[0] is made[1] is made[2]
        assert (await made[0].get_user(ada)).username == "ada"
        await close_auth_manager()
        with pytest.raises(ClosedError):
            get_auth_manager()
        return made[0]

    results = await asyncio.to_thread(in_threads, 10, work)
    assert len({id(result) for result in results}) == 10
    assert all(isinstance(result, AuthManager) for result in results), results
    assert Counting.starts == 10


@on_two
async def test_a_thousand_tasks_at_once(calm: Settings, ada: int) -> None:
    """One start, one instance, and nobody waits for a second one."""

    async def work() -> AuthManager:
        manager = await create_auth_manager(calm, cls=Counting)
        assert (await manager.get_user(ada)).username == "ada"
        return manager

    results = await asyncio.gather(*(work() for _ in range(1000)))
    assert set(map(id, results)) == {id(get_auth_manager())}
    assert Counting.starts == 1


@on_two
async def test_threads_and_tasks_at_once(calm: Settings, ada: int) -> None:
    """Four threads with two hundred tasks each: one manager for each thread."""

    async def work() -> set[int]:
        results = await asyncio.gather(*(create_auth_manager(calm, cls=Counting) for _ in range(200)))
        await asyncio.gather(*(result.get_user(ada) for result in results))
        await close_auth_manager()
        return set(map(id, results))

    results = await asyncio.to_thread(in_threads, 4, work)
    assert [len(result) if isinstance(result, set) else result for result in results] == [1] * 4
    assert Counting.starts == 4
    assert Counting.closes == 4


@on_two
async def test_a_start_that_fails_and_then_works(empty_database: Database, settings: Settings) -> None:
    """Without the tables every caller is told so; when they are there the next one gets a manager."""
    calm = quiet(settings, database_url=empty_database.url)
    results = await asyncio.gather(
        *(create_auth_manager(calm, cls=Counting) for _ in range(10)), return_exceptions=True
    )
    assert all(isinstance(result, ConfigurationError) and "db upgrade" in str(result) for result in results), results
    assert Counting.starts == 10
    with pytest.raises(ClosedError):
        get_auth_manager()
    await upgrade(empty_database.url)
    manager = await create_auth_manager(calm, cls=Counting)
    assert manager is get_auth_manager()
    assert manager.unready() is None
    await close_auth_manager()


class Failing(AuthManager):
    """A manager whose first start fails in the middle."""

    failures = 1

    async def start(self) -> None:
        await super().start()
        if Failing.failures:
            Failing.failures -= 1
            await self.close()
            raise ConfigurationError("no luck")


@on_sqlite
async def test_one_failure_is_one_callers(calm: Settings) -> None:
    """Of many who ask at once the first gets the error; the others try again and succeed."""
    Failing.failures = 1
    results = await asyncio.gather(*(create_auth_manager(calm, cls=Failing) for _ in range(5)), return_exceptions=True)
    assert [isinstance(result, ConfigurationError) for result in results] == [True, False, False, False, False]
    assert set(map(id, results[1:])) == {id(get_auth_manager())}


@on_two
async def test_a_start_that_is_cancelled_anywhere(calm: Settings, database: Database, ada: int) -> None:
    """Cancelled at whichever step: nothing is left of it, nobody has seen it, and the next caller gets a manager."""
    with collect_noise():  # of asyncpg, about connections that were cut off while they were made
        steps = 0
        while await cancelled_after(steps, calm):
            steps += max(1, steps // 10)
    assert steps > 20
    assert (await get_auth_manager().get_user(ada)).username == "ada"


class DoneError(Exception):
    """The start has ended."""


async def cancelled_after(steps: int, settings: Settings) -> bool:
    """Whether a start could be cancelled after so many turns of the loop, and left nothing; else it has ended."""
    caller = asyncio.create_task(create_auth_manager(settings))
    with contextlib.suppress(DoneError), no_connection_open():
        for _ in range(steps):
            await asyncio.sleep(0)
        if caller.done():
            raise DoneError
        caller.cancel()
        await asyncio.wait([caller])
    if not caller.cancelled():
        return False
    with pytest.raises(ClosedError):
        get_auth_manager()
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("asyncauth")] == []
    return True


@on_sqlite
async def test_a_caller_that_goes_away_while_another_starts(calm: Settings) -> None:
    """Neither the one who starts, nor those behind or before, are touched by one who gives up waiting."""
    callers = [asyncio.create_task(create_auth_manager(calm, cls=Counting)) for _ in range(10)]
    await settle()
    for caller in callers[2::3]:
        caller.cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [n % 3 == 2 for n in range(10)]
    assert Counting.starts == 1


@on_sqlite
async def test_a_starter_that_goes_away_leaves_it_to_the_next(calm: Settings) -> None:
    """Whoever starts and is cancelled is followed by the next in the queue, who starts anew."""
    callers = [asyncio.create_task(create_auth_manager(calm, cls=Counting)) for _ in range(3)]
    await settle()
    callers[0].cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is results[2] is get_auth_manager()
    assert Counting.starts == 2


@on_sqlite
async def test_the_same_settings_give_the_same_manager(calm: Settings, engine: AsyncEngine) -> None:
    """Equal settings, class and engine: no second start. Anything else: a new manager in the old one's place."""
    first = await create_auth_manager(calm)
    assert await create_auth_manager(calm.model_copy()) is first
    for arguments in (
        {"settings": calm.model_copy(update={"user_cache_size": 5})},
        {"cls": Counting},
        {"engine": engine},
    ):
        changed = await create_auth_manager(**{"settings": calm, **arguments})  # type: ignore[arg-type]
        assert changed is not first
        assert get_auth_manager() is changed
        assert not first.started
        with pytest.raises(ClosedError):
            await first.get_user(1)
        first = changed


class Gate:
    """Password checks that stand still until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, *_: object) -> str:
        self.entered.set()
        self.open.wait(60)
        return "00"


@on_two
async def test_the_old_one_ends_its_work_first(
    calm: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login under way while the settings change is answered by the old manager; the new one starts after that."""
    async with engine.begin() as connection:
        await add_user(connection, password="scrypt:16:1:1$salt$00")
    gate = Gate()
    monkeypatch.setattr(Scheme, "compute", gate)
    old = await create_auth_manager(calm, cls=Counting)
    login = asyncio.create_task(old.login("ada", "correct horse"))
    await until(gate.entered.is_set)
    other = calm.model_copy(update={"user_cache_size": 5})
    switch = asyncio.create_task(create_auth_manager(other, cls=Counting))
    await until(lambda: not old.started)
    await settle()
    assert not switch.done()
    assert Counting.starts == 1
    with pytest.raises(ClosedError):
        get_auth_manager()
    gate.open.set()
    assert await login
    assert await switch is get_auth_manager()
    assert (Counting.starts, Counting.closes) == (2, 1)


@on_sqlite
async def test_nobody_sees_half_a_manager(calm: Settings, ada: int) -> None:
    """At every turn of the loop, while managers come and go, whoever asks gets a whole one or a 503."""
    seen = {"whole": 0, "absent": 0}
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            try:
                manager = get_auth_manager()
                assert manager.unready() is None
                manager.find_user_from_token(manager.issue_token(ada))
                seen["whole"] += 1
            except ClosedError:
                seen["absent"] += 1
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    for size in range(1, 6):
        manager = await create_auth_manager(calm.model_copy(update={"user_cache_size": size}))
        await manager.get_user(ada)
    await close_auth_manager()
    done.set()
    await watcher
    assert min(seen.values()) > 10


@on_two
async def test_a_closing_that_is_cancelled_goes_to_its_end(
    calm: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled caller of `close` does not leave half a manager: work under way ends, the pool is closed, and only
    then is the cancellation raised."""
    async with engine.begin() as connection:
        await add_user(connection, password="scrypt:16:1:1$salt$00")
    gate = Gate()
    monkeypatch.setattr(Scheme, "compute", gate)
    auth = AuthManager(calm)
    await auth.start()
    parts = running(auth)
    login = asyncio.create_task(auth.login("ada", "correct horse"))
    await until(gate.entered.is_set)
    closing = asyncio.create_task(auth.close())
    for _ in range(3):
        await settle()
        closing.cancel()
    await settle()
    assert not closing.done()
    gate.open.set()
    assert await login
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert parts.tasks._running == set()
    assert parts.database.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


@on_sqlite
async def test_closing(calm: Settings, engine: AsyncEngine) -> None:
    """Closing twice, closing none, starting again: all fine. An application's engine stays open."""
    await close_auth_manager()
    auth = AuthManager(calm, engine=engine)
    with pytest.raises(ClosedError):
        auth.issue_token(1)
    for _ in range(2):
        await auth.start()
        await auth.start()
        assert auth.unready() is None
        with pytest.raises(LoginError):
            await auth.login("ada", "guess")
        await asyncio.gather(auth.close(), auth.close())
        await auth.close()
        assert auth.unready() == "not started"
    async with engine.connect() as connection:
        assert await connection.exec_driver_sql("SELECT 1")


@on_sqlite
async def test_what_is_under_way_at_the_close_is_answered(calm: Settings, ada: int) -> None:
    """Requests in flight when the manager closes get their answer or a 503, never a CancelledError."""
    for turns in range(12):
        auth = AuthManager(calm)
        await auth.start()
        requests = [asyncio.create_task(auth.get_user(ada)) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await auth.close()
        for result in await asyncio.gather(*requests, return_exceptions=True):
            assert isinstance(result, ClosedError) or result.username == "ada", result  # type: ignore[union-attr]


@on_sqlite
async def test_one_event_loop_after_the_other(calm: Settings, ada: int) -> None:
    """Each loop has its own manager. One that was left open on a loop that is gone is not found, and not kept."""

    async def work(*, close: bool) -> AuthManager:
        manager = await create_auth_manager(calm)
        assert (await manager.get_user(ada)).username == "ada"
        if close:
            await close_auth_manager()
        else:
            await manager.close()
        return manager

    managers = [await asyncio.to_thread(asyncio.run, work(close=close)) for close in (True, False, True)]
    assert len(set(map(id, managers))) == 3

    async def count() -> int:
        with pytest.raises(ClosedError):
            get_auth_manager()
        return len(bootstrap._slots._by_loop)

    assert await asyncio.to_thread(asyncio.run, count()) == 1


@on_sqlite
async def test_one_manager_on_two_loops_in_turn(calm: Settings, ada: int) -> None:
    """A manager that was closed on one loop starts on the next."""
    auth = AuthManager(calm)

    async def work() -> None:
        async with auth:
            assert (await auth.get_user(ada)).username == "ada"

    for _ in range(2):
        await asyncio.to_thread(asyncio.run, work())


@on_sqlite
async def test_another_loop_is_refused(calm: Settings, ada: int) -> None:
    """Whatever needs the database says on another loop that the manager belongs to the first one, and harms nobody."""
    async with AuthManager(calm) as auth:

        async def use() -> None:
            for request in (auth.get_user(ada), auth.login("ada", "x"), auth.revoke_token(auth.issue_token(ada))):
                with pytest.raises(ConfigurationError, match="one per loop"):
                    await request

        await asyncio.to_thread(asyncio.run, use())
        assert (await auth.get_user(ada)).username == "ada"
        user = auth.current(await auth.get_user(ada))

        async def look() -> None:
            assert auth.current(user) is user

        await asyncio.to_thread(asyncio.run, look())


FORK = """
import asyncio, os, sys
from asyncauth import Settings, bootstrap, close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.errors import ClosedError

settings = Settings(
    database_url=sys.argv[1], jwt_secret=sys.argv[2], jwt_allow_any_issuer=True, jwt_allow_any_audience=True,
    database_timeout_seconds=60, max_staleness_seconds=600,  # the parent stands still for as long as the child lives
)

async def child():
    try:
        get_auth_manager()
    except ClosedError:
        pass
    else:
        raise AssertionError("the child sees the parent's manager")
    assert len(bootstrap._slots._by_loop) == 1
    manager = await create_auth_manager(settings)
    assert (await manager.get_user(username="ada")).username == "ada"
    await close_auth_manager()

loop = asyncio.new_event_loop()
parents = loop.run_until_complete(create_auth_manager(settings))
with bootstrap._slots._lock:  # as if another thread were asking just now
    pid = os.fork()
if pid == 0:
    try:
        asyncio.run(child())
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

async def parent():
    assert get_auth_manager() is parents
    assert (await parents.get_user(username="ada")).username == "ada"
    await close_auth_manager()

loop.run_until_complete(parent())
loop.close()
print("done")
"""


@on_two
async def test_a_fork_inherits_nothing(calm: Settings, ada: int) -> None:
    """A child process sees no manager of its parent, and makes its own; the parent's goes on."""
    secret, url = calm.jwt_secret, calm.database_url
    assert secret is not None
    assert url is not None
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORK), url, secret]
    run = partial(subprocess.run, capture_output=True, text=True, timeout=120, check=False)
    result = await asyncio.to_thread(run, command)
    assert (result.stdout, result.stderr) == ("done\n", "")


FORK_WHILE_HELD = """
import asyncio, os, threading
from asyncauth import bootstrap
from asyncauth.errors import ClosedError

held, go_on = threading.Event(), threading.Event()

def hold():
    with bootstrap._slots._lock:
        held.set()
        go_on.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()

async def child():
    try:
        bootstrap.get_auth_manager()
    except ClosedError:
        print("no manager", flush=True)

pid = os.fork()
if pid == 0:
    asyncio.run(child())
    os._exit(0)
ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
go_on.set()
thread.join()
print(ended, flush=True)
"""


@on_sqlite
async def test_a_fork_while_a_thread_holds_the_table_of_loops(backend: str) -> None:
    """The thread is not in the child, and would never give the lock back there."""
    command = ["timeout", "60", sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_WHILE_HELD]
    run = partial(subprocess.run, capture_output=True, text=True, check=False)
    result = await asyncio.to_thread(run, command)
    assert (result.stdout, result.stderr) == ("no manager\n0\n", "")


@on_sqlite
async def test_making_a_manager_does_no_io(calm: Settings, blocking: object) -> None:
    """Not a file, not a connection, not a task: on an event loop or without one, with a database that is not there."""
    nowhere = calm.model_copy(update={"database_url": "postgresql+asyncpg://127.0.0.1:1/x", "jwt_secret": None})
    before = asyncio.all_tasks()
    managers = [AuthManager(nowhere) for _ in range(3)]
    assert asyncio.all_tasks() == before
    assert [manager.unready() for manager in managers] == ["not started"] * 3
    for manager in managers:
        await manager.close()


@on_sqlite
async def test_secrets_in_files_are_read_off_the_loop(
    calm: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that come from the environment may name files."""
    path = tmp_path / "secret"
    await asyncio.to_thread(path.write_text, calm.jwt_secret or "")
    for name, value in {
        "JWT_SECRET_FILE": str(path),
        "DATABASE_URL": str(calm.database_url),
        "DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        "JWT_ISSUER": "here",
        "JWT_AUDIENCE": "us",
    }.items():
        monkeypatch.setenv(f"ASYNCAUTH_{name}", value)
    manager = await create_auth_manager()
    assert manager.settings.jwt_secret == calm.jwt_secret
    assert await create_auth_manager() is manager
