"""There is always somebody who can manage the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select

from asyncauth.admin.change import Change
from asyncauth.admin.names import find_id
from asyncauth.db.tables import group_roles, group_users, roles, user_roles, users
from asyncauth.errors import LastAdministratorError


@asynccontextmanager
async def keep_administrator(step: Change, user_id: int | None = None) -> AsyncIterator[None]:
    """Refuse the change inside the block if it takes away the last active user who holds the role of administrators.

    Where there is none to begin with, everything may be changed.

    Args:
        step: the change.
        user_id: the only user who can lose the role or be switched off by it; None: several. On most databases only the
            roles of one user have an index.

    Raises:
        LastAdministratorError: 409.
    """
    had = await _has_administrator(step, user_id)
    yield
    if had and not await _has_administrator(step):
        raise LastAdministratorError(f"nobody active would be left who holds the role `{step.admin_role}`")


async def _has_administrator(step: Change, user_id: int | None = None) -> bool:
    role_id = await find_id(step.connection, roles, step.admin_role)
    if role_id is None:
        return False
    asked = [users.c.active.is_(True)] if user_id is None else [users.c.active.is_(True), users.c.id == user_id]
    direct = select(users.c.id).join_from(user_roles, users, user_roles.c.user_id == users.c.id)
    found = await step.connection.scalar(direct.where(user_roles.c.role_id == role_id, *asked).limit(1))
    if found is None and step.group_roles:
        grouped = (
            select(users.c.id)
            .join_from(group_roles, group_users, group_roles.c.group_id == group_users.c.group_id)
            .join(users, group_users.c.user_id == users.c.id)
            .where(group_roles.c.role_id == role_id, *asked)
        )
        found = await step.connection.scalar(grouped.limit(1))
    return found is not None
