"""How databases look for the rows of a use case: by index, never by reading those of all users or roles."""

import re

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, admin
from tests.database.admin.conftest import EDIT, READ, People
from tests.statements import count_statements

TABLES = ("ab_user", "ab_role", "ab_user_role", "ab_permission_view_role", "ab_user_group", "ab_group_role", "audit")
WHOLE = (
    r"SELECT count\(\*\)",  # the length of a list
    r"ORDER BY .*\sLIMIT \?",  # a page of it, in the order of an index or not
)
"""What may read a table from end to end."""
ON_DELETE = (
    r"UPDATE ab_user SET (created|changed)_by_fk",  # FAB's columns have no index: a user is deleted seldom
    r"DELETE FROM ab_user_role WHERE ab_user_role.role_id",  # nor has this one: a role, likewise
    r"DELETE FROM ab_(user|role) WHERE ab_(user|role)\.id",  # whose foreign keys are looked at
)


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_sqlite_reads_no_table_from_end_to_end(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """SQLite plans without numbers of rows: what it does with three users, it does with 100,000."""
    root = people.root
    await admin.create_group(auth, "staff", roles=["Viewer"])
    with count_statements() as statements:
        await admin.get_user(auth, "ada")
        await admin.list_users(auth, limit=2)
        await admin.get_role(auth, "Viewer")
        await admin.list_roles(auth, limit=2)
        await admin.create_user(auth, username="e", password=None, email="e@x.org", roles=["Clerk"], actor=people.clerk)
        await admin.update_user(auth, "ada", email="a@x.org", roles=["Clerk"], active=False, actor=root)
        await admin.update_user(auth, "ada", password="x", active=True, actor=people.clerk)
        await admin.grant_role(auth, username="ada", role="Viewer", actor=root)
        await admin.take_role(auth, username="ada", role="Viewer", actor=root)
        await admin.update_role(auth, "Viewer", permissions=[READ, EDIT], new_name="Seer", actor=root)
        await admin.grant_permission(auth, role="Seer", action="can_run", resource="DAG:etl", actor=root)
        await admin.take_permission(auth, role="Seer", action="can_run", resource="DAG:etl", actor=root)
        await admin.add_member(auth, group="staff", username="ada", actor=root)
        await admin.remove_member(auth, group="staff", username="ada", actor=root)
        await admin.explain(auth, "ada", *READ)
        await admin.list_user_permissions(auth, "ada")
        await admin.delete_user(auth, "ada", actor=root)
        await admin.delete_role(auth, "Seer", actor=root)
    scanned = await _scans(engine, statements, WHOLE + ON_DELETE)
    assert len(statements) > 100
    assert scanned == {}


async def _scans(engine: AsyncEngine, statements: list[str], whole: tuple[str, ...]) -> dict[str, list[str]]:
    """Statements that read one of the large tables as a whole, and how."""
    found: dict[str, list[str]] = {}
    async with engine.connect() as connection:
        for statement in {one for one in statements if re.match("SELECT|UPDATE|DELETE", one)}:
            if any(re.search(pattern, statement, re.DOTALL) for pattern in whole):
                continue
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (1,) * statement.count("?"))
            steps = [step for step in plan.scalars("detail") if re.match(rf"SCAN ({'|'.join(TABLES)})\b", step)]
            if steps:
                found[statement] = steps
    return found
