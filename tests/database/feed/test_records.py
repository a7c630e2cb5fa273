"""Which records a statement of another program writes into the change log, and which it does not."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth.db.migrate import upgrade
from asyncauth.db.record_triggers import MANY
from asyncauth.db.tables import changes
from tests.database.feed.people import ADA, BOB, EDITOR, EVE, OPERATOR, VIEWER, add_people
from tests.databases import Database

Records = list[tuple[str, int | None]]
POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg"], indirect=True)
ONE_DRIVER = pytest.mark.parametrize("backend", ["postgresql+asyncpg"], indirect=True)

CASES: dict[str, Records] = {
    # bookkeeping, and what is in nobody's memory
    f"UPDATE ab_user SET last_login = CURRENT_TIMESTAMP, login_count = 7, fail_login_count = 0 WHERE id = {ADA}": [],
    f"UPDATE ab_user SET changed_on = CURRENT_TIMESTAMP, changed_by_fk = {BOB} WHERE id = {ADA}": [],
    f"UPDATE ab_user SET password = password WHERE id = {ADA}": [],
    f"UPDATE ab_user SET password = 'hash' WHERE id = {ADA}": [("cutoff", ADA)],
    "UPDATE ab_user SET username = username, first_name = first_name, active = active, email = email": [],
    "UPDATE ab_user SET active = false WHERE id = 4711": [],
    "UPDATE ab_group SET name = 'crew', label = 'Crew' WHERE id = 1": [],
    "INSERT INTO ab_user (id, first_name, last_name, username, email) VALUES (9, '', '', 'new', 'new')": [],
    "INSERT INTO ab_role (id, name) VALUES (9, 'New')": [],
    "INSERT INTO ab_permission (id, name) VALUES (9, 'can_new')": [],
    "INSERT INTO ab_view_menu (id, name) VALUES (9, 'New')": [],
    "INSERT INTO ab_permission_view (id, permission_id, view_menu_id) VALUES (9, 2, 3)": [],
    "INSERT INTO ab_group (id, name) VALUES (9, 'new')": [],
    # users: whatever the collation of the column calls the same
    f"UPDATE ab_user SET username = 'ADA' WHERE id = {ADA}": [("user", ADA)],
    f"UPDATE ab_user SET username = 'ad\u00e1' WHERE id = {ADA}": [("user", ADA)],
    f"UPDATE ab_user SET last_name = 'L ' WHERE id = {ADA}": [("user", ADA)],
    f"UPDATE ab_user SET email = 'ADA@example.org', login_count = 9 WHERE id = {ADA}": [("user", ADA)],
    f"UPDATE ab_user SET active = false WHERE id = {ADA}": [("user", ADA), ("cutoff", ADA)],
    f"UPDATE ab_user SET active = NULL WHERE id = {ADA}": [("user", ADA), ("cutoff", ADA)],
    f"UPDATE ab_user SET first_name = 'X' WHERE id <> {BOB}": [("user", ADA), ("user", EVE)],
    f"UPDATE ab_user SET id = 50 WHERE id = {EVE}": [("user", EVE), ("user", 50), ("cutoff", EVE)],
    f"DELETE FROM ab_user WHERE id = {EVE}": [("user", EVE), ("cutoff", EVE)],
    # what users hold
    f"INSERT INTO ab_user_role (id, user_id, role_id) VALUES (9, {EVE}, {VIEWER})": [("user", EVE)],
    f"UPDATE ab_user_role SET role_id = {OPERATOR} WHERE user_id = {ADA}": [("user", ADA)],
    f"UPDATE ab_user_role SET user_id = {EVE} WHERE user_id = {ADA}": [("user", ADA), ("user", EVE)],
    "UPDATE ab_user_role SET user_id = user_id, role_id = role_id": [],
    f"DELETE FROM ab_user_role WHERE user_id = {ADA}": [("user", ADA)],
    "DELETE FROM ab_user_role WHERE user_id = 4711": [],
    f"INSERT INTO ab_user_group (id, user_id, group_id) VALUES (9, {ADA}, 1)": [("user", ADA)],
    "UPDATE ab_user_group SET group_id = 2": [("user", BOB)],
    "DELETE FROM ab_user_group": [("user", BOB)],
    f"INSERT INTO ab_group_role (id, group_id, role_id) VALUES (9, 1, {VIEWER})": [("user", None)],
    f"UPDATE ab_group_role SET role_id = {VIEWER}": [("user", None)],
    "UPDATE ab_group_role SET role_id = role_id": [],
    "DELETE FROM ab_group_role": [("user", None)],
    "DELETE FROM ab_group WHERE id = 2": [("user", None)],
    # what roles permit
    f"UPDATE ab_role SET name = 'VIEWER' WHERE id = {VIEWER}": [("role", VIEWER)],
    "UPDATE ab_role SET name = name": [],
    f"INSERT INTO ab_permission_view_role (id, permission_view_id, role_id) VALUES (9, 1, {EDITOR})": [
        ("role", EDITOR)
    ],
    f"UPDATE ab_permission_view_role SET role_id = {OPERATOR} WHERE id = 1": [("role", VIEWER), ("role", OPERATOR)],
    "UPDATE ab_permission_view_role SET role_id = role_id": [],
    "DELETE FROM ab_permission_view_role WHERE id = 2": [("role", EDITOR)],
    "UPDATE ab_permission SET name = 'CAN_READ' WHERE id = 1": [("role", None)],
    "UPDATE ab_view_menu SET name = 'DAG:Etl' WHERE id = 1": [("role", None)],
    "UPDATE ab_view_menu SET name = name": [],
    "UPDATE ab_permission_view SET view_menu_id = 3 WHERE id = 1": [("role", None)],
    "DELETE FROM ab_view_menu WHERE id = 3": [("role", None)],
}
MERGES = {
    "postgresql": {
        f"INSERT INTO ab_role (id, name) VALUES ({VIEWER}, 'V') ON CONFLICT (id) DO UPDATE SET name = 'V'": [
            ("role", VIEWER)
        ],
        f"INSERT INTO ab_role (id, name) VALUES ({VIEWER}, 'V') ON CONFLICT DO NOTHING": [],
        f"MERGE INTO ab_user_role t USING (SELECT {ADA} AS id) s ON t.user_id = s.id WHEN MATCHED THEN DELETE": [
            ("user", ADA)
        ],
        "WITH gone AS (DELETE FROM ab_user_role RETURNING user_id) UPDATE ab_user SET active = false "
        "WHERE id IN (SELECT user_id FROM gone)": [
            *[("user", ADA), ("user", ADA), ("user", BOB), ("user", BOB)],
            *[("cutoff", ADA), ("cutoff", BOB)],
        ],
    },
    "mysql": {
        f"INSERT INTO ab_role (id, name) VALUES ({VIEWER}, 'V') ON DUPLICATE KEY UPDATE name = 'V'": [("role", VIEWER)],
        f"INSERT IGNORE INTO ab_role (id, name) VALUES ({VIEWER}, 'V')": [],
        f"REPLACE INTO ab_user_role (id, user_id, role_id) VALUES (1, {ADA}, {EDITOR})": [("user", ADA), ("user", ADA)],
    },
    "sqlite": {f"REPLACE INTO ab_user_role (id, user_id, role_id) VALUES (1, {EVE}, {VIEWER})": [("user", EVE)]},
}


async def noted(connection: AsyncConnection, *statements: str) -> Records:
    """What statements of one transaction note; the transaction is then rolled back."""
    before = await connection.scalar(select(func.coalesce(func.max(changes.c.id), 0)))
    for statement in statements:
        await connection.exec_driver_sql(statement)
    query = select(changes.c.kind, changes.c.item).where(changes.c.id > before)
    rows = (await connection.execute(query)).all()
    await connection.rollback()
    return sorted(((kind, item) for kind, item in rows), key=repr)


async def test_each_change_is_noted_and_nothing_else(engine: AsyncEngine) -> None:
    """Statement by statement. On SQLite any record drops everything, so there only whether there is one counts."""
    await add_people(engine)
    async with engine.connect() as connection:
        dialect = connection.dialect.name
        for statement, expected in (CASES | MERGES[dialect]).items():
            found = await noted(connection, statement)
            if dialect == "sqlite":
                assert bool(found) == bool(expected or statement.startswith("INSERT")), statement
            else:
                assert found == sorted(expected, key=repr), statement


async def test_cascades_are_noted(engine: AsyncEngine) -> None:
    """What goes with a role, a user, a group, a permission: MariaDB fires the parent's trigger only: enough."""
    await add_people(engine)
    async with engine.connect() as connection:
        for statement, expected in {
            f"DELETE FROM ab_role WHERE id = {VIEWER}": ("role", VIEWER),
            f"DELETE FROM ab_user WHERE id = {BOB}": ("user", BOB),
            "DELETE FROM ab_group WHERE id = 1": ("user", None),
            "DELETE FROM ab_permission_view WHERE id = 1": ("role", None),
        }.items():
            assert expected in await noted(connection, statement), statement


