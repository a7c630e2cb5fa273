"""The triggers that write the change log, whoever changes a row: our use cases, FAB's pages, `airflow users`, `psql`.

A trigger takes no lock that another writer wants, makes nobody wait and fails nobody. It notes what kind of thing
changed and its id, never a value. What needs no record writes none: a new user is in nobody's memory, and a login
changes bookkeeping columns only.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, inspect, text
from sqlalchemy.exc import DBAPIError

from asyncauth.db import cutoff_triggers
from asyncauth.db.feed import EVERYTHING
from asyncauth.db.tables import (
    actions,
    airflow_revocations,
    api_keys,
    changes,
    cutoffs,
    group_roles,
    group_users,
    groups,
    permissions,
    resources,
    revocations,
    role_permissions,
    roles,
    user_roles,
    users,
)

log = logging.getLogger(__name__)
CHANNEL = "asyncauth"
"""Where PostgreSQL announces, at the commit, that there are new records: `kind:item,…` for those that name a user or a
role, as a hint. A notification has room for 8,000 bytes, and a statement writes at most `MANY` of them."""
PREFIX = "asyncauth_"
MANY = 100
"""A statement on PostgreSQL that changes more users or roles than this writes one record that means all of them."""
LOCK_SECONDS = 3
_ATTEMPTS, _WAIT_SECONDS = 60, 0.5
_INSERT, _UPDATE, _DELETE, _TRUNCATE = "insert", "update", "delete", "truncate"


@dataclass(frozen=True, slots=True)
class Watch:
    """What a change of a table's rows means."""

    table: Table
    kind: str
    item: Column[Any] | None
    """The column that tells, by its values before and after, which user or role changed; None: all of the kind."""
    inserts: bool
    """Whether a new row can change what is in memory."""
    matters: tuple[Column[Any], ...] = ()
    """The columns whose change counts; empty: all."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are compared."""
        return tuple(column.name for column in self.matters or self.table.columns)


_USER_COLUMNS = (users.c.id, users.c.username, users.c.first_name, users.c.last_name, users.c.email, users.c.active)
_API_KEY_COLUMNS = tuple(column for column in api_keys.columns if column is not api_keys.c.last_used_at)
WATCHED = (
    Watch(users, "user", users.c.id, inserts=False, matters=_USER_COLUMNS),
    Watch(user_roles, "user", user_roles.c.user_id, inserts=True),
    Watch(group_users, "user", group_users.c.user_id, inserts=True),
    Watch(group_roles, "user", None, inserts=True),
    Watch(groups, "user", None, inserts=False, matters=(groups.c.id,)),
    Watch(roles, "role", roles.c.id, inserts=False),
    Watch(role_permissions, "role", role_permissions.c.role_id, inserts=True),
    Watch(permissions, "role", None, inserts=False),
    Watch(actions, "role", None, inserts=False),
    Watch(resources, "role", None, inserts=False),
    # When it was last used is written in batches, and is in nobody's memory.
    Watch(api_keys, "api_key", api_keys.c.id, inserts=False, matters=_API_KEY_COLUMNS),
)
"""Cascades need no watch of their own: the parent's delete tells, and on MariaDB only the parent's trigger fires."""
_TOKENS = (revocations, airflow_revocations)


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
        there = _watched_names() - {airflow_revocations.name, *without}
    else:
        there = set(inspect(connection).get_table_names())
    make = {"postgresql": _postgresql, "sqlite": _sqlite}.get(dialect, _mysql)
    make_token = {"postgresql": _postgresql_token, "sqlite": _sqlite_token}.get(dialect, _mysql_token)
    statements = [statement for watch in WATCHED if watch.table.name in there for statement in make(watch, given)]
    statements += [statement for table in _TOKENS if table.name in there for statement in make_token(table, given)]
    if cutoffs.name in there:
        statements += _cutoff_record(dialect, given)
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
    connection.exec_driver_sql(f"INSERT INTO {changes.name} ({columns}) VALUES ({values})")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


def drop_triggers(connection: Connection) -> None:
    """Take them away again."""
    schema = _schema(connection)
    for name, _ in sorted(expected(connection.dialect.name, _watched_names())):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {schema}.{name}() CASCADE")
        else:
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def _watched_names() -> set[str]:
    return {table.name for table in (*(watch.table for watch in WATCHED), *_TOKENS, cutoffs)}


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


def expected(dialect: str, tables: Collection[str]) -> set[tuple[str, str]]:
    """The (trigger, table) pairs that have to stand where `tables` stand."""
    pairs = {
        (_name(watch.table, event), watch.table.name)
        for watch in WATCHED
        for event in _events(watch, dialect)
        if watch.table.name in tables
    }
    pairs |= {(_name(table, _INSERT), table.name) for table in (*_TOKENS, cutoffs) if table.name in tables}
    if cutoffs.name in tables and users.name in tables:
        pairs |= {(name, users.name) for name in cutoff_triggers.names(dialect)}
    return pairs


