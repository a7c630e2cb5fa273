"""Old records go, in small pieces; who has not read them drops everything, who has goes on."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db import purge
from asyncauth.db.purge import purge_changes
from asyncauth.db.tables import changes, feed
from tests.conftest import PATIENCE_SECONDS
from tests.database.feed.people import ADA, BOB, add_people
from tests.managers import poll, quiet, running
from tests.statements import count_statements

DAY_SECONDS = 86_400.0
OLD = 25


@pytest.fixture
async def auth(settings: Settings, engine: AsyncEngine) -> AsyncIterator[AuthManager]:
    """A manager with ada in memory."""
    await add_people(engine)
    async with AuthManager(quiet(settings)) as manager:
        await manager.get_user(ADA)
        yield manager


async def change_bob(engine: AsyncEngine, times: int) -> None:
    """Records about bob."""
    async with engine.begin() as connection:
        for _ in range(times):
            await connection.execute(text(f"UPDATE ab_user SET last_name = '{uuid.uuid4()}' WHERE id = {BOB}"))


async def grow_old(engine: AsyncEngine) -> int:
    """Let all records be of the day before yesterday; the highest id."""
    async with engine.begin() as connection:
        await connection.execute(update(changes).values(at=changes.c.at - int(2 * DAY_SECONDS * 1e6)))
        return await connection.scalar(select(func.max(changes.c.id))) or 0


async def left(engine: AsyncEngine) -> tuple[int, int]:
    """How many records there are, and up to where they were purged."""
    async with engine.connect() as connection:
        count = await connection.scalar(select(func.count()).select_from(changes))
        return count or 0, await connection.scalar(select(feed.c.purged)) or 0


async def purge_now(auth: AuthManager) -> int:
    """As the upkeep does it."""
    manager = running(auth)
    return await purge_changes(manager.database, auth._clock.now(), DAY_SECONDS)


async def test_old_records_go_in_small_pieces(
    auth: AuthManager, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time, each piece noted with it; what is younger stays."""
    monkeypatch.setattr(purge, "_PIECE", 10)
    await change_bob(engine, OLD)
    highest = await grow_old(engine)
    count, _ = await left(engine)
    await change_bob(engine, 3)
    with count_statements(running(auth).database.engine) as statements:
        assert await purge_now(auth) == count
    assert sum(statement.startswith("DELETE") for statement in statements) >= OLD / 10
    assert await left(engine) == (3, highest)
    assert await purge_now(auth) == 0


async def test_who_has_read_them_goes_on(auth: AuthManager, engine: AsyncEngine) -> None:
    """Purging is no reason to forget anything, even if nothing is left of the log."""
    await change_bob(engine, OLD)
    await poll(auth)
    await auth.get_user(ADA)
    highest = await grow_old(engine)
    await purge_now(auth)
    assert await left(engine) == (0, highest)
    user = await auth.get_user(ADA)
    for _ in range(2):
        await poll(auth)
        assert auth.current(user) is user
    assert running(auth).follower.flushes == {}
    await change_bob(engine, 1)
    await poll(auth)
    assert running(auth).follower.flushes == {}


async def test_who_was_away_drops_everything(auth: AuthManager, engine: AsyncEngine) -> None:
    """It cannot know what the purged records said."""
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE ab_user SET active = false WHERE id = {ADA}"))
    await grow_old(engine)
    await purge_changes(running(auth).database, auth._clock.now(), DAY_SECONDS)
    assert (auth.status().users, auth.status().roles) == (1, 1)
    await poll(auth)
    assert (auth.status().users, auth.status().roles) == (0, 0)
    assert running(auth).follower.flushes == {"records were purged before they were read": 1}


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True)
async def test_nobody_waits_for_a_purge(auth: AuthManager, engine: AsyncEngine) -> None:
    """Writers note changes while a piece is deleted and not yet committed."""
    await change_bob(engine, OLD)
    await grow_old(engine)
    deleted, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        async with engine.begin() as connection:
            await purge._purge_piece(connection, auth._clock.now(), DAY_SECONDS)
            deleted.set()
            await go_on.wait()

    purging = asyncio.create_task(slowly())
    await deleted.wait()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await change_bob(engine, 2)
    assert not purging.done()
    go_on.set()
    await purging
