"""What stands in a database: nothing, FAB's tables, ours, or something half done."""

from dataclasses import dataclass

from sqlalchemy import Connection, column, inspect, select, table

from asyncauth.db.tables import FAB_VERSION_TABLE, airflow_revocations, fab, own
from asyncauth.errors import ConfigurationError

MARKS = table("asyncauth_stamp", column("name"))
CREATING = "creating"
"""Row of a table that migration 0001 makes and 0002 drops, there while we make the `ab_*` tables: MariaDB and MySQL
commit each of them by itself, and a process that died in between must not be taken for an old FAB."""


@dataclass(frozen=True, slots=True)
class State:
    """What of the tables in `asyncauth.db.tables` a database holds."""

    missing: tuple[str, ...]
    """Tables, and columns as `table.column`, of FAB's that are not there."""
    empty: bool
    """Whether no table of FAB's is there."""
    creating: bool
    """Whether an upgrade of ours was cut off while it made them."""
    own_missing: tuple[str, ...]
    """The same as `missing` for our tables."""
    fab_version: bool
    """Whether FAB's version table stands there: the provider manages the `ab_*` tables."""
    airflow_revocations: bool
    """Whether Airflow's table of revoked tokens stands there."""


def look(connection: Connection) -> State:
    """Read the catalogue of the database."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    known = [name for name in (*fab.tables, *own.tables) if name in names]
    found = inspector.get_multi_columns(filter_names=known) if known else {}
    columns = {table: {column["name"] for column in rows} for (_, table), rows in found.items()}

    def missing(tables: dict[str, set[str]]) -> tuple[str, ...]:
        absent = [name for name in tables if name not in columns]
        lacking = [f"{name}.{c}" for name in tables if name in columns for c in sorted(tables[name] - columns[name])]
        return (*absent, *lacking)

    return State(
        missing=missing({name: set(table.c.keys()) for name, table in fab.tables.items()}),
        empty=not names & set(fab.tables),
        creating=MARKS.name in names and _marked(connection),
        own_missing=missing({name: set(table.c.keys()) for name, table in own.tables.items()}),
        fab_version=FAB_VERSION_TABLE in names or _is_elsewhere(connection, FAB_VERSION_TABLE),
        airflow_revocations=airflow_revocations.name in names,
    )


def _is_elsewhere(connection: Connection, name: str) -> bool:
    """Airflow keeps version tables in the default schema, wherever `sql_alchemy_schema` puts its other tables."""
    if connection.dialect.name != "postgresql":
        return False
    classes = table("pg_class", column("relname"), schema="pg_catalog")
    return connection.execute(select(classes.c.relname).where(classes.c.relname == name)).first() is not None


def _marked(connection: Connection) -> bool:
    return connection.execute(select(MARKS.c.name).where(MARKS.c.name == CREATING)).first() is not None


def refuse_incomplete(state: State) -> None:
    """Refuse what we can neither adopt nor have left behind.

    Raises:
        ConfigurationError: some of FAB's tables or columns are there and others are not.
    """
    if state.missing and not state.empty and not state.creating:
        raise ConfigurationError(
            f"the database holds FAB tables of an older Airflow (missing: {', '.join(state.missing)}): "
            "run airflow fab-db migrate (airflow db migrate before Airflow 3) and then asyncauth db upgrade"
        )