@POSTGRESQL
async def test_a_bulk_change_writes_few_records(engine: AsyncEngine) -> None:
    """10,000 rows in one statement: one record that means all; up to `MANY` items are named."""
    numbers, rest = "generate_series(1001, 11000) AS n", "'', '', 'u' || n, 'u' || n, true"
    users = f"INSERT INTO ab_user (id, first_name, last_name, username, email, active) SELECT n, {rest} FROM {numbers}"
    grant = f"INSERT INTO ab_user_role (id, user_id, role_id) SELECT n, n, {VIEWER} FROM {numbers}"
    await add_people(engine)
    async with engine.connect() as connection:
        assert await noted(connection, users) == []
        assert await noted(connection, users, grant) == [("user", None)]
        for statement in (
            "UPDATE ab_user SET first_name = 'X' WHERE id > 1000",
            "UPDATE ab_user_role SET role_id = 2 WHERE id > 1000",
            "DELETE FROM ab_user_role WHERE id > 1000",
        ):
            assert await noted(connection, users, grant, statement) == [("user", None)] * 2, statement
        named = f"UPDATE ab_user SET first_name = 'X' WHERE id BETWEEN 1001 AND {1000 + MANY}"
        assert await noted(connection, users, named) == [("user", 1001 + one) for one in range(MANY)]
        many = f"UPDATE ab_user SET first_name = 'X' WHERE id BETWEEN 1001 AND {1001 + MANY}"
        assert await noted(connection, users, many) == [("user", None)]


