"""The ids of new rows in `ab_*` tables: who draws them differs with the database and with who made the tables.

| Database | made from FAB's models (new installations, ours) | made by FAB's first migration (older Airflow) |
|---|---|---|
| PostgreSQL | sequence `<table>_id_seq`, no default | SERIAL, its sequence called the same |
| MariaDB | sequence `<table>_id_seq`, no default | AUTO_INCREMENT, no sequence |
| MySQL | AUTO_INCREMENT | AUTO_INCREMENT |
| SQLite | rowid | rowid |
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Boolean, Connection, Integer, Table, column, func, insert, inspect, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.tables import fab

_COLUMNS = table("columns", column("table_name"), column("table_schema"), column("extra"), schema="information_schema")
_NUMBERED = "asyncauth.numbered"


async def insert_row(connection: AsyncConnection, into: Table, **values: Any) -> int:
    """Insert one row into one of FAB's tables and return its id, drawn in the way this database expects.

    Raises:
        sqlalchemy.exc.IntegrityError: the row contradicts a constraint.
    """
    if into.name in await connection.run_sync(find_numbered):
        values["id"] = text("DEFAULT")
    result = await connection.execute(insert(into).values(values))
    return cast("tuple[int]", result.inserted_primary_key)[0]


async def insert_rows(connection: AsyncConnection, into: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for many rows with the same columns, whose ids nobody asks for.

    Raises:
        sqlalchemy.exc.IntegrityError: a row contradicts a constraint.
    """
    await connection.run_sync(insert_many, into, rows)


def insert_many(connection: Connection, into: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same on a connection of a sync driver, or inside `run_sync`."""
    if not rows:
        return
    statement = insert(into)
    if into.name in find_numbered(connection):
        statement = statement.values(id=text("DEFAULT"))
    connection.execute(statement, [dict(row) for row in rows])


def find_numbered(connection: Connection) -> frozenset[str]:
    """FAB's tables that number their rows themselves although SQLAlchemy, seeing MariaDB, would ask a sequence."""
    if connection.dialect.name not in {"mysql", "mariadb"} or not connection.dialect.supports_sequences:
        return frozenset()
    if _NUMBERED not in connection.info:  # which lives as long as the connection to the server
        extra, name, schema = _COLUMNS.c.extra, _COLUMNS.c.table_name, _COLUMNS.c.table_schema
        query = select(name).where(
            extra.contains("auto_increment"), name.in_(list(fab.tables)), schema == func.database()
        )
        connection.info[_NUMBERED] = frozenset(connection.execute(query).scalars())
    numbered: frozenset[str] = connection.info[_NUMBERED]
    return numbered


def find_wrong_sequences(connection: Connection) -> dict[str, str]:
    """Sequences that would fail an insert, each with the statement that mends it.

    A sequence falls behind when rows are copied into a database together with their ids.
    """
    if not connection.dialect.supports_sequences or connection.dialect.name == "sqlite":
        return {}
    there = set(inspect(connection).get_sequence_names())
    wrong = {}
    for into in fab.tables.values():
        name = f"{into.name}_id_seq"
        if into.name in find_numbered(connection):
            continue
        highest = connection.execute(select(func.max(into.c.id))).scalar_one() or 0
        if name not in there:
            wrong[name] = f"CREATE SEQUENCE {name} START WITH {highest + 1}"
        elif _next(connection, name) <= highest:
            quoted = f"'{name}'" if connection.dialect.name == "postgresql" else name
            wrong[name] = f"SELECT setval({quoted}, {highest})"
    return wrong


def _next(connection: Connection, sequence: str) -> int:
    state = table(
        sequence, column("last_value", Integer), column("is_called", Boolean), column("next_not_cached_value", Integer)
    )
    if connection.dialect.name == "postgresql":
        last, called = connection.execute(select(state.c.last_value, state.c.is_called)).one()
        return int(last + called)
    return int(connection.execute(select(state.c.next_not_cached_value)).scalar_one())
