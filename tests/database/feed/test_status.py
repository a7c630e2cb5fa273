"""What a manager says of itself, as `status()` and as metrics, moves as what it tells of does."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
from opentelemetry.metrics import CallbackOptions, Meter
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.errors import ClosedError
from asyncauth.metrics import METRICS, register_opentelemetry, register_prometheus
from tests.database.feed.people import ADA, BOB, add_people
from tests.managers import FakeClock, poll, quiet, running
from tests.waiting import GIVE_UP_SECONDS, until

STALENESS_SECONDS = 10.0


@pytest.fixture
def clock() -> FakeClock:
    """The manager's."""
    return FakeClock()


@pytest.fixture
async def auth(settings: Settings, clock: FakeClock, engine: AsyncEngine) -> AsyncIterator[AuthManager]:
    """A manager that has just begun."""
    await add_people(engine)
    bounds = quiet(settings, max_staleness_seconds=STALENESS_SECONDS)
    async with AuthManager(bounds, clock=clock.clock) as manager:
        yield manager


async def test_the_numbers_move(auth: AuthManager, engine: AsyncEngine, clock: FakeClock) -> None:
    """Hits, loads, entries, proof, lag, changes, flushes."""
    status = auth.status()
    assert (status.ready, status.trouble, status.degraded, status.missing_triggers) == (True, None, None, ())
    assert (status.users, status.roles, status.hits, status.loads) == (0, 0, 0, 0)
    assert (status.changes, status.flushes, status.change_lag_seconds) == (0, {}, None)
    assert (status.proven_for_seconds, status.seconds_since_proof) == (STALENESS_SECONDS, 0)
    assert (status.seconds_since_push, status.listening) == (None, False)

    await auth.get_user(ADA)
    await auth.get_user(BOB)
    for _ in range(3):
        await auth.get_user(ADA)
    status = auth.status()
    assert (status.users, status.roles, status.hits, status.loads) == (2, 3, 3, 2)

    clock.advance(4)
    status = auth.status()
    assert (status.proven_for_seconds, status.seconds_since_proof) == (STALENESS_SECONDS - 4, 4)
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE ab_user SET last_name = 'X' WHERE id = {ADA}"))
        written = await connection.scalar(text("SELECT max(at) FROM asyncauth_change"))
    clock.now = written / 1e6 + 1.5
    await poll(auth)
    status = auth.status()
    assert (status.changes, status.seconds_since_proof) == (1, 0)
    assert status.change_lag_seconds == pytest.approx(1.5, abs=1e-3)
    assert status.users == (0 if engine.dialect.name == "sqlite" else 1)

    await running(auth).follower.restart("a test wants it")
    status = auth.status()
    assert (status.users, status.roles, status.flushes) == (0, 0, {"a test wants it": 1})
    clock.advance(STALENESS_SECONDS)
    status = auth.status()
    assert (status.ready, status.trouble, status.proven_for_seconds) == (False, "memory is not proven current", 0)
    await auth.close()
    with pytest.raises(ClosedError):
        auth.status()


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_the_proof_counts_from_when_the_question_was_sent(
    auth: AuthManager, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer tells what was true before it was on its way: who was frozen meanwhile, or waited, has less left."""
    database = running(auth).database
    ask = database.ask

    async def ask_slowly(*arguments: Any) -> Any:
        rows = await ask(*arguments)
        clock.advance(4)
        return rows

    monkeypatch.setattr(database, "ask", ask_slowly)
    await poll(auth)
    status = auth.status()
    assert (status.proven_for_seconds, status.seconds_since_proof) == (STALENESS_SECONDS - 4, 4)


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True)
async def test_a_push_is_told(settings: Settings, engine: AsyncEngine) -> None:
    """LISTEN stands, and the last wake-up is not long ago."""
    await add_people(engine)
    async with AuthManager(quiet(settings, listen=True)) as auth:
        await until(lambda: auth.status().listening)
        before = auth.status().changes
        async with engine.begin() as connection:
            await connection.execute(text(f"UPDATE ab_user SET last_name = 'X' WHERE id = {ADA}"))
        await until(lambda: auth.status().changes == before + 1)
        since = auth.status().seconds_since_push
        assert since is not None
        assert 0 <= since < GIVE_UP_SECONDS


def exposed(registry: CollectorRegistry) -> dict[str, float]:
    """What Prometheus reads."""
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


async def test_prometheus(auth: AuthManager, clock: FakeClock) -> None:
    """Gauges and counters, read when asked; what is unknown, and a manager that is closed, shows nothing."""
    registry = CollectorRegistry()
    register_prometheus(auth, registry)
    assert exposed(registry)["asyncauth_loads_total"] == 0
    await auth.get_user(ADA)
    await auth.get_user(ADA)
    clock.advance(3)
    values = exposed(registry)
    assert {name.removeprefix("asyncauth_").removesuffix("_total") for name in values} == {
        metric.name for metric in METRICS
    } - {"since_push_seconds", "change_lag_seconds"}
    assert (values["asyncauth_ready"], values["asyncauth_degraded"], values["asyncauth_users"]) == (1, 0, 1)
    assert (values["asyncauth_loads_total"], values["asyncauth_hits_total"]) == (1, 1)
    assert values["asyncauth_since_proof_seconds"] == 3
    assert values["asyncauth_proven_for_seconds"] == STALENESS_SECONDS - 3
    clock.advance(STALENESS_SECONDS)
    assert exposed(registry)["asyncauth_ready"] == 0
    await auth.close()
    assert exposed(registry) == {}


def read_all(*created: Mock) -> dict[str, float]:
    """What an exporter would read of the instruments that were created."""
    calls = [call for mock in created for call in mock.mock_calls]
    found = {call.args[0]: list(call.kwargs["callbacks"][0](CallbackOptions())) for call in calls}
    return {name: observations[0].value for name, observations in found.items() if observations}


async def test_opentelemetry(auth: AuthManager, clock: FakeClock) -> None:
    """The same numbers through the API, which measures nothing without its SDK."""
    meter = create_autospec(Meter, instance=True)
    register_opentelemetry(auth, meter)
    counters, gauges = meter.create_observable_counter, meter.create_observable_gauge
    for created, counts in ((counters, True), (gauges, False)):
        names = {f"asyncauth.{metric.name}" for metric in METRICS if metric.counts is counts}
        assert {call.args[0] for call in created.mock_calls} == names
    await auth.get_user(ADA)
    clock.advance(3)
    values = read_all(counters, gauges)
    assert (values["asyncauth.loads"], values["asyncauth.hits"], values["asyncauth.since_proof_seconds"]) == (1, 0, 3)
    assert "asyncauth.since_push_seconds" not in values
    await auth.close()
    assert read_all(counters, gauges) == {}


def test_nothing_is_imported_that_nobody_asked_for() -> None:
    """Metrics and Redis are extras: without them everything else works."""
    check = (
        "import sys, asyncauth, asyncauth.metrics, asyncauth.running, asyncauth.web.asgi\n"
        "print([name for name in ('prometheus_client', 'opentelemetry', 'redis') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
