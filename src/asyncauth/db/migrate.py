"""Making and upgrading the tables: `upgrade`, `current`, `check`, and `sql` for those who run it by hand."""

import threading
from functools import partial
from io import StringIO
from typing import Any

import anyio
import anyio.to_thread
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.db.connect import UPGRADE_SECONDS, with_connection
from asyncauth.db.findings import Finding, find
from asyncauth.db.indexes import add_index
from asyncauth.db.scripts import know_server, load_scripts, options, prepared, version
from asyncauth.db.standing import find_lost_definers, find_missing
from asyncauth.db.triggers import note_everything, try_to_create_triggers
from asyncauth.db.url import parse_url
from asyncauth.errors import ConfigurationError

__all__ = ["Finding", "add_indexes", "check", "current", "sql", "upgrade"]

_alembic = threading.Lock()  # Alembic's `op` is one for the whole process


async def upgrade(target: str | AsyncEngine) -> bool:
    """Bring the tables of a database to this version; once, however many processes ask for it at the same time.

    Args:
        target: a URL, of an async or a sync driver, or an engine, which stays open.

    Returns:
        Whether it was this call that did it; False: there was nothing to do (any more).

    Raises:
        ConfigurationError: it cannot be done; one sentence says what to do.
    """
    scripts = await anyio.to_thread.run_sync(load_scripts)
    while not _alembic.acquire(blocking=False):  # noqa: ASYNC110 - held in another thread or loop, perhaps
        await anyio.sleep(0.02)
    try:
        return await with_connection(target, partial(_upgrade, scripts), create=True)
    finally:
        _alembic.release()


def upgrade_with(connection: Connection) -> bool:
    """As `upgrade`, on a connection with which no statement was sent yet; commits."""
    scripts = load_scripts()
    with _alembic:
        return _upgrade(scripts, connection)


def _upgrade(scripts: ScriptDirectory, connection: Connection) -> bool:
    if _is_at_head(connection, scripts):
        return _repair(connection)
    connection.rollback()
    with _to_head(scripts) as context, prepared(connection):
        if _is_at_head(connection, scripts):
            return False
        context.configure(connection=connection, **options(connection.dialect.name))
        context.run_migrations()
        return True


def _repair(connection: Connection) -> bool:
    """Make triggers that are missing, or whose definer is: rebuilding a table drops them, and an account may not have
    been allowed to make them. Who did not notice that they were missing must forget what it knows."""
    if not find_missing(connection) and not find_lost_definers(connection):
        return False
    connection.rollback()
    with prepared(connection):
        made = try_to_create_triggers(connection)
        if made:
            note_everything(connection)
    return made


async def add_indexes(target: str | AsyncEngine) -> bool:
    """Add the one index of ours on FAB's tables where it lacks (see `db/indexes.py`); whether it was made.

    Raises:
        ConfigurationError: it cannot be done.
    """
    return await with_connection(target, add_index, create=False, patience_seconds=UPGRADE_SECONDS)


async def current(target: str | AsyncEngine) -> str | None:
    """The version of our tables in a database; None if there are none.

    Raises:
        ConfigurationError: the database cannot be asked.
    """
    return await with_connection(target, version, create=False)


async def check(target: str | AsyncEngine) -> list[Finding]:
    """What is right and what is wrong with the tables of a database. That it cannot be reached is a finding as well.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    head = (await anyio.to_thread.run_sync(load_scripts)).get_current_head()
    if isinstance(target, str):
        parse_url(target, sync=True)
    try:
        return await with_connection(
            target, lambda connection: find(connection, version(connection), head), create=False
        )
    except ConfigurationError as error:
        return [Finding(ok=False, what=str(error))]


def sql(url: str, *, adopted: bool = False) -> str:
    """The statements that upgrade an empty database or, `adopted`, one that Airflow's FAB provider made.

    For those who run them by hand. Does not connect; so a MariaDB server has to be called `mariadb` in the URL.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    place = parse_url(url, sync=True)
    output = StringIO()
    with _alembic, _to_head(load_scripts(), as_sql=True) as context:
        context.configure(
            url=place, output_buffer=output, literal_binds=True, adopted=adopted, **options(place.get_backend_name())
        )
        know_server(context.get_context())
        with context.begin_transaction():
            context.run_migrations()
    return output.getvalue()


def _is_at_head(connection: Connection, scripts: ScriptDirectory) -> bool:
    at = version(connection)
    if at not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise ConfigurationError(
            f"the tables are at version {at}, which this asyncauth does not know: install a newer one"
        )
    return at == scripts.get_current_head()


def _to_head(scripts: ScriptDirectory, *, as_sql: bool = False) -> EnvironmentContext:
    def steps(at: Any, _: object) -> list[RevisionStep]:
        return scripts._upgrade_revs("head", at)

    return EnvironmentContext(Config(), scripts, fn=steps, as_sql=as_sql)
