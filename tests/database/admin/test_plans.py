"""How databases look for the rows of a use case: by index, never by reading those of all users or roles."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, admin
from asyncauth.admin import Actor
from asyncauth.db.migrate import add_indexes
from asyncauth.db.tables import fab
from tests.database.admin.conftest import EDIT, READ, People
from tests.databases import Database, Databases

TABLES = ("ab_user", "ab_role", "ab_user_role", "ab_permission_view_role", "ab_user_group", "ab_group_role", "audit")
CROWDED = TABLES[:4]
"""Those that hold something for each user or role; the others are empty, and may be read as they are."""
WHOLE = (
    r"SELECT count\(\*\)",  # the length of a list
    r"ORDER BY .*\sLIMIT ",  # a page of it, in the order of an index or not
)
"""What may read a table from end to end."""
ON_DELETE = (
    r"UPDATE ab_user SET (created|changed)_by_fk",  # FAB's columns have no index: a user is deleted seldom
    r"DELETE FROM ab_(user|role) WHERE ab_(user|role)\.id",  # whose foreign keys are looked at
)
BY_ROLE = (
    r"DELETE FROM ab_user_role WHERE ab_user_role.role_id",  # a role is deleted seldom
    r"SELECT ab_user.id\s+FROM ab_user_role JOIN .* WHERE ab_user_role.role_id",  # is there another administrator?
)
"""What needs the index that FAB's tables lack on PostgreSQL and SQLite, and that `db upgrade --add-indexes` makes."""
FIRST_ID = 10_000_000
Sent = dict[str, Any]
"""Statements with the parameters of one time that they were sent."""


