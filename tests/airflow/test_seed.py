"""What asyncauth seeds beside what the real provider did."""

from ast import literal_eval

import anyio
from sqlalchemy import create_engine, select

from asyncauth.db.default_roles import DEFAULT_ROLES
from asyncauth.db.seed import seed
from asyncauth.db.tables import actions, permissions, resources, role_permissions, roles
from tests.airflow.conftest import Adopted
from tests.databases import Databases

ONLY_FAB = {"FabIndexView", "UtilView", "AuthDBView", "SecurityApi"}
"""Resources that FAB stores for pages on which it asks for no permission. We leave them out: nothing can be granted on
them."""
BEARERS = {"vera": "Viewer", "ada": "Admin", "uma": "User", "pia": "Public"}
"""Users of `conftest.USERS` with one role each. Op is held together with Viewer, which it contains."""


def _names(adopted: Adopted, table: str) -> set[str]:
    """The names in a table as Airflow had left it."""
    return {literal_eval(row)[1] for row in adopted.rows_before[table]}


def test_same_roles_and_same_pairs(adopted: Adopted, databases: Databases, backend: str) -> None:
    ours = databases.migrated(backend)
    anyio.run(seed, ours.url)
    columns = (roles.c.name, actions.c.name, resources.c.name)
    statement = (
        select(*columns)
        .join_from(roles, role_permissions, roles.c.id == role_permissions.c.role_id)
        .join(permissions, role_permissions.c.permission_view_id == permissions.c.id)
        .join(actions, permissions.c.permission_id == actions.c.id)
        .join(resources, permissions.c.view_menu_id == resources.c.id)
    )
    engine = create_engine(ours.sync_url)
    with engine.connect() as connection:
        rows = list(connection.execute(statement))
        names = {table.name: set(connection.scalars(select(table.c.name))) for table in (roles, actions, resources)}
        count = len(connection.execute(select(permissions.c.id)).all())
    engine.dispose()
    ours.host.drop_database(ours.name)
    held = {user["username"]: {tuple(pair) for pair in user["permissions"]} for user in adopted.users}
    for username, role in {**BEARERS, "otto": "Op"}.items():
        assert {(action, what) for name, action, what in rows if name == role} == held[username], role
    assert set(BEARERS.values()) | {"Op"} == set(DEFAULT_ROLES)
    assert names["ab_role"] == _names(adopted, "ab_role")
    assert names["ab_permission"] == _names(adopted, "ab_permission")
    assert names["ab_view_menu"] == _names(adopted, "ab_view_menu") - ONLY_FAB
    assert _names(adopted, "ab_view_menu") >= ONLY_FAB
    assert count == len(adopted.rows_before["ab_permission_view"])


def test_where_the_provider_has_seeded_nothing_is_missing(adopted: Adopted) -> None:
    """Roles that other tests added get the homepage, and that is all."""
    made = anyio.run(seed, adopted.airflow.database.sync_url)
    assert (made.roles, made.permissions) == (0, 0)
