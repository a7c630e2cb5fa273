"""As for the tests of the core, but on one driver of each dialect: none of this is the driver's, and with full numbers
it runs on all of them."""

import logging
from collections.abc import Iterator

import pytest

from tests.sharing import auth, database, engine, one_of_each, reused

__all__ = ["auth", "database", "engine", "one_of_each", "reused"]


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
