"""What users hold, read in the transaction of a change, and the rules applied to it."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.admin.change import Change
from asyncauth.admin.rules import MANAGE_ROLES, narrow, require_held, require_not_above
from asyncauth.db.permissions import PermissionReader
from asyncauth.db.tables import actions, group_roles, group_users, permissions, resources, role_permissions, user_roles
from asyncauth.model import PermissionKey


async def read_role_ids(connection: AsyncConnection, user_id: int, *, by_group: bool) -> set[int]:
    """The roles of a user; those of the user's groups too, if `by_group`."""
    direct = select(user_roles.c.role_id).where(user_roles.c.user_id == user_id)
    found = set((await connection.execute(direct)).scalars())
    if by_group:
        same_group = group_users.c.group_id == group_roles.c.group_id
        grouped = select(group_roles.c.role_id).join_from(group_users, group_roles, same_group)
        found |= set((await connection.execute(grouped.where(group_users.c.user_id == user_id))).scalars())
    return {role_id for role_id in found if role_id is not None}


async def read_keys(connection: AsyncConnection, role_ids: Collection[int]) -> frozenset[PermissionKey]:
    """What these roles permit together."""
    if not role_ids:
        return frozenset()
    found = await PermissionReader(connection.dialect.name).read(connection, role_ids)
    return frozenset().union(*found.values())


async def check_keys(step: Change, keys: frozenset[PermissionKey]) -> None:
    """Raises EscalationError if the actor may not give or take these permissions."""
    actor = await _read_actor(step) if keys else None
    if actor is not None:
        require_held(actor, keys)


async def check_roles(step: Change, role_ids: Collection[int]) -> None:
    """Raises EscalationError if the actor may not give or take these roles."""
    actor = await _read_actor(step) if role_ids else None
    if actor is not None:
        require_held(actor, await read_keys(step.connection, role_ids))


async def check_user(step: Change, user_id: int, username: str) -> None:
    """Raises EscalationError if that user holds more than the actor. Roles of groups count for the user in any case,
    and so does what an inactive user would have. Nobody holds more than themselves."""
    if step.is_by(user_id):
        return
    actor = await _read_actor(step)
    if actor is not None:
        role_ids = await read_role_ids(step.connection, user_id, by_group=True)
        require_not_above(actor, await read_keys(step.connection, role_ids), username)


async def _read_actor(step: Change) -> frozenset[PermissionKey] | None:
    """What the actor holds; None: everything."""
    actor = step.actor
    if actor is None or actor.user_id is None:
        return None
    role_ids = await read_role_ids(step.connection, actor.user_id, by_group=step.group_roles)
    if (actor.scope is None or MANAGE_ROLES in actor.scope) and await _may_manage(step.connection, role_ids):
        return None
    return narrow(await read_keys(step.connection, role_ids), actor.scope)


async def _may_manage(connection: AsyncConnection, role_ids: Collection[int]) -> bool:
    """Asked first, because an administrator's roles may hold very much."""
    action, resource = MANAGE_ROLES.split("\0")
    statement = (
        select(actions.c.name, resources.c.name)
        .join_from(role_permissions, permissions, role_permissions.c.permission_view_id == permissions.c.id)
        .join(actions, permissions.c.permission_id == actions.c.id)
        .join(resources, permissions.c.view_menu_id == resources.c.id)
        .where(role_permissions.c.role_id.in_(role_ids), actions.c.name == action, resources.c.name == resource)
    )
    return (action, resource) in {tuple(row) for row in await connection.execute(statement)}
