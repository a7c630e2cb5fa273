"""Whether the triggers stand."""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from asyncauth.db.watched import PREFIX, expected


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
        WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal AND t.tgenabled <> 'D'""",
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "mysql": """
        SELECT trigger_name, event_object_table FROM information_schema.triggers
        WHERE trigger_schema = database()""",
}
