"""The upkeep: when it looks at the triggers and what it then says, when it purges, and that nothing ends it."""

import asyncio
import logging
import random
from types import SimpleNamespace
from typing import Any

import pytest

from asyncauth.changes import upkeep
from asyncauth.changes.upkeep import Upkeep
from asyncauth.errors import DatabaseUnavailableError
from asyncauth.tasks import Tasks
from tests.managers import FakeClock
from tests.unit.feed.fakes import as_real
from tests.waiting import settle, until

HOUR_SECONDS = 3600.0
RETENTION_SECONDS, LEEWAY_SECONDS, MAX_AGE_SECONDS = 777.0, 20, 1000


class Follower:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.airflow = False
        self.told: list[Any] = []
        self.schema: str | None = "first"

    async def read_schema(self) -> str | None:
        return self.schema

    async def rely_on_triggers(self, yes: bool) -> None:
        self.told.append(yes)

    async def restart(self, reason: str) -> None:
        self.told.append(reason)


class House:
    """An upkeep and what it looks after; `found` is what the database shows of schema, triggers and Airflow's table."""

    def __init__(self, **values: Any) -> None:
        self.follower = as_real(Follower())
        self.clock = FakeClock()
        self.found: Any = ("first", [], False)
        self.done: list[Any] = []
        self.tasks: set[str] = set()
        """In which tasks anything was done."""
        self.trouble: Exception | None = None
        defaults = {
            "poll_interval_seconds": 1.0,
            "trigger_check_seconds": 1.0,
            "max_staleness_seconds": 30.0,
            "change_retention_seconds": RETENTION_SECONDS,
            "jwt_leeway_seconds": LEEWAY_SECONDS,
            "jwt_max_age_seconds": MAX_AGE_SECONDS,
        }
        settings = as_real(SimpleNamespace(**defaults | values))
        me = as_real(self)
        self.upkeep = Upkeep(me, self.follower, me, self.clock.clock, settings)

    def note(self, what: Any) -> None:
        """Remember what was done, and by whom."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task.get_name())
        self.done.append(what)

    async def read(self, look: Any) -> Any:
        """As `Database.read`."""
        assert look is upkeep._look
        self.note("checked")
        return self.found

    async def note_uses(self) -> None:
        """As `ApiKeys.note_uses`."""
        self.note("noted")
        if self.trouble is not None:
            raise self.trouble


# ── triggers ──


async def test_the_follower_is_told_when_the_answer_changes(caplog: pytest.LogCaptureFixture) -> None:
    """That triggers are missing, with their names, and that they stand again; once each."""
    house = House()
    assert house.upkeep.missing == []
    for missing, told in (([], []), (["a", "b"], [False]), (["a"], [False]), ([], [False, True]), ([], [False, True])):
        house.found = ("first", missing, False)
        await house.upkeep.check_triggers()
        assert house.follower.told == told
        assert house.upkeep.missing == missing
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "2 triggers are missing (a, b)" in caplog.text
    assert "seen after 30 s" in caplog.text
    assert "the triggers stand again" in caplog.text


async def test_airflows_table_may_come_later() -> None:
    """Then revocations in it have to be read, once; that it goes is no news. With other news it needs no word."""
    house = House()
    for airflow, told in ((False, 0), (True, 1), (True, 1), (False, 1), (True, 2)):
        house.found = ("first", [], airflow)
        await house.upkeep.check_triggers()
        assert len(house.follower.told) == told
        assert house.follower.airflow is airflow
    assert set(house.follower.told) == {"Airflow's table of revoked tokens was made"}
    house.found = ("first", [], False)
    await house.upkeep.check_triggers()
    house.found = ("first", ["a"], True)
    await house.upkeep.check_triggers()
    assert house.follower.told[2:] == [False]
    assert house.follower.airflow is True


@pytest.mark.parametrize(("poll_seconds", "look_is_late"), [(0.5, False), (1.0, False), (1.5, True)])
async def test_a_check_is_due_when_the_schema_changed(poll_seconds: float, look_is_late: bool) -> None:
    """Since the last one; if looks are rarer than checks, always. A look that failed tells nothing."""
    house = House(poll_interval_seconds=poll_seconds)
    assert await house.upkeep.is_check_due()
    await house.upkeep.check_triggers()
    assert await house.upkeep.is_check_due() is look_is_late
    house.follower.schema = "second"
    assert await house.upkeep.is_check_due()
    house.follower.schema = None
    assert await house.upkeep.is_check_due() is look_is_late


# ── the loop ──


class Loop:
    """An upkeep that runs; between two rounds it sleeps till it is told to go on."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self.slept: list[float] = []
        self._go_on = asyncio.Event()
        monkeypatch.setattr(upkeep, "asyncio", SimpleNamespace(sleep=self._sleep))
        self.tasks = Tasks()
        self.task = asyncio.create_task(house.upkeep.run(self.tasks))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._go_on.wait()
        self._go_on.clear()

    async def round(self) -> list[Any]:
        """One more; what was done in it."""
        await until(lambda: self.slept)
        rounds = len(self.slept)
        self.house.done.clear()
        self._go_on.set()
        await until(lambda: len(self.slept) > rounds)
        return list(self.house.done)

    async def end(self) -> None:
        """End it."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.tasks.close(drain_seconds=1)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """That purges a quarter of an hour after it began."""
    made = House(trigger_check_seconds=7.0)

    def uniform(low: float, high: float) -> float:
        assert (low, high) == (0, HOUR_SECONDS)
        return HOUR_SECONDS / 4

    async def purge_changes(database: Any, now: float, retention_seconds: float) -> None:
        assert database is made
        made.note(("changes", now, retention_seconds))

    async def purge_expired(database: Any, now: float, *, leeway_seconds: int, max_age_seconds: int) -> None:
        assert database is made
        made.note(("expired", now, leeway_seconds, max_age_seconds))

    monkeypatch.setattr(random, "uniform", uniform)
    monkeypatch.setattr(upkeep, "purge_changes", purge_changes)
    monkeypatch.setattr(upkeep, "purge_expired", purge_expired)
    return made


async def test_each_round(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses of keys are noted, and triggers looked at if that is due, as often as the settings say."""
    loop = Loop(house, monkeypatch)
    assert await loop.round() == ["noted", "checked"]
    assert await loop.round() == ["noted"]
    house.follower.schema = "second"
    assert await loop.round() == ["noted", "checked"]
    assert set(loop.slept) == {7.0}
    await loop.end()


