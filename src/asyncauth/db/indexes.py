"""An index of ours on one of FAB's tables, for whoever wants it. Adopted tables stay unaltered otherwise.

On PostgreSQL and SQLite `ab_user_role.role_id` has none, so changing or deleting a role reads the roles of all users.
MariaDB and MySQL make one for every foreign key.
"""

from sqlalchemy import Connection, inspect, text

from asyncauth.db.tables import user_roles

NAME = "asyncauth_ab_user_role_role_id"
_TABLE, _COLUMN = user_roles.name, user_roles.c.role_id.name
STATEMENT = f"CREATE INDEX {NAME} ON {_TABLE} ({_COLUMN})"
# Nobody who writes to the table waits for it; for that it must stand outside of transactions.
_CONCURRENTLY = f"CREATE INDEX CONCURRENTLY {NAME} ON {_TABLE} ({_COLUMN})"
_INVALID = text("SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")


def lacks_index(connection: Connection) -> bool:
    """Whether no index begins with the role, or ours was left unfinished."""
    if connection.dialect.name == "postgresql" and connection.execute(_INVALID, {"name": NAME}).first():
        return True
    return all(index["column_names"][:1] != [_COLUMN] for index in inspect(connection).get_indexes(_TABLE))


def add_index(connection: Connection) -> bool:
    """Make it where it lacks, on a connection that has not begun a transaction; whether it was made.

    Raises:
        sqlalchemy.exc.DBAPIError: the account may not.
    """
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    if not lacks_index(connection):
        return False
    if postgresql:
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")  # one that could not be finished
    connection.exec_driver_sql(_CONCURRENTLY if postgresql else STATEMENT)
    connection.commit()
    return True
