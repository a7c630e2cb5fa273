"""How databases look for the rows of one user: by index, never by reading those of all users."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from tests.managers import quiet
from tests.rows import add_group, add_role, add_user
from tests.statements import count_statements


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
@pytest.mark.parametrize("group_roles", [True, False])
async def test_sqlite_reads_no_table_from_end_to_end(
    settings: Settings, engine: AsyncEngine, group_roles: bool
) -> None:
    """SQLite plans without numbers of rows: what it does with one user, it does with 100,000."""
    async with engine.begin() as connection:
        role = await add_role(connection, "Viewer", [("can_read", "DAG:etl")])
        ada = await add_user(connection, "ada", roles=[role])
        await add_group(connection, "readers", members=[ada], roles=[role])
    async with AuthManager(quiet(settings, group_roles=group_roles)) as auth:
        with count_statements() as statements:
            await auth.get_user(ada)
    assert len(statements) == 3
    async with engine.connect() as connection:
        for statement in statements:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (1,) * statement.count("?"))
            steps = plan.scalars("detail").all()
            assert steps
            assert [step for step in steps if step.startswith("SCAN")] == []