async def test_it_purges_once_an_hour(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time somewhere within the first hour, so that workers that began together do it one by one."""
    loop = Loop(house, monkeypatch)
    await loop.round()
    house.follower.schema = house.upkeep._schema
    purged = 0
    for seconds, due in ((HOUR_SECONDS / 4, False), (1, True), (HOUR_SECONDS, False), (1, True), (1, False)):
        house.clock.advance(seconds)
        done = await loop.round()
        now = house.clock.now
        expected = [("changes", now, RETENTION_SECONDS), ("expired", now, LEEWAY_SECONDS, MAX_AGE_SECONDS)]
        assert done == ["noted", *(expected if due else [])]
        purged += due
    assert purged == 2
    assert house.tasks == {"asyncauth background"}
    await loop.end()


@pytest.mark.parametrize(
    ("trouble", "level"), [(DatabaseUnavailableError("no answer"), logging.INFO), (ZeroDivisionError(), logging.ERROR)]
)
async def test_whatever_fails_the_next_round_comes(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Exception, level: int
) -> None:
    """An outage is no news here: the follower tells of it."""
    house.trouble = trouble
    with caplog.at_level(logging.INFO):
        loop = Loop(house, monkeypatch)
        assert await loop.round() == ["noted"]
        house.trouble = None
        assert await loop.round() == ["noted", "checked"]
    assert [(record.name, record.levelno) for record in caplog.records] == [("asyncauth.changes.upkeep", level)]
    await loop.end()


async def test_a_statement_goes_on_when_the_loop_is_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a task of its own, which inherits nothing."""
    begun, free = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        begun.set()
        await free.wait()
        house.note("noted")

    monkeypatch.setattr(house, "note_uses", slowly)
    loop = Loop(house, monkeypatch)
    await until(lambda: loop.slept)
    loop._go_on.set()
    await begun.wait()
    loop.task.cancel()
    await settle()
    free.set()
    await loop.tasks.close(drain_seconds=10)
    assert (house.done, house.tasks) == (["noted"], {"asyncauth background"})