@contextmanager
def noting() -> Iterator[Sent]:
    """The statements that are sent inside the block."""
    sent: Sent = {}

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if re.match("SELECT|UPDATE|DELETE", statement):
            sent[statement] = parameters[0] if isinstance(parameters, list) and parameters else parameters

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def do_everything(auth: AuthManager, root: Actor, clerk: Actor, viewer: str) -> None:
    """Each use case once; `viewer` is a role that many hold."""
    await admin.create_group(auth, "staff", roles=["Viewer"])
    await admin.get_user(auth, "ada")
    await admin.list_users(auth, limit=2)
    await admin.list_users(auth, limit=2, email="ada@example.org")
    await admin.get_role(auth, viewer)
    await admin.list_roles(auth, limit=2)
    await admin.create_user(auth, username="e", password=None, email="e@x.org", roles=["Clerk"], actor=clerk)
    await admin.update_user(auth, "ada", email="a@x.org", roles=["Clerk"], active=False, actor=root)
    await admin.update_user(auth, "ada", password="x", active=True, actor=clerk)
    await admin.grant_role(auth, username="ada", role=viewer, actor=root)
    await admin.take_role(auth, username="ada", role=viewer, actor=root)
    await admin.update_role(auth, viewer, permissions=[READ, EDIT], new_name="Seer", actor=root)
    await admin.grant_permission(auth, role="Seer", action="can_run", resource="DAG:etl", actor=root)
    await admin.take_permission(auth, role="Seer", action="can_run", resource="DAG:etl", actor=root)
    await admin.add_member(auth, group="staff", username="ada", actor=root)
    await admin.remove_member(auth, group="staff", username="ada", actor=root)
    await admin.explain(auth, "ada", *READ)
    await admin.list_user_permissions(auth, "ada")
    await admin.deactivate_user(auth, "e", actor=root)
    await admin.delete_user(auth, "ada", actor=root)
    await admin.delete_role(auth, "Seer", actor=root)


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_sqlite_reads_no_table_from_end_to_end(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """SQLite plans without numbers of rows: what it does with three users, it does with 100,000."""
    with noting() as sent:
        await do_everything(auth, people.root, people.clerk, "Viewer")
    assert len(sent) > 30
    assert set(await scans(engine, sent)) == of(sent, BY_ROLE)
    await add_indexes(engine)
    assert await scans(engine, sent) == {}


# ── databases that count ──


@pytest.fixture
def crowd(*, full: bool) -> tuple[int, int]:
    """How many users and roles there are."""
    return (100_000, 5_000) if full else (20_000, 1_000)


@pytest.fixture
def database(databases: Databases, backend: str) -> Iterator[Database]:
    """One of this test's own: it gets an index, and emptying it would take longer than dropping it."""
    made = databases.migrated(backend)
    yield made
    made.host.drop_database(made.name)


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
async def test_a_crowd_is_not_read_from_end_to_end(
    auth: AuthManager, engine: AsyncEngine, people: People, crowd: tuple[int, int]
) -> None:
    """With users and roles enough for the planner to prefer an index, and the index that FAB's tables lack."""
    async with engine.begin() as connection:
        await fill(connection, *crowd)
    lacked = await add_indexes(engine)
    assert lacked is (engine.dialect.name == "postgresql")
    with noting() as sent:
        await do_everything(auth, people.root, people.clerk, "role7")
    assert len(sent) > 30
    assert await scans(engine, sent) == {}


@pytest.mark.parametrize("backend", ["postgresql+asyncpg"], indirect=True)
async def test_what_the_index_is_for(
    auth: AuthManager, engine: AsyncEngine, people: People, crowd: tuple[int, int]
) -> None:
    """Without it these statements read all roles that users hold, and no other does."""
    async with engine.begin() as connection:
        await fill(connection, *crowd)
    with noting() as sent:
        await do_everything(auth, people.root, people.clerk, "role7")
    found = set(await scans(engine, sent))
    assert found
    assert found <= of(sent, BY_ROLE)


async def fill(connection: AsyncConnection, users: int, roles: int) -> None:
    """That many, each user with a role, each role with a permission."""
    postgresql = connection.dialect.name == "postgresql"
    n = "n" if postgresql else "seq"

    def series(count: int) -> str:
        if not postgresql and not connection.dialect.supports_sequences:  # MySQL
            counting = f"counted (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM counted WHERE seq < {count})"
            return f"(WITH RECURSIVE {counting} SELECT seq FROM counted) AS numbers"
        return f"generate_series(1, {count}) AS n" if postgresql else f"seq_1_to_{count}"

    if not postgresql and not connection.dialect.supports_sequences:
        await connection.execute(text(f"SET SESSION cte_max_recursion_depth = {users}"))
    permission = (await connection.execute(text("SELECT min(id) FROM ab_permission_view"))).scalar_one()
    names = f"'', '', concat('user', {n}), concat('user', {n}, '@x.org'), true"
    role = f"{FIRST_ID} + 1 + mod({n}, {roles})"
    rows = (
        ("ab_user (id, first_name, last_name, username, email, active)", names, users),
        ("ab_role (id, name)", f"concat('role', {n})", roles),
        ("ab_user_role (id, user_id, role_id)", f"{FIRST_ID} + {n}, {role}", users),
        ("ab_permission_view_role (id, permission_view_id, role_id)", f"{permission}, {FIRST_ID} + {n}", roles),
    )
    for into, values, count in rows:
        await connection.execute(text(f"INSERT INTO {into} SELECT {FIRST_ID} + {n}, {values} FROM {series(count)}"))
    for table in fab.sorted_tables:
        await connection.execute(text(f"ANALYZE {'' if postgresql else 'TABLE '}{table.name}"))


# ── what they say ──


def of(sent: Sent, patterns: tuple[str, ...]) -> set[str]:
    """Those of the statements that are of such a form."""
    return {statement for statement in sent if any(re.search(one, statement, re.DOTALL) for one in patterns)}


async def scans(engine: AsyncEngine, sent: Sent) -> dict[str, list[str]]:
    """Statements that read one of the large tables as a whole, and how."""
    explain = {"sqlite": _sqlite_scans, "postgresql": _postgresql_scans}.get(engine.dialect.name, _mysql_scans)
    allowed, found = of(sent, WHOLE + ON_DELETE), {}
    async with engine.connect() as connection:
        for statement, parameters in sent.items():
            if statement not in allowed and (steps := await explain(connection, statement, parameters)):
                found[statement] = steps
    return found


async def _sqlite_scans(connection: AsyncConnection, statement: str, parameters: Any) -> list[str]:
    plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return [step for step in plan.scalars("detail") if re.match(rf"SCAN ({'|'.join(TABLES)})\b", step)]


async def _postgresql_scans(connection: AsyncConnection, statement: str, parameters: Any) -> list[str]:
    plan = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)).scalar_one()
    nodes = [json.loads(plan)[0]["Plan"] if isinstance(plan, str) else plan[0]["Plan"]]
    found = []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in CROWDED:
            found.append(f"{node['Node Type']} on {node['Relation Name']}")
    return found


async def _mysql_scans(connection: AsyncConnection, statement: str, parameters: Any) -> list[str]:
    plan = await connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters)
    names = dict(re.findall(r"\b(\w+) AS (\w+)", statement))
    aliases = {alias: table for table, alias in names.items()}
    return [
        f"{row.type} of {row.table}"
        for row in plan
        if row.type in {"ALL", "index"} and aliases.get(row.table, row.table) in CROWDED
    ]
