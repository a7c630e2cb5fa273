"""The follower: what a look teaches whom, what a failed one leaves, and for how long memory is proven by it."""

import asyncio
import logging
from typing import Any

import pytest

from asyncauth.changes.follower import read_position
from asyncauth.db.feed import Gap, Position
from asyncauth.errors import DatabaseUnavailableError
from asyncauth.tasks import Tasks
from tests.unit.feed.fakes import (
    ENTRY_AGE_SECONDS,
    EPOCH,
    HORIZON_SECONDS,
    LEEWAY_SECONDS,
    MAX_AGE_SECONDS,
    STALENESS_SECONDS,
    Parts,
    row,
)
from tests.waiting import settle, until

NOTHING = "nothing answers"
LONG_SECONDS = 3600.0


@pytest.fixture
def parts() -> Parts:
    """With Airflow's table, on SQLite."""
    return Parts()


# ── what a look teaches ──


def test_before_the_first_look(parts: Parts) -> None:
    """Nothing is proven, nothing is wrong, nothing is known."""
    follower = parts.follower
    assert (follower.proven_until, follower.proven_at, follower.pushed_at) == (0.0, None, None)
    assert (follower.trouble, follower.lag_seconds, follower.records, follower.announce) == (None, None, 0, None)
    assert follower.flushes == {}
    assert [Parts(airflow=airflow).follower.airflow for airflow in (True, False)] == [True, False]


async def test_a_look_proves_memory_from_when_it_was_asked(parts: Parts) -> None:
    """And for as long as the settings say; it asks from where the users stand."""
    parts.users.position = Position(EPOCH, 3, 1003_000_000)
    parts.database.news = [[row(mark=1003_000_000)]]
    vars(parts.follower)["trouble"] = NOTHING
    await parts.follower.catch_up()
    assert parts.database.parameters == [parts.users.position.parameters()]
    assert (parts.follower.proven_at, parts.follower.proven_until) == (5000.0, 5000.0 + STALENESS_SECONDS)
    assert (parts.follower.trouble, parts.follower.records, parts.follower.lag_seconds) == (None, 0, None)
    assert parts.users.calls == []
    assert parts.database.asked == ["news"]


async def test_records_go_where_they_matter(parts: Parts) -> None:
    """Users and roles to the users, keys to the keys, what ends tokens to whom it concerns; and all are counted."""
    parts.clock.now = 1011.5
    rows = [
        row(1, "user", 7),
        row(2, "role", None),
        row(3, "api_key", 4),
        row(4, "token", None, iss="us", jti="a", exp=9000),
        row(5, "token", None, iss=None, jti="b", exp=9001),
        row(6, "cutoff", 8, jti="logout", exp=4000),
        row(7, "cutoff", 9, jti="password", exp=4001),
        row(8, "galaxy", 1),
    ]
    parts.database.news = [rows]
    await parts.follower.catch_up()
    assert parts.users.calls == [[1, 2, 8]]
    assert parts.keys.calls == [[3]]
    assert parts.revoked.own.rows == [(("us", "a"), 9000)]
    assert parts.revoked.airflow.rows == [("b", 9001)]
    assert parts.cutoffs.rows == [(8, 4000, "logout"), (9, 4001, "password")]
    assert (parts.users.position.last, parts.follower.records) == (8, 8)
    assert parts.follower.lag_seconds == 3.5
    assert parts.database.asked == ["news"]
    parts.database.news = [[row(9, "user", 7, mark=1008_000_000)]]
    await parts.follower.catch_up()
    assert (parts.follower.records, parts.follower.lag_seconds) == (9, 2.5)
    assert parts.revoked.own.rows == [(("us", "a"), 9000)]


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "user"},
        {"kind": "api_key"},
        {"kind": "token", "iss": "us", "jti": "a"},
        {"kind": "token", "iss": None, "jti": "a"},
        {"kind": "cutoff", "jti": "logout"},
    ],
)
@pytest.mark.parametrize("count", [1, 3])
async def test_none_of_several_is_forgotten(parts: Parts, record: dict[str, Any], count: int) -> None:
    """The first and the last of a kind as well."""
    parts.database.news = [[row(number, item=number, exp=9000, **record) for number in range(1, count + 1)]]
    await parts.follower.catch_up()
    told = [number for call in (*parts.users.calls, *parts.keys.calls) for number in call]
    learnt = (*parts.revoked.own.rows, *parts.revoked.airflow.rows, *parts.cutoffs.rows, *told)
    assert len(learnt) == count
    assert parts.follower.records == count


