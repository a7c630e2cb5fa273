"""Transactions commit in another order than they drew their ids: each change is seen by the first look after its
commit, whoever else is still writing. On SQLite there is one writer at a time."""

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db.feed import read_mark
from asyncauth.db.tables import changes, feed
from asyncauth.errors import ConsistencyTokenError
from tests.faults.feed.world import OWN, World, may, note_nothing
from tests.managers import poll, quiet, running

CONCURRENT = ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"]
pytestmark = pytest.mark.parametrize("backend", CONCURRENT, indirect=True)


async def test_the_lower_id_is_committed_last(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """A draws a lower id, B commits first, the follower looks, then A commits, while an unrelated transaction stays
    open for the whole test."""
    async with engine.connect() as unrelated, engine.connect() as first, engine.connect() as second:
        await note_nothing(unrelated)
        assert await may(auth, world.holder, OWN[0])
        assert await may(auth, world.other, OWN[1])
        await world.take(first, 0)
        await world.take(second, 1)
        await second.commit()
        await poll(auth)
        assert not await may(auth, world.other, OWN[1])
        assert await may(auth, world.holder, OWN[0])
        await first.commit()
        await poll(auth)
        assert not await may(auth, world.holder, OWN[0])


async def test_many_looks_lie_between(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """More transactions come and go, some for nothing, before the late one commits."""
    async with engine.connect() as late, engine.connect() as other:
        await may(auth, world.holder, OWN[0])
        await world.take(late)
        for number in range(20):
            await world.end(other, world.other)
            await (other.rollback() if number % 2 else other.commit())
            await poll(auth)
        assert await may(auth, world.holder, OWN[0])
        await late.commit()
        await poll(auth)
        assert not await may(auth, world.holder, OWN[0])


async def test_a_transaction_writes_long_after_it_began(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """It has its number early and its record late, or the other way round to a neighbour."""
    async with engine.connect() as first, engine.connect() as second:
        await note_nothing(first)
        await may(auth, world.holder, OWN[0])
        await may(auth, world.other, OWN[1])
        await world.take(second, 1)
        await second.commit()
        await poll(auth)
        await world.take(first, 0)
        await poll(auth)
        assert not await may(auth, world.other, OWN[1])
        assert await may(auth, world.holder, OWN[0])
        await first.commit()
        await poll(auth)
        assert not await may(auth, world.holder, OWN[0])


@pytest.mark.parametrize("others", [0, 1])
async def test_a_manager_starts_while_a_change_is_not_committed(
    settings: Settings, engine: AsyncEngine, world: World, others: int
) -> None:
    """The log is as good as new: the late id is the first of all, or the first that stands."""
    async with engine.begin() as connection:
        await connection.execute(delete(changes))
    async with engine.connect() as late, engine.connect() as other:
        await world.take(late, 0)
        for _ in range(others):
            await world.take(other, 1)
            await other.commit()
        async with AuthManager(quiet(settings)) as auth:
            assert await may(auth, world.holder, OWN[0])
            await late.commit()
            await poll(auth)
            assert not await may(auth, world.holder, OWN[0])


async def test_a_consistency_token_waits_for_a_late_commit(
    auth: AuthManager, settings: Settings, engine: AsyncEngine, world: World
) -> None:
    """The worker that is shown the token of a write knows it, though a higher id was known long before; and a token of
    what is not yet committed is ahead of the database."""
    token = auth.issue_token(world.holder)
    async with AuthManager(quiet(settings)) as writer, engine.connect() as other:
        await may(auth, world.holder, OWN[0])
        receipts: list[str] = []
        epoch = running(auth).users.position.epoch

        async def work(connection: AsyncConnection) -> None:
            await world.take(connection, 0)
            await world.take(other, 1)
            await other.commit()
            await poll(auth)
            mark = await read_mark(connection)
            receipts.append(running(auth).receipts.issue(epoch, mark))
            with pytest.raises(ConsistencyTokenError):
                await auth.get_user_from_token(token, at_least=receipts[0])

        written = await writer.write(work)
        if engine.dialect.name != "mysql" or engine.dialect.supports_sequences:
            assert written.token == receipts[0]  # on MySQL itself each is a record of its own
        user = await auth.get_user_from_token(token, at_least=written.token)
        assert not auth.decide(user, "can_read", OWN[0])


async def test_a_purge_goes_past_nobody(auth: AuthManager, engine: AsyncEngine, world: World) -> None:
    """Records are deleted before this manager has read them: it drops everything."""
    await may(auth, world.holder, OWN[0])
    async with engine.begin() as connection:
        await world.take(connection)
        highest = (await connection.execute(changes.select().order_by(changes.c.id.desc()))).first()
        assert highest is not None
        await connection.execute(feed.update().values(purged=highest.id))
        await connection.execute(delete(changes))
    await poll(auth)
    assert not await may(auth, world.holder, OWN[0])
    assert auth.status().flushes == {"records were purged before they were read": 1}