@ONE_DRIVER
async def test_truncate_is_noted(engine: AsyncEngine) -> None:
    """Of each watched table, with the tables that go with it."""
    users, roles = ("user", None), ("role", None)
    await add_people(engine)
    async with engine.connect() as connection:
        for tables, expected in {
            "ab_user_role": {users},
            "ab_user_group": {users},
            "ab_group_role": {users},
            "ab_permission_view_role": {roles},
            "ab_user CASCADE": {users, ("cutoff", ADA), ("cutoff", BOB), ("cutoff", EVE)},
            "ab_group CASCADE": {users},
            "ab_role CASCADE": {users, roles},
            "ab_permission_view CASCADE": {roles},
            "ab_permission CASCADE": {roles},
            "ab_view_menu CASCADE": {roles},
        }.items():
            assert set(await noted(connection, f"TRUNCATE {tables}")) == expected, tables


AIRFLOW = {  # Airflow's own table, as its migrations make it
    "sqlite": "CREATE TABLE revoked_token (jti VARCHAR(32) PRIMARY KEY, exp TIMESTAMP NOT NULL)",
    "postgresql": "CREATE TABLE revoked_token (jti VARCHAR(32) PRIMARY KEY, exp TIMESTAMPTZ NOT NULL)",
    "mysql": "CREATE TABLE revoked_token (jti VARCHAR(32) PRIMARY KEY, exp TIMESTAMP(6) NOT NULL)",
}
SAIGON = {"sqlite": "SELECT 1", "postgresql": "SET TIME ZONE '+07'", "mysql": "SET time_zone = '+07:00'"}
NINE = {"sqlite": "2030-01-01 02:00:00.000000", "postgresql": "2030-01-01 09:00:00", "mysql": "2030-01-01 09:00:00"}
EXPIRES = 1_893_463_200  # 2030-01-01 02:00 UTC


async def test_revocations_are_noted(database: Database, engine: AsyncEngine) -> None:
    """In both tables, with all that is needed to refuse the token, whatever the time zone of who writes."""
    dialect = database.host.dialect
    async with engine.begin() as connection:
        await connection.exec_driver_sql(AIRFLOW[dialect])
    assert await upgrade(engine) is True
    async with engine.connect() as connection:
        await connection.exec_driver_sql(SAIGON[dialect])
        ours = f"INSERT INTO asyncauth_revoked_token (iss, jti, exp) VALUES ('us', 'One', {EXPIRES})"
        await connection.exec_driver_sql(ours)
        await connection.exec_driver_sql(f"INSERT INTO revoked_token (jti, exp) VALUES ('two', '{NINE[dialect]}')")
        columns = (changes.c.kind, changes.c.item, changes.c.iss, changes.c.jti, changes.c.exp)
        rows = (
            await connection.execute(select(*columns).where(changes.c.kind == "token").order_by(changes.c.id))
        ).all()
        await connection.commit()
        await connection.invalidate()  # with its time zone
    assert [tuple(row) for row in rows] == [
        ("token", None, "us", "One", EXPIRES),
        ("token", None, None, "two", EXPIRES),
    ]