def find_missing(connection: Connection) -> list[str]:
    """The triggers that ought to stand and do not, or that somebody disabled."""
    dialect = connection.dialect.name
    tables = inspect(connection).get_table_names()
    standing = {(name, table) for name, table in connection.execute(text(_STANDING.get(dialect, _STANDING["mysql"])))}
    return sorted(name for name, _ in expected(dialect, tables) - standing)


def find_lost_definers(connection: Connection) -> list[str]:
    """Accounts as which our triggers run and that do not exist any more, as far as this account may know. MariaDB and
    MySQL refuse every write to a table with such a trigger (error 1449)."""
    if connection.dialect.name not in {"mysql", "mariadb"}:
        return []
    try:
        return list(connection.execute(text(_LOST_DEFINERS)).scalars())
    except DBAPIError:  # it may not look at the accounts
        connection.rollback()
        return []


_LOST_DEFINERS = f"""
    SELECT DISTINCT definer FROM information_schema.triggers
    WHERE trigger_schema = database() AND trigger_name LIKE '{PREFIX}%' AND definer <> current_user()
    AND definer NOT IN (SELECT concat(user, '@', host) FROM mysql.user)"""
_STANDING = {
    "postgresql": """
        SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND NOT t.tgisinternal AND t.tgenabled <> 'D'""",
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "mysql": """
        SELECT trigger_name, event_object_table FROM information_schema.triggers
        WHERE trigger_schema = database()""",
}


def _name(table: Table, event: str) -> str:
    return f"{PREFIX}{table.name}_{event}"


def _events(watch: Watch, dialect: str) -> Iterator[str]:
    # SQLite's REPLACE skips delete triggers, so there an insert tells.
    if watch.inserts or dialect == "sqlite":
        yield _INSERT
    yield _UPDATE
    yield _DELETE
    if dialect == "postgresql":
        yield _TRUNCATE


# ── PostgreSQL: one call for a statement, with the rows before and after it ──


def _postgresql(watch: Watch, schema: str) -> Iterator[str]:
    for event in _events(watch, "postgresql"):
        yield from _postgresql_trigger(watch.table, event, schema, _postgresql_records(watch, event))


def _postgresql_records(watch: Watch, event: str) -> str:
    """A query for the records that a statement means: kind and item."""
    everything = f"SELECT '{watch.kind}', NULL::bigint"
    if event == _TRUNCATE:
        return everything
    item = "NULL::bigint" if watch.item is None else watch.item.name
    if event == _UPDATE:
        before, after = (", ".join(f"{side}.{column}" for column in watch.columns) for side in ("o", "n"))
        changed = f"old_rows o FULL JOIN new_rows n ON o.id = n.id WHERE ({before}) IS DISTINCT FROM ({after})"
        if watch.item is None:
            return f"{everything} WHERE EXISTS (SELECT FROM {changed})"
        items = f"SELECT o.{item} AS item FROM {changed} UNION SELECT n.{item} FROM {changed}"
    else:
        rows = "new_rows" if event == _INSERT else "old_rows"
        if watch.item is None:
            return f"{everything} WHERE EXISTS (SELECT FROM {rows})"
        items = f"SELECT DISTINCT {item} AS item FROM {rows}"
    return (
        f"SELECT DISTINCT '{watch.kind}', CASE WHEN many > {MANY} THEN NULL ELSE item::bigint END "
        f"FROM (SELECT item, count(*) OVER () AS many FROM ({items}) AS found WHERE item IS NOT NULL) AS counted"
    )


def _postgresql_trigger(table: Table, event: str, schema: str, records: str, columns: str = "") -> Iterator[str]:
    name = _name(table, event)
    # Triggers run as the writer: without SECURITY DEFINER an account that may only write to FAB's tables would fail.
    # With it, the search path must be fixed, or the writer could put tables of its own in place of ours.
    yield f"""
        CREATE OR REPLACE FUNCTION {schema}.{name}() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE written bigint; hint text;
        BEGIN
            WITH noted AS (INSERT INTO {schema}.{changes.name} (kind, item{columns}) {records} RETURNING kind, item)
            SELECT count(*), string_agg(kind || ':' || item, ',') INTO written, hint FROM noted;
            IF written > 0 THEN PERFORM pg_notify('{CHANNEL}', coalesce(hint, '')); END IF;
            RETURN NULL;
        END $body$"""
    rows = {
        _INSERT: "REFERENCING NEW TABLE AS new_rows",
        _UPDATE: "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        _DELETE: "REFERENCING OLD TABLE AS old_rows",
        _TRUNCATE: "",
    }[event]
    yield f"DROP TRIGGER IF EXISTS {name} ON {schema}.{table.name}"
    yield (
        f"CREATE TRIGGER {name} AFTER {event} ON {schema}.{table.name} {rows} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{name}()"
    )


