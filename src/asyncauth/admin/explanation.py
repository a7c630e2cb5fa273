"""Why may, or may not, this user do this? As the database says now, with everything that leads to the answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.admin.names import get_user_id
from asyncauth.admin.pairs import find_pairs
from asyncauth.db.permissions import PermissionReader
from asyncauth.db.tables import group_roles, group_users, groups, role_permissions, roles, user_roles, users
from asyncauth.manager import AuthManager
from asyncauth.model import Permission


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that a user holds."""

    name: str
    group: str | None
    """The group that carries it; None: granted to the user."""
    counts: bool
    """False: roles of groups do not count in this database."""
    permits: bool
    """Whether it holds the permission that was asked for."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to one question, and what decides it."""

    username: str
    active: bool
    action: str
    resource: str
    stored: bool
    """Whether such a permission is stored at all; if not, no role can hold it."""
    roles: tuple[HeldRole, ...]

    @property
    def allowed(self) -> bool:
        """The answer."""
        return self.active and any(role.counts and role.permits for role in self.roles)

    @property
    def deciding(self) -> tuple[HeldRole, ...]:
        """The roles that allow it, also if the user is inactive."""
        return tuple(role for role in self.roles if role.counts and role.permits)

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        question = f"`{self.action}` on `{self.resource}`"
        if not self.active:
            return f"`{self.username}` is inactive" + (f", and would be allowed {question}" if self.deciding else "")
        if self.deciding:
            return f"{_words(self.deciding)} allows {question}"
        if not self.stored:
            return f"there is no permission {question}: no role can hold it"
        if idle := [role for role in self.roles if role.permits]:
            return f"{_words(idle)} would allow {question}, but roles of groups do not count here (group_roles)"
        looked_at = f"looked at: {_words(self.roles)}" if self.roles else "the user has no role"
        return f"no role of `{self.username}` has permission {question} ({looked_at})"


async def explain(auth: AuthManager, username: str, action: str, resource: str) -> Explanation:
    """Say why a user may or may not do `action` on `resource`.

    Raises:
        NotFoundError: the user does not exist.
        UnavailableError: the database did not answer.
    """
    asked, group_roles_count = Permission(action, resource), auth.group_roles

    async def work(session: AsyncSession) -> Explanation:
        connection = await session.connection()
        user_id = await get_user_id(connection, username)
        columns = select(users.c.username, users.c.active).where(users.c.id == user_id)
        name, active = (await connection.execute(columns)).one()
        held = await _read_held(connection, user_id)
        permission_id = (await find_pairs(connection, [asked])).get(asked)
        permitting = await _read_permitting(connection, permission_id, {role_id for role_id, _, _ in held})
        found = tuple(
            HeldRole(role, group, counts=group is None or group_roles_count, permits=role_id in permitting)
            for role_id, role, group in held
        )
        return Explanation(name, active is True, action, resource, permission_id is not None, found)

    return await auth.read(work)


async def list_user_permissions(auth: AuthManager, username: str) -> tuple[Permission, ...]:
    """What a user may do, if active: of all roles that count, in order.

    Raises:
        NotFoundError: the user does not exist.
        UnavailableError: the database did not answer.
    """
    group_roles_count = auth.group_roles

    async def work(session: AsyncSession) -> tuple[Permission, ...]:
        connection = await session.connection()
        held = await _read_held(connection, await get_user_id(connection, username))
        role_ids = {role_id for role_id, _, group in held if group is None or group_roles_count}
        keys = await PermissionReader(connection.dialect.name).read(connection, role_ids) if role_ids else {}
        return tuple(sorted({Permission(*key.split("\0")) for found in keys.values() for key in found}))

    return await auth.read(work)


async def _read_held(connection: AsyncConnection, user_id: int) -> list[tuple[int, str, str | None]]:
    """Roles of a user: id, name, and the name of the group that carries it."""
    direct = select(roles.c.id, roles.c.name).join_from(user_roles, roles, user_roles.c.role_id == roles.c.id)
    grouped = (
        select(roles.c.id, roles.c.name, groups.c.name.label("group"))
        .join_from(group_users, groups, group_users.c.group_id == groups.c.id)
        .join(group_roles, group_roles.c.group_id == groups.c.id)
        .join(roles, group_roles.c.role_id == roles.c.id)
        .order_by(groups.c.id, roles.c.id)
    )
    own = await connection.execute(direct.where(user_roles.c.user_id == user_id).order_by(roles.c.id))
    by_group = await connection.execute(
        grouped.where(group_users.c.user_id == user_id).order_by(groups.c.id, roles.c.id)
    )
    return [*((row.id, row.name, None) for row in own), *((row.id, row.name, row.group) for row in by_group)]


async def _read_permitting(connection: AsyncConnection, permission_id: int | None, role_ids: set[int]) -> set[int]:
    """Which of these roles hold the permission."""
    if permission_id is None or not role_ids:
        return set()
    of_permission = role_permissions.c.permission_view_id == permission_id, role_permissions.c.role_id.in_(role_ids)
    return set((await connection.execute(select(role_permissions.c.role_id).where(*of_permission))).scalars())


def _words(held: Iterable[HeldRole]) -> str:
    return ", ".join(f"role `{role.name}`" + (f" of group `{role.group}`" if role.group else "") for role in held)
