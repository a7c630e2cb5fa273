"""Whether the triggers stand, and whether anything about that changed since somebody looked."""

from sqlalchemy import ColumnElement, Connection, String, inspect, literal_column, text
from sqlalchemy.exc import DBAPIError

from asyncauth.db.watched import PREFIX, expected


def find_missing(connection: Connection) -> list[str]:
    """The triggers that ought to stand and do not, or that somebody disabled."""
    dialect = connection.dialect.name
    tables = inspect(connection).get_table_names()
    standing = {(name, table) for name, table in connection.execute(text(_STANDING.get(dialect, _STANDING["mysql"])))}
    return sorted(name for name, _ in expected(dialect, tables) - standing)


def schema_column(dialect: str) -> ColumnElement[str]:
    """A text that differs when any table or trigger came, went or was disabled, to select beside something else."""
    return literal_column(f"({_SCHEMA.get(dialect, _SCHEMA['mysql'])})", String).label("schema_text")


def find_lost_definers(connection: Connection) -> list[str]:
    """Accounts as which our triggers run and that do not exist any more, as far as this account may know. MariaDB and
    MySQL refuse every write to a table with such a trigger (error 1449)."""
    if connection.dialect.name not in {"mysql", "mariadb"}:
        return []
    try:
        return list(connection.execute(text(_LOST_DEFINERS), {"ours": f"{PREFIX}%"}).scalars())
    except DBAPIError:  # it may not look at the accounts
        connection.rollback()
        return []


_LOST_DEFINERS = """
    SELECT DISTINCT definer FROM information_schema.triggers
    WHERE trigger_schema = database() AND trigger_name LIKE :ours AND definer <> current_user()
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
_SCHEMA = {
    "postgresql": """
        SELECT count(*) || ':' || coalesce(sum(hashtext(name)::bigint), 0) FROM (
            SELECT t.tgname || ' ' || c.relname || ' ' || t.tgenabled::text AS name
            FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal
            UNION ALL SELECT relname FROM pg_class
            WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p')) AS standing""",
    "sqlite": """
        SELECT group_concat(type || ' ' || name || ' ' || tbl_name) FROM sqlite_master
        WHERE type IN ('table', 'trigger')""",
    # No GROUP_CONCAT: an engine of the application's own may cut it short.
    "mysql": """
        SELECT concat(count(*), ':', coalesce(sum(crc32(name)), 0)) FROM (
            SELECT concat(trigger_name, ' ', event_object_table) AS name FROM information_schema.triggers
            WHERE trigger_schema = database()
            UNION ALL SELECT table_name FROM information_schema.tables
            WHERE table_schema = database()) AS standing""",
}
