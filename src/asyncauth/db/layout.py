"""What stands in the database: read once at start, so that nothing asks again later."""

from dataclasses import dataclass

from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.db.explain import MISSING_TABLES
from asyncauth.db.tables import FAB_VERSION_TABLE, airflow_revocations, fab, own
from asyncauth.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Layout:
    """Which foreign tables stand beside ours."""

    fab: bool
    """Airflow's FAB provider manages the `ab_*` tables."""
    airflow_revocations: bool
    """Airflow's table of revoked tokens stands."""


async def read_layout(session: AsyncSession) -> Layout:
    """Look at the names of the tables.

    Raises:
        ConfigurationError: tables that asyncauth needs are missing.
    """
    connection = await session.connection()
    return await connection.run_sync(_look)


def _look(connection: Connection) -> Layout:
    present = set(inspect(connection).get_table_names())
    if not present.issuperset([*own.tables, *fab.tables]):
        raise ConfigurationError(MISSING_TABLES)
    return Layout(FAB_VERSION_TABLE in present, airflow_revocations.name in present)
