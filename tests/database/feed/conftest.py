"""What the tests of the change log share: databases used by one after the other, and managers that look when told."""

from collections.abc import Iterator

import pytest

from asyncauth.db.tables import fab
from tests.databases import Database
from tests.servers.base import ADMIN
from tests.sharing import auth, database, engine, one_of_each, reused

__all__ = ["auth", "database", "engine", "one_of_each", "reused"]


@pytest.fixture
def account(database: Database) -> Iterator[str]:
    """An account that may read and write FAB's tables, and nothing else. Its password is its name."""
    if database.host.dialect == "sqlite":
        yield ADMIN
        return
    name = f"writer_{database.name}"
    if database.host.dialect == "postgresql":
        make = [f"CREATE ROLE {name} LOGIN PASSWORD '{name}'"]
        make += [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}" for table in fab.tables]
        drop = [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]
    else:
        make = [f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}'"]
        make += [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}@'127.0.0.1'" for table in fab.tables]
        drop = [f"DROP USER {name}@'127.0.0.1'"]
    database.server.execute(*make, database=database.name)
    yield name
    database.server.execute(*drop, database=database.name)
