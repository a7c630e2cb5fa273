"""The statements that make the triggers of the change log, for each database.

A trigger takes no lock that another writer wants, makes nobody wait and fails nobody. It notes what kind of thing
changed and its id, never a value.
"""

from collections.abc import Iterator

from sqlalchemy import Table

from asyncauth.db.tables import changes, cutoffs, revocations
from asyncauth.db.watched import DELETE, INSERT, TRUNCATE, UPDATE, Watch, events, trigger_name

CHANNEL = "asyncauth"
"""Where PostgreSQL announces, at the commit, that there are new records: `kind:item,…` for those that name a user or a
role, as a hint. A notification has room for 8,000 bytes, and a statement writes at most `MANY` of them."""
MANY = 100
"""A statement on PostgreSQL that changes more users or roles than this writes one record that means all of them."""


def watch_statements(dialect: str, watch: Watch, given: str) -> Iterator[str]:
    """What makes the triggers of a watch. `given`: the schema on PostgreSQL, else what gives the id of a new record."""
    return {"postgresql": _postgresql, "sqlite": _sqlite}.get(dialect, _mysql)(watch, given)


def token_statements(dialect: str, table: Table, given: str) -> Iterator[str]:
    """The same for a table of revoked tokens, whose record brings the token."""
    return {"postgresql": _postgresql_token, "sqlite": _sqlite_token}.get(dialect, _mysql_token)(table, given)


# ── PostgreSQL: one call for a statement, with the rows before and after it ──


def _postgresql(watch: Watch, schema: str) -> Iterator[str]:
    for event in events(watch, "postgresql"):
        yield from _postgresql_trigger(watch.table, event, schema, _postgresql_records(watch, event))


def _postgresql_records(watch: Watch, event: str) -> str:
    """A query for the records that a statement means: kind and item."""
    everything = f"SELECT '{watch.kind}', NULL::bigint"
    if event == TRUNCATE:
        return everything
    item = "NULL::bigint" if watch.item is None else watch.item.name
    if event == UPDATE:
        before, after = (", ".join(f"{side}.{column}" for column in watch.columns) for side in ("o", "n"))
        changed = f"old_rows o FULL JOIN new_rows n ON o.id = n.id WHERE ({before}) IS DISTINCT FROM ({after})"
        if watch.item is None:
            return f"{everything} WHERE EXISTS (SELECT FROM {changed})"
        items = f"SELECT o.{item} AS item FROM {changed} UNION SELECT n.{item} FROM {changed}"
    else:
        rows = "new_rows" if event == INSERT else "old_rows"
        if watch.item is None:
            return f"{everything} WHERE EXISTS (SELECT FROM {rows})"
        items = f"SELECT DISTINCT {item} AS item FROM {rows}"
    return (
        f"SELECT DISTINCT '{watch.kind}', CASE WHEN many > {MANY} THEN NULL ELSE item::bigint END "
        f"FROM (SELECT item, count(*) OVER () AS many FROM ({items}) AS found WHERE item IS NOT NULL) AS counted"
    )


def _postgresql_trigger(table: Table, event: str, schema: str, records: str, columns: str = "") -> Iterator[str]:
    name = trigger_name(table, event)
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
        INSERT: "REFERENCING NEW TABLE AS new_rows",
        UPDATE: "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        DELETE: "REFERENCING OLD TABLE AS old_rows",
        TRUNCATE: "",
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
    yield from _postgresql_trigger(table, INSERT, schema, records, ", iss, jti, exp")


# ── MariaDB and MySQL: one call for a row, of one statement: clients that run a script split it at each semicolon ──


def _mysql(watch: Watch, new_id: str) -> Iterator[str]:
    for event in events(watch, "mysql"):
        yield from _mysql_trigger(watch.table, event, _mysql_body(watch, event, new_id))


def _mysql_trigger(table: Table, event: str, body: str) -> Iterator[str]:
    name = trigger_name(table, event)
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield f"CREATE TRIGGER {name} AFTER {event} ON {table.name} FOR EACH ROW {body}"


def _mysql_body(watch: Watch, event: str, new_id: str) -> str:
    into = f"INSERT INTO {changes.name} (id, kind, item)"
    item = "NULL" if watch.item is None else f"{'NEW' if event == INSERT else 'OLD'}.{watch.item.name}"
    if event != UPDATE:
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
    yield from _mysql_trigger(table, INSERT, record)


# ── SQLite: one call for a row; a reader drops everything on any record ──


def _sqlite(watch: Watch, _: str) -> Iterator[str]:
    for event in events(watch, "sqlite"):
        condition = ""
        if event == UPDATE:
            # COLLATE BINARY: to NOCASE "Ada" and "ada" are equal.
            differs = (f"OLD.{column} COLLATE BINARY IS NOT NEW.{column}" for column in watch.columns)
            condition = f"WHEN {' OR '.join(differs)}"
        side = "NEW" if event == INSERT else "OLD"
        item = "NULL" if watch.item is None else f"{side}.{watch.item.name}"
        record = f"INSERT INTO {changes.name} (kind, item) VALUES ('{watch.kind}', {item});"
        yield from _sqlite_trigger(watch.table, event, condition, record)


def _sqlite_trigger(table: Table, event: str, condition: str, record: str) -> Iterator[str]:
    name = trigger_name(table, event)
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield f"CREATE TRIGGER {name} AFTER {event} ON {table.name} {condition} BEGIN {record} END"


def _sqlite_token(table: Table, _: str) -> Iterator[str]:
    iss, exp = ("NEW.iss", "NEW.exp") if table is revocations else ("NULL", "CAST(strftime('%s', NEW.exp) AS INTEGER)")
    record = f"INSERT INTO {changes.name} (kind, iss, jti, exp) VALUES ('token', {iss}, NEW.jti, {exp});"
    yield from _sqlite_trigger(table, INSERT, "", record)


# ── cut-offs ──


def cutoff_statements(dialect: str, given: str) -> Iterator[str]:
    """The same for the table of cut-offs: the record brings the user, the time and the reason."""
    if dialect == "postgresql":
        columns = (f"CASE WHEN many > {MANY} THEN NULL ELSE {column} END" for column in ("user_id", "reason", "at"))
        records = (
            f"SELECT DISTINCT 'cutoff', {', '.join(columns)} "
            "FROM (SELECT *, count(*) OVER () AS many FROM new_rows) AS counted"
        )
        yield from _postgresql_trigger(cutoffs, INSERT, given, records, ", jti, exp")
    elif dialect == "sqlite":
        values = "'cutoff', NEW.user_id, NEW.reason, NEW.at"
        record = f"INSERT INTO {changes.name} (kind, item, jti, exp) VALUES ({values});"
        yield from _sqlite_trigger(cutoffs, INSERT, "", record)
    else:
        values = f"{given}, 'cutoff', NEW.user_id, NEW.reason, NEW.at"
        record = f"INSERT INTO {changes.name} (id, kind, item, jti, exp) VALUES ({values})"
        yield from _mysql_trigger(cutoffs, INSERT, record)
