"""What roles permit."""

from sqlalchemy import Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.admin.names import find_id, get_role_id, validate
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import actions, permissions, resources, role_permissions
from asyncauth.manager import AuthManager
from asyncauth.model import Written


async def grant_permission(auth: AuthManager, *, role: str, action: str, resource: str) -> Written[None]:
    """Let a role do `action` on `resource`; no error if it may already. New names are stored on the way.

    Raises:
        InvalidValueError: a name cannot be stored.
        NotFoundError: the role does not exist.
        TakenError: somebody stored the same names in this moment; do it again.
        UnavailableError: the database did not answer.
    """
    validate("the action", action, 100)
    validate("the resource", resource, 250)

    async def work(connection: AsyncConnection) -> None:
        role_id = await get_role_id(connection, role)
        action_id = await _get_or_create(connection, actions, action)
        resource_id = await _get_or_create(connection, resources, resource)
        permission_id = await _find_permission(connection, action_id, resource_id)
        if permission_id is None:
            permission_id = await insert_row(connection, permissions, permission_id=action_id, view_menu_id=resource_id)
        held = (role_permissions.c.role_id == role_id, role_permissions.c.permission_view_id == permission_id)
        if (await connection.execute(select(role_permissions.c.id).where(*held))).first() is None:
            await insert_row(connection, role_permissions, role_id=role_id, permission_view_id=permission_id)

    return await auth.write(work)


async def take_permission(auth: AuthManager, *, role: str, action: str, resource: str) -> Written[None]:
    """Take a permission from a role; no error if the role does not hold it.

    Raises:
        NotFoundError: the role does not exist.
        UnavailableError: the database did not answer.
    """

    async def work(connection: AsyncConnection) -> None:
        role_id = await get_role_id(connection, role)
        permission_id = await _find_permission(
            connection, await find_id(connection, actions, action), await find_id(connection, resources, resource)
        )
        if permission_id is None:
            return
        held = (role_permissions.c.role_id == role_id, role_permissions.c.permission_view_id == permission_id)
        await connection.execute(delete(role_permissions).where(*held))

    return await auth.write(work)


async def _get_or_create(connection: AsyncConnection, table: Table, name: str) -> int:
    found = await find_id(connection, table, name)
    if found is not None:
        return found
    return await insert_row(connection, table, name=name)


async def _find_permission(connection: AsyncConnection, action_id: int | None, resource_id: int | None) -> int | None:
    if action_id is None or resource_id is None:
        return None
    pair = (permissions.c.permission_id == action_id, permissions.c.view_menu_id == resource_id)
    return (await connection.execute(select(permissions.c.id).where(*pair))).scalar_one_or_none()
