"""What happens to whole processes: frozen and continued, killed while writing, forked."""

import asyncio
import random
import signal
import time

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.clock import Clock
from asyncauth.db.tables import changes, role_permissions
from asyncauth.errors import RevokedTokenError
from tests.faults.feed.worker import Worker
from tests.faults.feed.world import World
from tests.managers import poll, quiet
from tests.waiting import eventually

ONE_OF_EACH = ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql"]
LEASE_SECONDS = 0.5


@pytest.mark.parametrize("backend", ["postgresql+asyncpg"], indirect=True)
async def test_a_worker_is_frozen_for_longer_than_its_lease(
    settings: Settings, engine: AsyncEngine, world: World
) -> None:
    """A right is taken away meanwhile. What the worker was asked while it stood still, and what it is asked first when
    it goes on, it does not answer from memory: 503, until it has looked at the log, which is locked for so long; then
    the right is gone."""
    short = {"max_staleness_seconds": LEASE_SECONDS, "poll_interval_seconds": 0.1, "listen": False}
    async with Worker(settings.model_copy(update=short)) as worker:
        await eventually(lambda: is_served(worker, world))
        worker.send(signal.SIGSTOP)
        async with engine.begin() as connection:
            await world.take(connection)
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"LOCK TABLE {changes.name} IN ACCESS EXCLUSIVE MODE")
            for _ in range(20):
                await worker.say(str(world.holder))
            await asyncio.sleep(2 * LEASE_SECONDS)
            worker.send(signal.SIGCONT)
            assert [await worker.hear() for _ in range(20)] == ["503 False"] * 20
        await eventually(lambda: has_lost_it(worker, world))


async def is_served(worker: Worker, world: World) -> bool:
    """Whether a worker grants the right."""
    return await worker.ask(world.holder) == "200 True"


async def has_lost_it(worker: Worker, world: World) -> bool:
    """Whether it knows that the right is gone; it never grants it."""
    answer = await worker.ask(world.holder)
    assert answer in {"503 False", "200 False"}
    return answer == "200 False"


@pytest.mark.parametrize("backend", ONE_OF_EACH, indirect=True)
async def test_a_writer_is_killed(
    settings: Settings, auth: AuthManager, engine: AsyncEngine, world: World, full: bool
) -> None:
    """At any moment: every change is whole or not there, and the others know which."""
    states = set()
    for _ in range(30 if full else 1):
        world.check(await auth.get_user(world.holder))
        async with Worker(settings) as writer:
            await writer.say(f"write {numbers(world)}")
            for _ in range(random.randint(1, 20)):  # noqa: S311
                assert await writer.hear() == "written"
            await asyncio.sleep(random.uniform(0, 0.01))  # noqa: S311
            writer.send(signal.SIGKILL)
        await has_ended(engine, world)
        await poll(auth)
        for user_id in (world.holder, world.other):
            world.check(await auth.get_user(user_id))
        async with AuthManager(quiet(settings)) as fresh:
            assert (await auth.get_user(world.holder)) == (await fresh.get_user(world.holder))
        states.add((await auth.get_user(world.holder)).roles[0].id)
    assert states <= set(world.roles)


@pytest.mark.parametrize("backend", ONE_OF_EACH, indirect=True)
async def test_a_writer_is_killed_halfway(settings: Settings, auth: AuthManager, world: World) -> None:
    """Between two statements of one change: nothing of it is there, neither for who had it in memory nor in the
    database."""
    people = [world.holder, world.other]
    before = [await auth.get_user(user_id) for user_id in people]
    async with Worker(settings) as writer:
        await writer.say(f"halfway {numbers(world)}")
        assert await writer.hear() == "halfway"
        writer.send(signal.SIGKILL)
    await poll(auth)
    assert [await auth.get_user(user_id) for user_id in people] == before
    async with AuthManager(quiet(settings)) as fresh:
        assert [await fresh.get_user(user_id) for user_id in people] == before


async def has_ended(engine: AsyncEngine, world: World) -> None:
    """Return once no transaction of a writer who was killed is open: the server may yet have its commit to do, and
    until then it holds a lock on the permission that moves."""
    links = role_permissions.c
    async with engine.begin() as connection:
        moved = links.permission_view_id == world.permission
        await connection.execute(select(links.id).where(moved).with_for_update())


def numbers(world: World) -> str:
    """What a worker has to be told before it can write."""
    return f"{world.roles[0]} {world.roles[1]} {world.permission} {world.holder} {world.other}"


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
@pytest.mark.parametrize("jump_seconds", [-1e9, -3600.0, 3600.0, 1e9])
async def test_the_wall_clock_jumps(settings: Settings, world: World, jump_seconds: float) -> None:
    """It changes nothing about leases and ages: those go by a clock of their own."""
    jump = 0.0
    clock = Clock(now=lambda: time.time() + jump)
    async with AuthManager(quiet(settings), clock=clock) as auth:
        user = await auth.get_user(world.holder)
        before = auth.status()
        jump = jump_seconds
        assert auth.current(user) == await auth.get_user(world.holder) == user
        assert auth.unready() is None
        await poll(auth)
        after = auth.status()
        assert (after.loads, after.flushes) == (before.loads, {})
        assert abs(after.proven_for_seconds - before.proven_for_seconds) < 60


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_the_wall_clock_jumps_there_and_back(settings: Settings, world: World) -> None:
    """While it is days ahead, revocations expire and are forgotten; when it is back, they count again."""
    jump = 0.0
    clock = Clock(now=lambda: time.time() + jump)
    async with AuthManager(quiet(settings), clock=clock) as auth:
        token = auth.issue_token(world.holder)
        await auth.revoke_token(token)
        jump = 1e6
        await poll(auth)
        jump = 0.0
        await poll(auth)
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(token)
