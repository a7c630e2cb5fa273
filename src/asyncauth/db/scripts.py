"""Our migrations: where they lie, and how Alembic runs them. `migrations/env.py` uses the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection
from sqlalchemy.dialects.mysql import VARBINARY
from sqlalchemy.types import TypeEngine

import asyncauth
from asyncauth.db.lock import upgrade_lock
from asyncauth.db.state import look, refuse_incomplete
from asyncauth.db.tables import Exact, own

VERSION_TABLE = "asyncauth_alembic_version"
_PACKAGE = Path(asyncauth.__file__).parent


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return name in own.tables if kind == "table" else name != "ix_asyncauth_change_xid"  # on PostgreSQL alone


def _differs(
    _context: object, _found: object, column: Column[Any], found: TypeEngine[Any], _type: object
) -> bool | None:
    # The code binds such text as text and leaves it to the migration to make the column binary; None: compare as usual.
    return False if isinstance(column.type, Exact) and isinstance(found, VARBINARY) else None


def options(dialect: str) -> dict[str, Any]:
    """For Alembic's `configure`."""
    return {
        "version_table": VERSION_TABLE,
        "target_metadata": own,
        "include_name": _is_ours,
        "compare_type": _differs,
        "transactional_ddl": dialect not in {"mysql", "mariadb"},
    }


def find_folder() -> Path:
    """Where the migrations lie: in the wheel inside the package, in a checkout at its top."""
    places = (_PACKAGE / "migrations", _PACKAGE.parents[1] / "migrations")
    return next(place for place in places if (place / "versions").is_dir())


def load_scripts() -> ScriptDirectory:
    """The migrations. Reads files."""
    scripts = ScriptDirectory(str(find_folder()))
    scripts.get_heads()  # reads them now, not later on an event loop
    return scripts


def version(connection: Connection) -> str | None:
    """The version of our tables; None if there are none."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def know_server(context: MigrationContext) -> None:
    """Without a connection SQLAlchemy does not know that a MariaDB server has sequences, which FAB's tables use."""
    context.dialect.supports_sequences |= context.dialect.name == "mariadb"


@contextmanager
def prepared(connection: Connection) -> Iterator[None]:
    """Hold the lock while Alembic runs; commits at the end.

    Raises:
        ConfigurationError: the database holds an incomplete FAB schema.
    """
    with upgrade_lock(connection):
        if version(connection) is None:
            refuse_incomplete(look(connection))
        yield