def _postgresql_token(table: Table, schema: str) -> Iterator[str]:
    own = table is revocations
    iss, exp = ("iss", "exp") if own else ("NULL", "extract(epoch FROM exp)::bigint")
    records = f"SELECT 'token', NULL::bigint, {iss}, jti, {exp} FROM new_rows"
    yield from _postgresql_trigger(table, _INSERT, schema, records, ", iss, jti, exp")


# ── MariaDB and MySQL: one call for a row, of one statement: clients that run a script split it at each semicolon ──


def _mysql(watch: Watch, new_id: str) -> Iterator[str]:
    for event in _events(watch, "mysql"):
        yield from _mysql_trigger(watch.table, event, _mysql_body(watch, event, new_id))


def _mysql_trigger(table: Table, event: str, body: str) -> Iterator[str]:
    name = _name(table, event)
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield f"CREATE TRIGGER {name} AFTER {event} ON {table.name} FOR EACH ROW {body}"


def _mysql_body(watch: Watch, event: str, new_id: str) -> str:
    into = f"INSERT INTO {changes.name} (id, kind, item)"
    item = "NULL" if watch.item is None else f"{'NEW' if event == _INSERT else 'OLD'}.{watch.item.name}"
    if event != _UPDATE:
        return f"{into} VALUES ({new_id}, '{watch.kind}', {item})"
    # BINARY: to the collation "Ada" and "ada" are equal.
    same = " AND ".join(f"BINARY OLD.{column} <=> BINARY NEW.{column}" for column in watch.columns)
    other = "" if watch.item is None else f" UNION SELECT NEW.{watch.item.name}"
    items = f"(SELECT {item} AS item{other}) AS items"
    return f"{into} SELECT {new_id}, '{watch.kind}', item FROM {items} WHERE NOT ({same})"


def _mysql_token(table: Table, new_id: str) -> Iterator[str]:
    iss, exp = ("NEW.iss", "NEW.exp") if table is revocations else ("NULL", "FLOOR(UNIX_TIMESTAMP(NEW.exp))")
    values = f"{new_id}, 'token', {iss}, NEW.jti, {exp}"
    record = f"INSERT INTO {changes.name} (id, kind, iss, jti, exp) VALUES ({values})"
    yield from _mysql_trigger(table, _INSERT, record)


# ── SQLite: one call for a row; a reader drops everything on any record ──


def _sqlite(watch: Watch, _: str) -> Iterator[str]:
    for event in _events(watch, "sqlite"):
        condition = ""
        if event == _UPDATE:
            # COLLATE BINARY: to NOCASE "Ada" and "ada" are equal.
            differs = (f"OLD.{column} COLLATE BINARY IS NOT NEW.{column}" for column in watch.columns)
            condition = f"WHEN {' OR '.join(differs)}"
        side = "NEW" if event == _INSERT else "OLD"
        item = "NULL" if watch.item is None else f"{side}.{watch.item.name}"
        record = f"INSERT INTO {changes.name} (kind, item) VALUES ('{watch.kind}', {item});"
        yield from _sqlite_trigger(watch.table, event, condition, record)


def _sqlite_trigger(table: Table, event: str, condition: str, record: str) -> Iterator[str]:
    name = _name(table, event)
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield f"CREATE TRIGGER {name} AFTER {event} ON {table.name} {condition} BEGIN {record} END"


def _sqlite_token(table: Table, _: str) -> Iterator[str]:
    iss, exp = ("NEW.iss", "NEW.exp") if table is revocations else ("NULL", "CAST(strftime('%s', NEW.exp) AS INTEGER)")
    record = f"INSERT INTO {changes.name} (kind, iss, jti, exp) VALUES ('token', {iss}, NEW.jti, {exp});"
    yield from _sqlite_trigger(table, _INSERT, "", record)


# ── cut-offs: the record brings the user, the time and the reason ──


def _cutoff_record(dialect: str, given: str) -> Iterator[str]:
    if dialect == "postgresql":
        columns = (f"CASE WHEN many > {MANY} THEN NULL ELSE {column} END" for column in ("user_id", "reason", "at"))
        records = (
            f"SELECT DISTINCT 'cutoff', {', '.join(columns)} "
            "FROM (SELECT *, count(*) OVER () AS many FROM new_rows) AS counted"
        )
        yield from _postgresql_trigger(cutoffs, _INSERT, given, records, ", jti, exp")
    elif dialect == "sqlite":
        values = "'cutoff', NEW.user_id, NEW.reason, NEW.at"
        record = f"INSERT INTO {changes.name} (kind, item, jti, exp) VALUES ({values});"
        yield from _sqlite_trigger(cutoffs, _INSERT, "", record)
    else:
        values = f"{given}, 'cutoff', NEW.user_id, NEW.reason, NEW.at"
        record = f"INSERT INTO {changes.name} (id, kind, item, jti, exp) VALUES ({values})"
        yield from _mysql_trigger(cutoffs, _INSERT, record)
