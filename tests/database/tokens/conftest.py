"""As for the tests of the core, but on one driver of each dialect, the one that connects soonest: none of this is the
driver's, and with full numbers it runs on all of them."""

import logging
from collections.abc import Iterator
from typing import cast

import pytest

from tests.databases import BACKENDS, FULL
from tests.sharing import auth, database, engine, reused

__all__ = ["auth", "database", "engine", "reused"]


@pytest.fixture(params=BACKENDS if FULL else ("sqlite+aiosqlite", "postgresql+psycopg", "mysql+aiomysql"))
def backend(request: pytest.FixtureRequest) -> str:
    """See there."""
    return cast("str", request.param)


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs, SQLAlchemy and the drivers included."""
    names = ("asyncauth", "sqlalchemy.engine", "sqlalchemy.pool", "aiosqlite", "asyncpg", "psycopg", "aiomysql")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