async def test_a_change_from_the_future_has_no_lag(parts: Parts) -> None:
    """The database's clock is ahead of ours."""
    parts.clock.now = 1000.0
    parts.database.news = [[row(1, "user", 7)]]
    await parts.follower.catch_up()
    assert parts.follower.lag_seconds == 0.0


@pytest.mark.parametrize(
    ("record", "restarts", "whole"),
    [
        ({"kind": "cutoff", "item": None, "jti": "logout", "exp": 4000}, True, True),
        ({"kind": "cutoff", "item": 8, "jti": "deleted", "exp": 4000}, True, False),
        ({"kind": "cutoff", "item": 8, "jti": "logout", "exp": 4000}, False, False),
        ({"kind": "user", "item": None}, False, False),
    ],
)
async def test_keys_of_the_deleted_are_forgotten(
    parts: Parts, record: dict[str, Any], restarts: bool, whole: bool
) -> None:
    """One who is named, or many who are not: then the cut-offs and revocations are read whole as well."""
    others = [row(1, "galaxy", 3)], [row(3, "galaxy", 3)]
    for before, after in (others, ([], []), (others[0], []), ([], others[1])):
        parts.users.position = Position(EPOCH, 0, None)
        parts.keys.calls.clear()
        parts.database.asked.clear()
        parts.database.news = [[*before, row(2, **record), *after]]
        await parts.follower.catch_up()
        assert ("restart" in parts.keys.calls) is restarts
        assert parts.database.asked == ["news", *(["cutoffs", "own", "airflow"] if whole else [])]


# ── what is lost ──


