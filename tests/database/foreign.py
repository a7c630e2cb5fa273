"""Tables as Airflow leaves them, made without Airflow: `tests/airflow` has the real thing."""

from sqlalchemy import Column, MetaData, String, Table, create_engine, insert

from asyncauth.db.tables import CONVENTION, FAB_VERSION_TABLE, actions, fab, own, roles, users
from tests.databases import Database

FAB_HEAD = "02ca36b0235b"
OURS = {*own.tables, "asyncauth_alembic_version"}
"""The tables that an upgrade adds to those of the FAB provider. It adds triggers and sequences as well."""


def make_fab(database: Database, *, numbered: bool = False) -> None:
    """The tables of the FAB provider with a role, a user and its version table.

    Args:
        numbered: as its first migration made them for older releases: SERIAL, AUTO_INCREMENT, no sequences.
    """
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        metadata = _numbered() if numbered else fab
        metadata.create_all(connection)
        versions = Table(FAB_VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
        versions.create(connection)
        connection.execute(insert(versions).values(version_num=FAB_HEAD))
        # In the words of these tables, so that ids are drawn as their owner would.
        for table, row in (
            (roles, {"name": "Admin"}),
            (actions, {"name": "can_read"}),
            (users, {"first_name": "Ada", "last_name": "L", "username": "ada", "email": "ada@example.com"}),
        ):
            connection.execute(insert(metadata.tables[table.name]).values(row))
    engine.dispose()


def insert_as_owner(database: Database, table: Table, numbered: bool, **values: object) -> None:
    """Insert a row as the provider would that made the tables."""
    metadata = _numbered() if numbered else fab
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        connection.execute(insert(metadata.tables[table.name]).values(values))
    engine.dispose()


def _numbered() -> MetaData:
    metadata = MetaData(naming_convention=CONVENTION)
    for table in fab.sorted_tables:
        copy = table.to_metadata(metadata)
        copy.c.id.default = None
        copy.indexes -= {index for index in copy.indexes if index.name == f"idx_{table.name}_username"}
    return metadata
