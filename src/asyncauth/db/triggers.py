"""Making and dropping the triggers that write the change log, whoever changes a row: our use cases, FAB's pages,
`airflow users`, `psql`. What is watched stands in `watched.py`, what a trigger does in `record_triggers.py`."""

import logging
from collections.abc import Collection
from contextlib import nullcontext
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from asyncauth.db import cutoff_triggers
from asyncauth.db.feed import EVERYTHING
from asyncauth.db.record_triggers import CHANNEL, cutoff_statements, token_statements, watch_statements
from asyncauth.db.tables import airflow_revocations, changes, cutoffs
from asyncauth.db.watched import TOKENS, WATCHED, expected, watched_names

log = logging.getLogger(__name__)
_ATTEMPTS, _WAIT_SECONDS = 60, 0.5


def create_triggers(connection: Connection, *, offline: bool = False, without: Collection[str] = ()) -> None:
    """Make the triggers on those watched tables that stand; all that are watched but Airflow's, when `offline`.

    Args:
        without: tables that do not stand yet, when `offline`.

    Raises:
        sqlalchemy.exc.DBAPIError: the account may not.
    """
    dialect = connection.dialect.name
    given = _schema(connection, offline=offline) if dialect == "postgresql" else _new_id(connection)
    if offline:
        there = watched_names() - {airflow_revocations.name, *without}
    else:
        there = set(inspect(connection).get_table_names())
    watches = [watch for watch in WATCHED if watch.table.name in there]
    tokens = [table for table in TOKENS if table.name in there]
    statements = [one for watch in watches for one in watch_statements(dialect, watch, given)]
    statements += [one for table in tokens for one in token_statements(dialect, table, given)]
    if cutoffs.name in there:
        statements += cutoff_statements(dialect, given)
        place = given if dialect == "postgresql" else _new_cutoff_id(connection)
        statements += cutoff_triggers.statements(dialect, place)
    for statement in statements:
        connection.execute(text(statement))


def try_to_create_triggers(connection: Connection) -> bool:
    """As `create_triggers`, but whether it could: who may not, or finds a table in use for too long, gets a warning.

    Making a trigger needs its table for itself for a moment, and whoever comes while it waits for that has to wait as
    well: so it waits for `_WAIT_SECONDS` only, lets the others pass, and tries again.
    """
    mysql = connection.dialect.name in {"mysql", "mariadb"}
    for attempt in range(_ATTEMPTS):
        try:
            # On MariaDB and MySQL DDL commits, and with it goes a savepoint.
            with nullcontext() if mysql else connection.begin_nested():
                _wait_shortly(connection)
                create_triggers(connection)
        except DBAPIError as error:
            if not _is_in_use(error) or attempt == _ATTEMPTS - 1:
                log.warning("triggers could not be made (%s): changes by other programs are seen late", error.orig)
                _wait_shortly(connection, no=True)
                return False
            pause = {"postgresql": "SELECT pg_sleep({})", "sqlite": "SELECT {}"}.get(
                connection.dialect.name, "DO SLEEP({})"
            )
            connection.exec_driver_sql(pause.format(_WAIT_SECONDS))
        else:
            _wait_shortly(connection, no=True)
            return True
    return False


def _wait_shortly(connection: Connection, *, no: bool = False) -> None:
    """Give up soon when a table is in use, before PostgreSQL ends somebody's transaction for a deadlock (1 s); `no`:
    wait as usual again."""
    if connection.dialect.name == "postgresql":
        limit = "DEFAULT" if no else f"'{_WAIT_SECONDS}s'"
        connection.exec_driver_sql(f"SET LOCAL lock_timeout TO {limit}")
    elif connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {'DEFAULT' if no else 1}")


def _is_in_use(error: DBAPIError) -> bool:
    orig: Any = error.orig
    said = {getattr(orig, "sqlstate", None), getattr(orig, "pgcode", None), *orig.args[:1]}
    return not said.isdisjoint({"55P03", "40P01", 1205, 1213})


def note_everything(connection: Connection) -> None:
    """Write a record that makes every follower forget what it knows."""
    columns, values = ("kind", f"'{EVERYTHING}'")
    if connection.dialect.name in {"mysql", "mariadb"}:
        columns, values = f"id, {columns}", f"{_new_id(connection)}, {values}"
    connection.exec_driver_sql(f"INSERT INTO {changes.name} ({columns}) VALUES ({values})")  # noqa: S608
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


def drop_triggers(connection: Connection) -> None:
    """Take them away again."""
    schema = _schema(connection)
    for name, _ in sorted(expected(connection.dialect.name, watched_names())):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {schema}.{name}() CASCADE")
        else:
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def _schema(connection: Connection, *, offline: bool = False) -> str:
    """The quoted name of the schema that the tables stand in."""
    if connection.dialect.name != "postgresql":
        return ""
    name = "public" if offline else connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _new_id(connection: Connection) -> str:
    """What gives the id of a new record. MariaDB's is written into the triggers, in no database's name: as the column's
    default it would carry one, and in a copy under another name every write that is watched would fail."""
    return f"NEXTVAL({changes.name}_id_seq)" if connection.dialect.supports_sequences else "NULL"


def _new_cutoff_id(connection: Connection) -> str:
    return f"NEXTVAL({cutoffs.name}_id_seq)" if connection.dialect.supports_sequences else "NULL"
