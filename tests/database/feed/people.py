"""Rows with fixed ids, as plain SQL can name them: ada holds Viewer, bob Editor and, through his group, Operator."""

from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.db.tables import fab

ADA, BOB, EVE = 1, 2, 3
VIEWER, EDITOR, OPERATOR = 1, 2, 3
ROWS = f"""
    INSERT INTO ab_user (id, first_name, last_name, username, email, active, login_count) VALUES
        ({ADA}, 'Ada', 'L', 'ada', 'ada@example.org', true, 0), ({BOB}, 'Bob', 'B', 'bob', 'bob@example.org', true, 0),
        ({EVE}, 'Eve', 'E', 'eve', 'eve@example.org', true, 0);
    INSERT INTO ab_role (id, name) VALUES ({VIEWER}, 'Viewer'), ({EDITOR}, 'Editor'), ({OPERATOR}, 'Operator');
    INSERT INTO ab_permission (id, name) VALUES (1, 'can_read'), (2, 'can_edit');
    INSERT INTO ab_view_menu (id, name) VALUES (1, 'DAG:etl'), (2, 'DAG:billing'), (3, 'DAG:spare');
    INSERT INTO ab_permission_view (id, permission_id, view_menu_id) VALUES (1, 1, 1), (2, 2, 1), (3, 1, 2);
    INSERT INTO ab_permission_view_role (id, permission_view_id, role_id) VALUES
        (1, 1, {VIEWER}), (2, 2, {EDITOR}), (3, 3, {OPERATOR});
    INSERT INTO ab_user_role (id, user_id, role_id) VALUES (1, {ADA}, {VIEWER}), (2, {BOB}, {EDITOR});
    INSERT INTO ab_group (id, name) VALUES (1, 'staff'), (2, 'empty');
    INSERT INTO ab_user_group (id, user_id, group_id) VALUES (1, {BOB}, 1);
    INSERT INTO ab_group_role (id, group_id, role_id) VALUES (1, 1, {OPERATOR});
"""


async def add_people(engine: AsyncEngine) -> None:
    """The rows, in one transaction; ids that are drawn come after theirs."""
    async with engine.begin() as connection:
        if engine.dialect.name != "sqlite":
            start = (
                "ALTER SEQUENCE {}_id_seq RESTART"
                if engine.dialect.supports_sequences
                else "ALTER TABLE {} AUTO_INCREMENT"
            )
            for table in fab.tables:
                await connection.exec_driver_sql(f"{start.format(table)} 100000")
        for statement in ROWS.split(";")[:-1]:
            await connection.exec_driver_sql(statement)
