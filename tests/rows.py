"""Rows of users, roles and permissions, written as another program would.

`through` writes them as asyncauth itself does.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sqlalchemy import Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthManager
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import (
    actions,
    group_roles,
    group_users,
    groups,
    permissions,
    resources,
    role_permissions,
    roles,
    user_roles,
    users,
)

T = TypeVar("T")
Pair = tuple[str, str]


async def through(auth: AuthManager, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` as a change made by a manager."""
    return (await auth.write(work)).value


async def add_user(
    connection: AsyncConnection,
    username: str = "ada",
    *,
    roles: Iterable[int] = (),
    active: bool | None = True,
    password: str | None = None,
    email: str | None = None,
) -> int:
    """A user who holds these roles; returns the id."""
    user_id = await insert_row(
        connection,
        users,
        first_name="Ada",
        last_name="Lovelace",
        username=username,
        password=password,
        active=active,
        email=email if email is not None else f"{username}@example.org",
    )
    for role_id in roles:
        await insert_row(connection, user_roles, user_id=user_id, role_id=role_id)
    return user_id


async def add_role(connection: AsyncConnection, name: str = "Viewer", pairs: Iterable[Pair] = ()) -> int:
    """A role with these permissions; returns the id."""
    role_id = await insert_row(connection, roles, name=name)
    for action, resource in pairs:
        await grant(connection, role_id, action, resource)
    return role_id


async def add_group(
    connection: AsyncConnection, name: str = "staff", *, members: Iterable[int] = (), roles: Iterable[int] = ()
) -> int:
    """A group of these users that carries these roles; returns the id."""
    group_id = await insert_row(connection, groups, name=name)
    for user_id in members:
        await insert_row(connection, group_users, user_id=user_id, group_id=group_id)
    for role_id in roles:
        await insert_row(connection, group_roles, group_id=group_id, role_id=role_id)
    return group_id


async def grant(connection: AsyncConnection, role_id: int, action: str, resource: str) -> int:
    """Give a permission to a role, made if need be; returns the permission's id."""
    permission_id = await add_permission(connection, action, resource)
    await insert_row(connection, role_permissions, permission_view_id=permission_id, role_id=role_id)
    return permission_id


async def take(connection: AsyncConnection, role_id: int, permission_id: int) -> None:
    """Take a permission from a role."""
    link = role_permissions.c
    await connection.execute(
        delete(role_permissions).where(link.role_id == role_id, link.permission_view_id == permission_id)
    )


async def add_permission(connection: AsyncConnection, action: str, resource: str) -> int:
    """A permission, found or made; returns the id."""
    action_id = await _named(connection, actions, action)
    resource_id = await _named(connection, resources, resource)
    pair = permissions.c.permission_id == action_id, permissions.c.view_menu_id == resource_id
    found = await connection.scalar(select(permissions.c.id).where(*pair))
    return found or await insert_row(connection, permissions, permission_id=action_id, view_menu_id=resource_id)


async def add_many(connection: AsyncConnection, role_id: int, action: str, names: list[str]) -> None:
    """Give a role one action on many new resources, in one statement for each table. The names hold nothing odd."""
    first = 1 + (await connection.scalar(select(func.max(resources.c.id))) or 0) + 1_000_000
    action_id = await _named(connection, actions, action)
    ids = range(first, first + len(names))
    for table, columns, values in (
        (resources, "id, name", (f"({id_}, '{name}')" for id_, name in zip(ids, names, strict=True))),
        (permissions, "id, permission_id, view_menu_id", (f"({id_}, {action_id}, {id_})" for id_ in ids)),
        (role_permissions, "id, permission_view_id, role_id", (f"({id_}, {id_}, {role_id})" for id_ in ids)),
    ):
        await connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES {','.join(values)}")
        if connection.dialect.name == "postgresql":
            # Autovacuum has seen this table empty, in the test before: joins are planned for that, and take minutes.
            await connection.exec_driver_sql(f"ANALYZE {table.name}")


async def _named(connection: AsyncConnection, table: Table, name: str) -> int:
    # Compared again: MariaDB takes other names for the same.
    rows = await connection.execute(select(table.c.id, table.c.name).where(table.c.name == name))
    return next((id_ for id_, found in rows if found == name), None) or await insert_row(connection, table, name=name)
