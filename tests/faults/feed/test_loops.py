"""Several managers in one process: one on each of ten event loops, and one in a child that was forked."""

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Executable, create_engine, delete, update

from asyncauth import Settings, close_auth_manager, create_auth_manager, get_auth_manager
from asyncauth.db.engine import make_engine
from asyncauth.db.tables import role_permissions, users
from tests.conftest import PATIENCE_SECONDS
from tests.databases import Database
from tests.faults.feed.world import OWN, World, make_world, may
from tests.managers import poll

LOOPS = 10
ROOT = Path(__file__).parents[3]


def world_on(database: Database) -> World:
    """The rows, made from a loop that ends."""

    async def make() -> World:
        engine = make_engine(database.url, pool_size=1, timeout_seconds=PATIENCE_SECONDS)
        try:
            return await make_world(engine)
        finally:
            await engine.dispose()

    return asyncio.run(make())


def execute(database: Database, statement: Executable) -> None:
    """Change something as another program would."""
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
def test_ten_loops_in_one_process(settings: Settings, database: Database) -> None:
    """Each has the process-wide manager of its own; each sees what another program changes and what another one writes;
    each ends without the others."""
    world = world_on(database)
    together = threading.Barrier(LOOPS, timeout=60)
    often = settings.model_copy(update={"poll_interval_seconds": 0.05})

    async def work(number: int) -> int:
        auth = await create_auth_manager(often)
        try:
            assert get_auth_manager() is auth
            assert await may(auth, world.holder, OWN[0])
            await asyncio.to_thread(together.wait)
            if number == 0:
                await asyncio.to_thread(
                    execute, database, delete(role_permissions).where(role_permissions.c.id == world.own[0])
                )
            await asyncio.to_thread(together.wait)
            await poll(auth)
            assert not await may(auth, world.holder, OWN[0])
            await asyncio.to_thread(together.wait)
            if number == 1:
                rename = update(users).where(users.c.id == world.holder).values(first_name="new")
                await auth.write(lambda connection: connection.execute(rename))
            await asyncio.to_thread(together.wait)
            await poll(auth)
            assert (await auth.get_user(world.holder)).first_name == "new"
            return id(auth)
        finally:
            await close_auth_manager()

    with ThreadPoolExecutor(LOOPS) as pool:
        managers = list(pool.map(lambda number: asyncio.run(work(number)), range(LOOPS)))
    assert len(set(managers)) == LOOPS


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
def test_a_fork_after_the_start(settings: Settings, database: Database) -> None:
    """The child inherits no manager: it starts its own, and ends; the parent's connections are as they were, and both
    have seen what was changed in between."""
    world = world_on(database)
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.feed.forking"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    values = settings.model_dump(exclude_unset=True) | {
        "jwt_secret": settings.jwt_secret,
        "poll_interval_seconds": 0.05,
    }
    print(json.dumps({"settings": values, "user": world.holder}), file=program.stdin, flush=True)
    try:
        assert program.stdout.readline() == "True\n"
        execute(database, delete(role_permissions).where(role_permissions.c.id == world.own[0]))
        print("changed", file=program.stdin, flush=True)
        lines = program.stdout.read().splitlines()
        assert program.wait(60) == 0
        assert lines == ["child: no manager", "child: False", "parent: False", "parent: False"]
    finally:
        program.kill()
        program.communicate()