@pytest.mark.parametrize("airflow", [True, False])
async def test_what_is_lost_makes_everything_be_forgotten(airflow: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Users and keys are dropped, revocations read, and the position is where the log stands now; once."""
    parts = Parts(airflow=airflow)
    parts.database.news = [[row(epoch="there")]]
    parts.database.rows = {
        "start": [row(9, epoch="there")],
        "own": [("us", "a", 9000)],
        "airflow": [("b", 9001)],
        "cutoffs": [(8, 4000, "logout")],
    }
    await parts.follower.catch_up()
    assert (parts.users.calls, parts.keys.calls) == (["restart"], ["restart"])
    assert parts.users.position == Position("there", 9, 1009_000_000)
    assert parts.follower.flushes == {"this is another database": 1}
    assert parts.revoked.own.rows == [(("us", "a"), 9000)]
    assert parts.revoked.airflow.rows == ([("b", 9001)] if airflow else [])
    assert parts.cutoffs.rows == [(8, 4000, "logout")]
    assert parts.follower.proven_until == 5000.0 + STALENESS_SECONDS
    assert "dropping everything in memory: this is another database" in caplog.text
    parts.database.news = [[row(epoch="there", mark=1009_000_000)]]
    await parts.follower.catch_up()
    assert parts.follower.flushes == {"this is another database": 1}


async def test_revocations_are_read_for_as_long_as_they_matter(parts: Parts) -> None:
    """A token is accepted for the leeway after it expired; one older than the greatest age is not accepted."""
    parts.clock.now = 5000.9
    await parts.follower.begin()
    assert parts.database.since("own") == 5000 - LEEWAY_SECONDS
    assert parts.database.since("cutoffs") == 5000 - LEEWAY_SECONDS - MAX_AGE_SECONDS
    airflow = next(one for one in parts.database.statements if "asyncauth" not in one)
    assert "strftime" in airflow
    assert str(5000 - LEEWAY_SECONDS) in airflow
    assert parts.database.asked == ["cutoffs", "own", "airflow", "news"]
    assert parts.follower.proven_until > 0


async def test_a_restart_that_failed_is_made_up_for(parts: Parts) -> None:
    """Whatever failed of it: nothing is proven meanwhile, and the next look forgets everything first."""
    parts.database.rows["start"] = []  # an answer that breaks it
    parts.database.news = [[row(1, "user", 7)]]
    with pytest.raises(IndexError):
        await parts.follower.restart("a test wants it")
    assert parts.follower.flushes == {}
    assert parts.users.calls == []
    del parts.database.rows["start"]
    await parts.follower.catch_up()
    assert (parts.users.calls, parts.keys.calls) == (["restart"], ["restart"])
    assert parts.follower.flushes == {"a test wants it": 1}
    assert parts.follower.records == 0
    await parts.follower.catch_up()
    assert parts.follower.flushes == {"a test wants it": 1}


async def test_a_restart_counts_by_reason(parts: Parts) -> None:
    """Each time."""
    for reason in ("one", "two", "two"):
        await parts.follower.restart(reason)
    assert parts.follower.flushes == {"one": 1, "two": 2}


# ── revocations that expire ──


async def test_expired_revocations_are_forgotten_by_the_clock(parts: Parts) -> None:
    """At every look; a clock that goes back makes them be read again, because some were forgotten too soon."""
    for now in (5000.7, 5000.7, 5010.0):
        parts.clock.now = now
        await parts.follower.catch_up()
    assert parts.revoked.purged == [5000.7, 5000.7, 5010.0]
    assert parts.cutoffs.purged == [5000 - 1020, 5000 - 1020, 5010 - 1020]
    assert parts.database.asked == ["news"] * 3
    parts.clock.now = 5009.9
    await parts.follower.catch_up()
    assert parts.database.asked[3:] == ["news", "cutoffs", "own", "airflow"]
    await parts.follower.catch_up()
    assert parts.database.asked[7:] == ["news"]


# ── triggers ──


async def test_without_triggers_little_is_relied_on(parts: Parts) -> None:
    """Entries live no longer than memory may be unproven; revocations are read at each look; and back."""
    await parts.follower.rely_on_triggers(False)
    for memory in (parts.users, parts.keys):
        assert (memory.ages, memory.calls) == ([STALENESS_SECONDS], ["restart"])
    parts.database.asked.clear()
    await parts.follower.catch_up()
    assert parts.database.asked == ["news", "cutoffs", "own", "airflow"]
    await parts.follower.see_own_write()
    assert parts.follower.flushes == {"triggers are missing": 1, "written without triggers": 1}
    await parts.follower.rely_on_triggers(True)
    for memory in (parts.users, parts.keys):
        assert memory.ages == [STALENESS_SECONDS, ENTRY_AGE_SECONDS]
    parts.database.asked.clear()
    await parts.follower.catch_up()
    await parts.follower.see_own_write()
    assert parts.database.asked == ["news", "news"]
    assert parts.follower.flushes["the triggers stand again"] == 1


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
async def test_what_tells_of_the_schema_is_a_column_of_the_next_look(dialect: str) -> None:
    """Of one look only; None if that failed, and the look after it is asked without. It is the same look otherwise."""
    parts = Parts(dialect)
    due = asyncio.create_task(parts.follower.read_schema())
    await settle()
    await parts.follower.catch_up()
    assert await due == "tables and triggers"
    await parts.follower.catch_up()
    due = asyncio.create_task(parts.follower.read_schema())
    await settle()
    parts.database.news = [DatabaseUnavailableError(NOTHING)]
    with pytest.raises(DatabaseUnavailableError):
        await parts.follower.catch_up()
    assert await due is None
    await parts.follower.catch_up()
    assert ["schema_text" in one for one in parts.database.statements] == [True, False, True, False]
    for one in parts.database.statements:
        assert ("pg_current_snapshot" in one) == (dialect == "postgresql")
        assert ("low7" in one) == (dialect == "mysql")


async def test_who_no_longer_waits_for_the_schema_disturbs_nothing(parts: Parts) -> None:
    """The upkeep was ended."""
    due = asyncio.create_task(parts.follower.read_schema())
    await settle()
    due.cancel()
    await settle()
    await parts.follower.catch_up()
    assert parts.follower.proven_until > 0


# ── those who ask at once ──


async def test_those_who_ask_meanwhile_share_the_next_look(parts: Parts) -> None:
    """One is under way, which may be too early for them; one more serves all others; who asks later asks anew."""
    asked = 0
    free = asyncio.Event()
    ask = parts.database.ask

    async def slowly(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        await free.wait()
        return await ask(*arguments)

    parts.database.ask = slowly
    waiting = [asyncio.create_task(parts.follower.catch_up()) for _ in range(10)]
    await settle()
    late = [asyncio.create_task(parts.follower.catch_up()) for _ in range(10)]
    await settle()
    assert asked == 1
    free.set()
    await asyncio.gather(*waiting, *late)
    assert asked == 2
    await parts.follower.catch_up()
    assert asked == 3


def hold(parts: Parts) -> asyncio.Event:
    """Let every question wait for an event."""
    free = asyncio.Event()
    ask = parts.database.ask

    async def slowly(*arguments: Any) -> Any:
        await free.wait()
        return await ask(*arguments)

    parts.database.ask = slowly
    return free


async def test_a_failed_look_answers_nobody(parts: Parts) -> None:
    """Who waited looks for itself."""
    free = hold(parts)
    parts.database.news = [DatabaseUnavailableError(NOTHING)]
    waiting = [asyncio.create_task(parts.follower.catch_up()) for _ in range(3)]
    await settle()
    free.set()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(end) for end in ends] == [NOTHING, "None", "None"]
    assert parts.database.asked == ["news", "news"]


async def test_who_waits_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After twice what one statement may take."""
    parts, deadlines, timeout = Parts(database_timeout_seconds=7.0), [], asyncio.timeout

    def hurry(seconds: float) -> asyncio.Timeout:
        deadlines.append(seconds)
        return timeout(0.01)

    parts.database.ask = lambda *_: asyncio.sleep(LONG_SECONDS)
    monkeypatch.setattr(asyncio, "timeout", hurry)
    with pytest.raises(DatabaseUnavailableError, match=r"^too many are waiting for the database$"):
        await parts.follower.catch_up()
    assert deadlines == [14.0]


# ── our own writes ──


async def test_our_own_write_is_seen_and_announced(parts: Parts) -> None:
    """Meanwhile, not one after the other."""
    announced = asyncio.Event()

    async def announce() -> None:
        await until(lambda: parts.database.asked == ["news"])
        announced.set()

    parts.follower.announce = announce
    parts.database.news = [[row(1, "user", 7)]]
    await parts.follower.see_own_write()
    assert announced.is_set()
    assert parts.follower.records == 1
    parts.follower.announce = None
    parts.database.news = [[row(2, "user", 7, mark=1001_000_000)]]
    await parts.follower.see_own_write()
    assert parts.database.asked == ["news", "news"]
    assert parts.follower.records == 2


async def test_nothing_is_granted_till_our_own_write_is_known(parts: Parts) -> None:
    """The database was lost right after it."""
    await parts.follower.catch_up()
    parts.database.news = [DatabaseUnavailableError(NOTHING)]
    await parts.follower.see_own_write()
    assert (parts.follower.proven_until, parts.follower.trouble) == (0.0, NOTHING)


# ── wake-ups ──


async def test_a_hint_drops_what_it_names(parts: Parts) -> None:
    """Whatever in it cannot be an id is nothing."""
    parts.follower.wake("user:1,role:22,,user:,user:-1,role:²,user:1:2,:5,user:" + "9" * 20 + ",role:" + "9" * 19)
    assert parts.users.calls == [("user", 1), ("role", 22), ("", 5), ("role", int("9" * 19))]
    assert parts.follower.pushed_at == 5000.0
    parts.clock.advance(1)
    parts.follower.wake()
    assert parts.follower.pushed_at == 5001.0


# ── the loop ──


class Loop:
    """A follower that runs."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.tasks = Tasks()
        self.task = asyncio.create_task(parts.follower.run(self.tasks))

    async def look(self, times: int = 1) -> None:
        """Wake it, and wait till it has looked."""
        for _ in range(times):
            asked = len(self.parts.database.asked)
            self.parts.follower.wake()
            await until(lambda: len(self.parts.database.asked) > asked)  # noqa: B023  at once
            await settle()

    async def end(self) -> None:
        """End it."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.tasks.close(drain_seconds=1)


async def test_who_is_woken_looks_once() -> None:
    """And then waits again: nothing else makes it look before an hour has passed."""
    parts = Parts(poll_interval_seconds=LONG_SECONDS)
    loop = Loop(parts)
    await settle()
    assert parts.database.asked == []
    await loop.look(times=3)
    await settle()
    assert parts.database.asked == ["news"] * 3
    await loop.end()


async def test_who_is_not_woken_looks_at_each_interval() -> None:
    """The first that finds something tells the others; who was woken does not, nor who finds nothing."""
    parts = Parts(poll_interval_seconds=0.01)
    announced: list[int] = []

    async def announce() -> None:
        announced.append(parts.follower.records)

    parts.follower.announce = announce
    loop = Loop(parts)
    await until(lambda: len(parts.database.asked) >= 3)
    assert announced == []
    parts.database.news = [[row(1, "user", 7)]]
    await until(lambda: announced)
    assert announced == [1]
    parts.follower.announce = None
    parts.database.news = [[row(2, "user", 7, mark=1001_000_000)]]
    await until(lambda: parts.follower.records == 2)
    await loop.end()
    assert parts.follower.trouble is None


async def test_who_was_woken_does_not_announce() -> None:
    """Whoever woke it did."""
    parts = Parts(poll_interval_seconds=LONG_SECONDS)
    announced: list[int] = []

    async def announce() -> None:
        announced.append(parts.follower.records)

    parts.follower.announce = announce
    loop = Loop(parts)
    parts.database.news = [[row(1, "user", 7)]]
    await loop.look()
    await until(lambda: parts.follower.records == 1)
    assert announced == []
    await loop.end()


async def test_a_look_goes_on_when_the_loop_is_ended() -> None:
    """It is a task of its own: no statement is cut in the middle."""
    parts = Parts(poll_interval_seconds=LONG_SECONDS)
    free = hold(parts)
    loop = Loop(parts)
    parts.follower.wake()
    await settle()
    assert [task.get_name() for task in loop.tasks._running] == ["asyncauth background"]
    loop.task.cancel()
    await asyncio.gather(loop.task, return_exceptions=True)
    free.set()
    await loop.tasks.close(drain_seconds=10)
    assert parts.follower.proven_until > 0


@pytest.mark.parametrize(
    ("error", "level", "trouble"),
    [
        (DatabaseUnavailableError(NOTHING), logging.WARNING, NOTHING),
        (ZeroDivisionError(), logging.ERROR, "asking for changes failed"),
    ],
)
async def test_trouble_is_told_when_it_begins_and_when_it_ends(
    error: Exception, level: int, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, if it is one that is expected; and the loop goes on, whatever it is."""
    parts = Parts(poll_interval_seconds=LONG_SECONDS)
    loop = Loop(parts)
    parts.database.news = [error, error]
    for told in (1, 1 if level == logging.WARNING else 2):
        await loop.look()
        assert parts.follower.trouble == trouble
        begun = [record for record in caplog.records if record.message.startswith("cannot ask for changes")]
        assert [record.levelno for record in begun] == [level] * told
    await loop.look(times=2)
    assert parts.follower.trouble is None
    assert [record.message for record in caplog.records].count("changes are known again") == 1
    await loop.end()


# ── where the log stands ──


@pytest.mark.parametrize(
    ("dialect", "gaps"), [("mysql", (Gap(3, 3, 70.0), Gap(5, 8, 70.0))), ("sqlite", ()), ("postgresql", ())]
)
async def test_where_to_begin(dialect: str, gaps: tuple[Gap, ...]) -> None:
    """On MariaDB and MySQL the recent ids are asked for first: what is committed meanwhile then counts as missing."""
    parts = Parts(dialect)
    parts.database.rows = {"recent": [row(2), row(4), row(9)], "start": [row(9)]}
    position = await read_position(parts.database, 70.0, HORIZON_SECONDS)
    assert position == Position(EPOCH, 9, 1009_000_000, gaps=gaps)
    assert parts.database.asked == (["recent", "start"] if dialect == "mysql" else ["start"])
    assert ("pg_current_snapshot" in parts.database.statements[-1]) == (dialect == "postgresql")
    if dialect == "mysql":
        assert str(int(HORIZON_SECONDS * 1e6)) in parts.database.statements[0]


async def test_gaps_are_given_up_after_the_horizon() -> None:
    """Of the settings; counted from when they were first missed."""
    parts = Parts("mysql")
    parts.database.news = [[row(1), row(3)]]
    await parts.follower.catch_up()
    assert parts.users.position.gaps == (Gap(2, 2, 5000.0),)
    for seconds, left in ((HORIZON_SECONDS - 1, 1), (1, 0)):
        parts.clock.advance(seconds)
        parts.database.news = [[row(mark=1003_000_000)]]
        await parts.follower.catch_up()
        assert len(parts.users.position.gaps) == left


async def test_a_restart_begins_with_the_gaps_of_the_horizon() -> None:
    """As the first position does."""
    parts = Parts("mysql")
    parts.database.rows = {"recent": [row(2), row(4)], "start": [row(4)]}
    await parts.follower.restart("a test wants it")
    assert parts.users.position.gaps == (Gap(3, 3, 5000.0),)
    assert str(int(HORIZON_SECONDS * 1e6)) in parts.database.statements[0]


async def test_a_snapshot_is_read() -> None:
    """PostgreSQL: what was running at the last look is asked for at the next."""
    parts = Parts("postgresql")
    parts.database.news = [[row(1, snapshot="20:25:21,23")]]
    await parts.follower.catch_up()
    assert (parts.users.position.xmax, parts.users.position.running) == (25, (21, 23))
