"""The database goes back to an earlier state under a running manager: nothing of the later one is granted any more."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anyio import to_thread
from sqlalchemy import delete, func, make_url, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.tables import changes, feed
from asyncauth.errors import DatabaseUnavailableError, RevokedTokenError
from tests.databases import Database
from tests.faults.feed.world import ACTION, OWN, World, may
from tests.managers import poll, quiet, running
from tests.rows import grant
from tests.waiting import eventually

GIVEN = "DAG:given"
WENT_BACK = "the database went back to an earlier state"


def back_up(database: Database) -> str:
    """Keep a copy of a database, to which nobody is connected; its name."""
    name = f"{database.name}_dump"
    database.host.copy_database(database.name, name)
    return name


def restore(database: Database, dump: str) -> None:
    """Put a copy in the place of the database, whoever is connected to it, and remove the copy."""
    if database.host.dialect == "sqlite":  # into the same file: the other way connections keep the old one
        paths = [make_url(database.host.url(name, "pysqlite")).database or "" for name in (dump, database.name)]
        with contextlib.closing(sqlite3.connect(paths[0])) as old, contextlib.closing(sqlite3.connect(paths[1])) as new:
            old.backup(new)
    else:
        database.host.drop_database(database.name)
        database.host.copy_database(dump, database.name)
    database.host.drop_database(dump)


@pytest.fixture
async def dump(database: Database, engine: AsyncEngine, world: World) -> AsyncIterator[str]:
    """A copy with the world in its first state, taken before the manager starts; the test restores it."""
    async with engine.begin() as connection:
        await world.end(connection, world.other)  # the log is not empty
    await engine.dispose()
    yield await to_thread.run_sync(back_up, database)
    await engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
@pytest.mark.parametrize("writes", [0, 5])
async def test_an_older_dump(
    dump: str, auth: AuthManager, database: Database, engine: AsyncEngine, world: World, writes: int
) -> None:
    """What was granted since is gone, what was taken since is back. The log may have reached the same numbers again
    before this manager looks."""
    async with engine.begin() as connection:
        await grant(connection, world.roles[0], ACTION, GIVEN)
        await world.take(connection)
    await poll(auth)
    assert await may(auth, world.holder, GIVEN)
    assert not await may(auth, world.holder, OWN[0])
    await engine.dispose()
    await to_thread.run_sync(restore, database, dump)
    for number in range(writes):
        async with engine.begin() as connection:
            await connection.execute(world.rename(str(number)))
    await eventually(lambda: polled(auth))
    assert not await may(auth, world.holder, GIVEN)
    assert await may(auth, world.holder, OWN[0])
    assert auth.status().flushes == {WENT_BACK: 1}


async def polled(auth: AuthManager) -> bool:
    """Whether a manager could look at the log."""
    with contextlib.suppress(DatabaseUnavailableError):
        await poll(auth)
        return True
    return False


async def test_another_database(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """A failover to one that only looks alike: it bears another name."""
    await may(auth, world.holder, OWN[0])
    async with engine.begin() as connection:
        await world.take(connection)
        await connection.execute(delete(changes))
        await connection.execute(update(feed).values(epoch="another"))
    await poll(auth)
    assert not await may(auth, world.holder, OWN[0])
    assert auth.status().flushes == {"this is another database": 1}


async def test_dropping_everything_fails_halfway(
    auth: AuthManager, settings: Settings, engine: AsyncEngine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of a revocation were purged unread, and the database fails while everything is read anew: there is
    no proof before that is done. Fails if a look after the failed one takes the new position for the whole truth."""
    token = auth.issue_token(world.holder)
    await auth.get_user_from_token(token)
    async with AuthManager(quiet(settings)) as other:
        await other.revoke_token(token)
    async with engine.begin() as connection:
        await connection.execute(update(feed).values(purged=select(func.max(changes.c.id)).scalar_subquery()))
        await connection.execute(delete(changes))
    follower = running(auth).follower
    original = follower._read_revocations

    async def fail(*_: Any) -> None:
        monkeypatch.setattr(follower, "_read_revocations", original)
        raise DatabaseUnavailableError("cut")

    monkeypatch.setattr(follower, "_read_revocations", fail)
    proven = follower.proven_at
    with pytest.raises(DatabaseUnavailableError):
        await poll(auth)
    assert follower.proven_at == proven
    await poll(auth)
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(token)
