"""The parts of a manager that turn a user id into a user, without any memory of users, roles or permissions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.changes.follower import read_position
from asyncauth.clock import SYSTEM_CLOCK
from asyncauth.db.engine import Database, make_engine
from asyncauth.db.feed import Position
from asyncauth.db.loader import Loaded, Loader
from asyncauth.generation import Generation
from asyncauth.tasks import Tasks
from asyncauth.users import Users

SECRET = "a secret of the bench, long enough for HS512: 64 bytes, not one less"
NAME = "asyncauth-bench"


ALONE: dict[str, Any] = {
    "listen": False,
    "poll_interval_seconds": 3600,
    "trigger_check_seconds": 3600,
    "max_staleness_seconds": 7200,
    "max_entry_age_seconds": 7200,
    "database_timeout_seconds": 60,
}
"""The following must not send statements that are counted with the others, nor what is in memory get too old while it
is filled."""


def settings(url: str, **changes: Any) -> Settings:
    """Settings as they come, but for `ALONE` and `changes`."""
    return following(url, ALONE | changes)


def following(url: str, changes: dict[str, Any]) -> Settings:
    """Settings as they come, but for `changes`."""
    given = {"database_url": url, "jwt_secret": SECRET, "jwt_issuer": NAME, "jwt_audience": NAME, "group_roles": True}
    return Settings(**given | changes)


@asynccontextmanager
async def started(url: str, **changes: Any) -> AsyncIterator[AuthManager]:
    """A manager."""
    async with AuthManager(settings(url, **changes)) as manager:
        yield manager


class CountingLoader(Loader):
    """Counts its loads."""

    loads = 0

    async def load(self, user_id: int, *given: Any) -> Loaded:
        self.loads += 1
        return await super().load(user_id, *given)


class Parts:
    """Makes Users that know nothing yet. They share the engine: connections are open and statements compiled, as in a
    server that has run for a while."""

    def __init__(self, url: str, engine: AsyncEngine, position: Position) -> None:
        self._settings = settings(url)
        self._position = position
        self.engine = engine

    def cold(self) -> tuple[Users, CountingLoader]:
        """Users without any memory, and what loads for them."""
        given = self._settings
        database = Database(self.engine, timeout_seconds=given.database_timeout_seconds)
        max_age = given.max_entry_age_seconds
        loader = CountingLoader(database, SYSTEM_CLOCK, group_roles=True, max_entry_age_seconds=max_age)
        coarse = database.dialect == "sqlite"
        return Users(loader, Tasks(), SYSTEM_CLOCK, given, self._position, Generation(), coarse=coarse), loader


@asynccontextmanager
async def parts(url: str) -> AsyncIterator[Parts]:
    """Parts on an engine of their own, made as the manager makes it."""
    given = settings(url)
    engine = make_engine(url, pool_size=given.database_pool_size, timeout_seconds=given.database_timeout_seconds)
    try:
        database = Database(engine, timeout_seconds=given.database_timeout_seconds)
        position = await read_position(database, SYSTEM_CLOCK.elapsed(), given.late_commit_horizon_seconds)
        yield Parts(url, engine, position)
    finally:
        await engine.dispose()
