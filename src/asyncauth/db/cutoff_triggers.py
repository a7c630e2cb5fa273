"""The triggers on `ab_user` that end a user's tokens, whoever writes: the password changes, the user is no longer
active, or is deleted.

The time of a cut-off is the clock's when the trigger runs, never that of the statement's beginning: a change that had
to wait for a login of the same user to commit must not be dated before it. Logins, which write `ab_user` each time, and
upgrades of a hash (see `db/cutoffs.py`) leave no row. A trigger takes no lock that another writer wants.
"""

from collections.abc import Iterator

from asyncauth.db.tables import cutoffs, rehashes, users
from asyncauth.tokens.cutoffs import STEPS

REHASH_VARIABLE = "@asyncauth_rehash"
"""MariaDB and MySQL: in place of the table, because a trigger that looks into a table locks what it reads there."""
_LATEST_VARIABLE = "@asyncauth_latest"
"""The same for the user's latest cut-off: `SELECT … INTO` reads without a lock, a subquery of an INSERT with one."""
_ON = f"asyncauth_{users.name}_cutoff"
_EVENTS = {
    "postgresql": ("update", "delete", "truncate"),
    "sqlite": ("insert", "update", "delete"),
    "mysql": ("update", "update_latest", "delete", "delete_latest"),
}
# UNIX_TIMESTAMP() is exact, and the statement's beginning. SYSDATE() is the present, in a local time that is ambiguous
# for an hour a year: only the difference counts.
_NOW = {
    "postgresql": "floor(extract(epoch FROM clock_timestamp()))::bigint",
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER)",
    "mysql": "UNIX_TIMESTAMP() + GREATEST(0, TIMESTAMPDIFF(SECOND, NOW(), SYSDATE()))",
}


def names(dialect: str) -> set[str]:
    """The triggers that have to stand on `ab_user` where the table of cut-offs stands."""
    return {f"{_ON}_{event}" for event in _EVENTS.get(dialect, _EVENTS["mysql"])}


def statements(dialect: str, given: str) -> Iterator[str]:
    """What makes them. `given`: the schema on PostgreSQL, else what gives the id of a new cut-off."""
    make = {"postgresql": _postgresql, "sqlite": _sqlite}.get(dialect, _mysql)
    return make(given)


def _postgresql(schema: str) -> Iterator[str]:
    gone, ended = "n.id IS NULL", "o.active AND n.active IS NOT TRUE"
    upgraded = f"SELECT FROM {schema}.{rehashes.name} r WHERE r.user_id = n.id AND r.hash = n.password"
    changed = f"n.password IS DISTINCT FROM o.password AND NOT EXISTS ({upgraded})"

    def values(user_id: str) -> str:
        latest = f"(SELECT max(at) + 1 FROM {schema}.{cutoffs.name} WHERE user_id = {user_id})"  # noqa: S608
        return f"{_at('postgresql', latest)}, {user_id}"

    bodies = {
        "update": (
            f"{values('o.id')}, {_reason(gone, ended)} FROM old_rows o LEFT JOIN new_rows n ON n.id = o.id "
            f"WHERE {gone} OR {ended} OR {changed}"
        ),
        "delete": f"{values('o.id')}, 'deleted' FROM old_rows o",
        "truncate": f"{values('o.id')}, 'deleted' FROM {schema}.{users.name} o",
    }
    rows = {
        "update": "AFTER UPDATE ON {} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS old_rows",
        "truncate": "BEFORE TRUNCATE ON {}",
    }
    for event, body in bodies.items():
        name = f"{_ON}_{event}"
        # SECURITY DEFINER and the fixed search path: see db/record_triggers.py.
        yield f"""
            CREATE OR REPLACE FUNCTION {schema}.{name}() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
            BEGIN
                INSERT INTO {schema}.{cutoffs.name} (at, user_id, reason) SELECT {body};
                RETURN NULL;
            END $body$"""
        table = f"{schema}.{users.name}"
        yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
        yield f"CREATE TRIGGER {name} {rows[event].format(table)} FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{name}()"


def _mysql(new_id: str) -> Iterator[str]:
    at = _at("mysql", _LATEST_VARIABLE)
    into = f"INSERT INTO {cutoffs.name} (id, user_id, at, reason) SELECT {new_id}, OLD.id, {at},"
    gone, ended = "NEW.id <> OLD.id", "(OLD.active IS TRUE AND NEW.active IS NOT TRUE)"
    # BINARY: to the collation hashes that differ in case are equal. IS NOT TRUE: without an upgrade it is NULL.
    changed = (
        "(NOT (BINARY OLD.password <=> BINARY NEW.password) "
        f"AND (BINARY NEW.password = BINARY {REHASH_VARIABLE}) IS NOT TRUE)"
    )
    update = f"{into} {_reason(gone, ended)} FROM DUAL WHERE {gone} OR {ended} OR {changed}"
    for event, body in {"update": update, "delete": f"{into} 'deleted'"}.items():
        latest = f"SELECT max(at) + 1 INTO {_LATEST_VARIABLE} FROM {cutoffs.name} WHERE user_id = OLD.id"  # noqa: S608
        yield f"DROP TRIGGER IF EXISTS {_ON}_{event}_latest"
        yield f"CREATE TRIGGER {_ON}_{event}_latest BEFORE {event} ON {users.name} FOR EACH ROW {latest}"
        yield f"DROP TRIGGER IF EXISTS {_ON}_{event}"
        yield f"CREATE TRIGGER {_ON}_{event} AFTER {event} ON {users.name} FOR EACH ROW {body}"


def _sqlite(_: str) -> Iterator[str]:

    def into(user_id: str) -> str:
        latest = f"(SELECT max(at) + 1 FROM {cutoffs.name} WHERE user_id = {user_id})"  # noqa: S608
        return f"INSERT INTO {cutoffs.name} (at, user_id, reason) SELECT {_at('sqlite', latest)}, {user_id},"

    gone, ended = "NEW.id IS NOT OLD.id", "(OLD.active IS TRUE AND NEW.active IS NOT TRUE)"
    upgraded = f"SELECT 1 FROM {rehashes.name} r WHERE r.user_id = NEW.id AND r.hash = NEW.password"  # noqa: S608
    changed = f"(OLD.password IS NOT NEW.password AND NOT EXISTS ({upgraded}))"
    # REPLACE deletes without a delete trigger: before it, those that it will delete can be seen.
    replaced = "id = NEW.id OR username = NEW.username OR email = NEW.email"
    bodies = {
        "insert": ("BEFORE", f"{into(f'{users.name}.id')} 'deleted' FROM {users.name} WHERE {replaced}"),
        "update": ("AFTER", f"{into('OLD.id')} {_reason(gone, ended)} WHERE {gone} OR {ended} OR {changed}"),
        "delete": ("AFTER", f"{into('OLD.id')} 'deleted'"),
    }
    for event, (when, body) in bodies.items():
        yield f"DROP TRIGGER IF EXISTS {_ON}_{event}"
        yield f"CREATE TRIGGER {_ON}_{event} {when} {event} ON {users.name} BEGIN {body}; END"


def _at(dialect: str, latest: str) -> str:
    """The present second, or `latest`; it can be NULL."""
    now = _NOW[dialect]
    least, greatest = ("min", "max") if dialect == "sqlite" else ("LEAST", "GREATEST")
    return f"{least}({greatest}({now}, COALESCE({latest}, 0)), {now} + {STEPS})"


def _reason(gone: str, ended: str) -> str:
    return f"CASE WHEN {gone} THEN 'deleted' WHEN {ended} THEN 'inactive' ELSE 'password' END"
