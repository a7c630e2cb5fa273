"""A database that goes from test to test, another program's way to it, and a manager that looks when it is told."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from tests.faults.feed.world import World, make_world
from tests.managers import quiet
from tests.sharing import database, engine, reused

__all__ = ["database", "engine", "reused"]


@pytest.fixture
async def world(engine: AsyncEngine) -> World:
    """Two users, two roles, and a permission that moves with one of them."""
    return await make_world(engine)


@pytest.fixture
async def auth(settings: Settings, world: World) -> AsyncIterator[AuthManager]:
    """A started manager that looks at the log only when the test says so."""
    async with AuthManager(quiet(settings)) as manager:
        yield manager
