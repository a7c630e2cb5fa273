"""Whether the account that Airflow uses may make the triggers; asked, not tried."""

from sqlalchemy import Connection, text

from asyncauth.db.tables import users

_POSTGRESQL = f"""
    SELECT has_schema_privilege(current_schema(), 'CREATE'), has_table_privilege('{users.name}', 'TRIGGER')"""
_BINARY_LOG = "SELECT @@log_bin, @@log_bin_trust_function_creators"


def may_make_triggers(connection: Connection) -> str | None:
    """What stands in the way; None: nothing that can be seen."""
    look = {"sqlite": _sqlite, "postgresql": _postgresql}.get(connection.dialect.name, _mysql)
    return look(connection)


def _sqlite(_: Connection) -> None:
    return None


def _postgresql(connection: Connection) -> str | None:
    create, trigger = connection.execute(text(_POSTGRESQL)).one()
    if not create:
        return "it may not CREATE functions in the schema"
    return None if trigger else f"it holds no TRIGGER on {users.name}"


def _mysql(connection: Connection) -> str | None:
    grants = [str(row[0]).upper() for row in connection.execute(text("SHOW GRANTS"))]
    everything = any("ALL PRIVILEGES ON *.*" in grant or "SUPER" in grant for grant in grants)
    log, trusted = connection.execute(text(_BINARY_LOG)).one()
    if log and not trusted and not everything:
        return "binary logging is on, it is not SUPER, and log_bin_trust_function_creators is off"
    if not any("ALL PRIVILEGES ON" in grant or "TRIGGER" in grant for grant in grants):
        return "it holds no TRIGGER on the database"
    return None
