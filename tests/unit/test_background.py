"""What runs for ever goes on for ever, whatever fails; and says so once."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from asyncauth import Settings
from asyncauth.changes import postgres, upkeep
from asyncauth.changes.follower import Follower
from asyncauth.changes.postgres import Listener
from asyncauth.changes.upkeep import Upkeep
from asyncauth.clock import SYSTEM_CLOCK
from asyncauth.errors import DatabaseUnavailableError
from asyncauth.tasks import Tasks
from tests.managers import FakeClock
from tests.waiting import until

SETTINGS = Settings(jwt_issuer="here", jwt_audience="us")
GONE = DatabaseUnavailableError("it is gone")


class Work:
    """Fails with each of `errors` in turn, and then no more."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.done = 0
        self.succeeded: Callable[[], None] = lambda: None

    async def __call__(self, *_: object, **__: object) -> None:
        self.done += 1
        if self._errors:
            raise self._errors.pop(0)
        self.succeeded()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """The tasks that a manager would own."""
    made = Tasks()
    yield made
    await made.close(drain_seconds=0)


@pytest.fixture
def follower() -> Follower:
    """One without a database, that looks all the time."""
    settings = SETTINGS.model_copy(update={"poll_interval_seconds": 0.001, "database_timeout_seconds": 0.01})
    database: Any = SimpleNamespace(dialect="sqlite")
    memory: Any = None
    return Follower(database, memory, memory, memory, memory, SYSTEM_CLOCK, settings, airflow=False)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged."""
    return [record.getMessage() for record in caplog.records]


async def test_a_follower_survives_everything(
    follower: Follower, tasks: Tasks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage is told when it begins and when it ends; what nobody thought of each time, with its traceback."""
    look = Work(GONE, GONE, ZeroDivisionError())
    troubles: list[str | None] = []

    def succeeded() -> None:
        troubles.append(follower.trouble)
        follower.trouble = None

    look.succeeded = succeeded
    monkeypatch.setattr(follower, "catch_up", look)
    running = asyncio.create_task(follower.run(tasks))
    await until(lambda: look.done >= 6)
    running.cancel()
    assert troubles[:2] == ["asking for changes failed", None]
    assert messages(caplog) == [
        "cannot ask for changes: it is gone",
        "cannot ask for changes",
        "changes are known again",
    ]
    assert caplog.records[1].exc_info is not None


async def test_who_waits_too_long_for_others_is_told(follower: Follower) -> None:
    """Twice the deadline of a question, and the lock goes on to whoever comes next."""
    async with follower._looking:
        with pytest.raises(DatabaseUnavailableError, match="too many are waiting"):
            await follower.catch_up()
    assert not follower._looking.locked()


@pytest.mark.parametrize("announces", [False, True])
async def test_without_a_database_an_own_write_ends_all_proof(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, announces: bool
) -> None:
    """What was written is not known here, so nothing is granted until it is; the others are told all the same."""
    announced = Work()
    follower.announce = announced if announces else None
    monkeypatch.setattr(follower, "catch_up", Work(GONE))
    follower.proven_until = 99.0
    await follower.see_own_write()
    assert (follower.proven_until, follower.trouble) == (0.0, "it is gone")
    assert announced.done == announces


class Caretaker(Upkeep):
    """Counts what it would do."""

    def __init__(self, clock: FakeClock) -> None:
        settings = SETTINGS.model_copy(update={"trigger_check_seconds": 0.001})
        self.uses = Work(GONE, ZeroDivisionError())
        nothing: Any = None
        keys: Any = SimpleNamespace(note_uses=self.uses)
        super().__init__(nothing, nothing, keys, clock.clock, settings)
        self.due = False
        self.checks = 0

    async def is_check_due(self) -> bool:
        """If the test says so."""
        return self.due

    async def check_triggers(self) -> None:
        """Count it."""
        self.checks += 1


async def test_triggers_are_not_left_to_looks_that_come_too_seldom() -> None:
    """Whoever looks for changes less often than triggers are checked asks about them by itself."""
    nothing: Any = None
    seldom = SETTINGS.model_copy(update={"poll_interval_seconds": 60.0, "trigger_check_seconds": 10.0})
    assert await Upkeep(nothing, nothing, nothing, FakeClock().clock, seldom).is_check_due()


async def test_upkeep_survives_everything(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It purges once an hour, each worker at a moment of its own, and checks triggers when that is due."""
    clock, changes, expired = FakeClock(), Work(), Work()
    monkeypatch.setattr(upkeep, "purge_changes", changes)
    monkeypatch.setattr(upkeep, "purge_expired", expired)
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    caplog.set_level(logging.INFO)
    caretaker = Caretaker(clock)
    running = asyncio.create_task(caretaker.run(tasks))

    async def turns() -> None:
        before = caretaker.uses.done
        await until(lambda: caretaker.uses.done >= before + 3)

    purges = []
    for seconds in (0, 1800, 1, 3600, 1):
        clock.advance(seconds)
        await turns()
        purges.append((changes.done, expired.done))
    assert purges == [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2)]
    assert caretaker.checks == 0
    caretaker.due = True
    await until(lambda: caretaker.checks)
    running.cancel()
    assert messages(caplog) == ["upkeep of the change log failed: it is gone", "upkeep of the change log failed"]
    assert caplog.records[1].exc_info is not None


async def test_a_listener_tries_for_ever(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """And says once that it cannot, until it could."""
    engine: Any = None
    listener = Listener(engine, lambda _: None, timeout_seconds=1)
    attempt = Work(ConnectionRefusedError(), TimeoutError(), ConnectionResetError())
    attempt.succeeded = listener._ready
    monkeypatch.setattr(postgres, "_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(listener, "_listen", attempt)
    running = asyncio.create_task(listener.run())
    await until(lambda: attempt.done >= 5)
    running.cancel()
    assert messages(caplog) == ["cannot listen for changes (ConnectionRefusedError): polling only"]
    assert (listener.listening, listener.trouble) == (False, None)
