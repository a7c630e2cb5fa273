"""Groups: sets of users that carry roles. Who is in them, and which roles they carry: `group_changes.py`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.admin.administrators import keep_administrator
from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.held import check_roles
from asyncauth.admin.names import find_id, get_group_id, get_role_ids, validate
from asyncauth.admin.paging import Page, make_etag, paged, require_match
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import group_roles, group_users, groups, roles, users
from asyncauth.errors import NotFoundError, TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import Written

_ORDERS = {"name": groups.c.name, "id": groups.c.id}
_MEMBER_ORDERS = {"username": users.c.username, "id": users.c.id}


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group as it is stored. Its members are listed by `list_members`."""

    id: int
    name: str
    label: str | None
    description: str | None = field(repr=False)
    roles: tuple[str, ...]
    members: int
    """How many."""

    @property
    def etag(self) -> str:
        """Differs when anything but the members differs."""
        return make_etag(self.id, self.name, self.label, self.description, sorted(self.roles))


async def get_group(auth: AuthManager, name: str) -> GroupInfo:
    """One group, by its exact name.

    Raises:
        NotFoundError: there is none.
        UnavailableError: 503.
    """

    async def work(session: AsyncSession) -> GroupInfo:
        connection = await session.connection()
        return await read_group(connection, await get_group_id(connection, name))

    return await auth.read(work)


async def list_groups(
    auth: AuthManager, *, limit: int = 100, offset: int = 0, order_by: str = "name"
) -> Page[GroupInfo]:
    """Groups in pages, ordered by name or id; `-` in front turns it round.

    Raises:
        InvalidValueError: the page is none.
        UnavailableError: the database did not answer.
    """
    page = paged(select(groups.c.id), limit=limit, offset=offset, order_by=order_by, columns=_ORDERS, last=groups.c.id)

    async def work(session: AsyncSession) -> Page[GroupInfo]:
        total = await session.scalar(select(func.count()).select_from(groups))
        ids = list((await session.execute(page)).scalars())
        return Page(tuple(await read_groups(await session.connection(), ids)), total or 0)

    return await auth.read(work)


async def list_members(
    auth: AuthManager, group: str, *, limit: int = 100, offset: int = 0, order_by: str = "username"
) -> Page[str]:
    """The names of a group's members in pages, ordered by username or id.

    Raises:
        NotFoundError: the group does not exist.
        InvalidValueError: the page is none.
        UnavailableError: the database did not answer.
    """
    every = select(users.c.username).join_from(group_users, users, group_users.c.user_id == users.c.id)
    page = paged(every, limit=limit, offset=offset, order_by=order_by, columns=_MEMBER_ORDERS, last=users.c.id)

    async def work(session: AsyncSession) -> Page[str]:
        mine = group_users.c.group_id == await get_group_id(await session.connection(), group)
        total = await session.scalar(select(func.count()).select_from(group_users).where(mine))
        return Page(tuple((await session.execute(page.where(mine))).scalars()), total or 0)

    return await auth.read(work)


async def create_group(
    auth: AuthManager,
    name: str,
    *,
    label: str | None = None,
    description: str | None = None,
    roles: Iterable[str] = (),
    actor: Actor | None = None,
) -> Written[GroupInfo]:
    """Create a group without members.

    Raises:
        InvalidValueError: a text cannot be stored.
        TakenError: the name is in use.
        UnknownRoleError: one of `roles` does not exist.
        EscalationError: the roles hold more than the actor.
        UnavailableError: the database did not answer.
    """
    values = {"name": validate("the group name", name, 100)}
    for what, text, length in (("label", label, 150), ("description", description, 512)):
        if text:
            values[what] = validate(f"the {what} of the group", text, length)
    role_names = set(roles)

    async def work(step: Change) -> GroupInfo:
        if await find_id(step.connection, groups, name) is not None:
            raise TakenError(f"the group name `{name}` is taken")
        role_ids = await get_role_ids(step.connection, role_names)
        await check_roles(step, role_ids.values())
        group_id = await insert_row(step.connection, groups, **values)
        for role_id in role_ids.values():
            await insert_row(step.connection, group_roles, group_id=group_id, role_id=role_id)
        await step.record("create", "group", group_id, name, after={**values, "roles": list(role_ids)})
        return await read_group(step.connection, group_id)

    return await change(auth, actor, work)


async def delete_group(
    auth: AuthManager, name: str, *, if_match: str | None = None, actor: Actor | None = None
) -> Written[None]:
    """Delete a group; its members lose the roles that it carried.

    Raises:
        NotFoundError: the group does not exist.
        ChangedMeanwhileError: the group is not what `if_match` says.
        LastAdministratorError: nobody would be left who can manage the others.
        EscalationError: its roles hold more than the actor.
        UnavailableError: the database did not answer.
    """

    async def work(step: Change) -> None:
        group_id = await get_group_id(step.connection, name, lock=True)
        before = await read_group(step.connection, group_id)
        require_match(before.etag, if_match)
        await check_roles(step, await read_carried(step.connection, group_id))
        async with keep_administrator(step):
            for table in (group_users, group_roles):
                await step.connection.execute(delete(table).where(table.c.group_id == group_id))
            await step.connection.execute(delete(groups).where(groups.c.id == group_id))
        content = {"name": name, "roles": list(before.roles), "members": before.members}
        await step.record("delete", "group", group_id, name, before=content)

    return await change(auth, actor, work)


async def read_carried(connection: AsyncConnection, group_id: int) -> set[int]:
    """The ids of the roles that a group carries."""
    mine = select(group_roles.c.role_id).where(group_roles.c.group_id == group_id)
    return {role_id for role_id in (await connection.execute(mine)).scalars() if role_id is not None}


async def read_group(connection: AsyncConnection, group_id: int) -> GroupInfo:
    """One group. Raises NotFoundError."""
    for found in await read_groups(connection, [group_id]):
        return found
    raise NotFoundError(f"no group has the id {group_id}")


async def read_groups(connection: AsyncConnection, group_ids: list[int]) -> list[GroupInfo]:
    """Groups in the order of their ids here; three statements, however many there are."""
    if not group_ids:
        return []
    rows = {row.id: row for row in await connection.execute(select(*groups.columns).where(groups.c.id.in_(group_ids)))}
    carried: dict[int, list[str]] = {}
    names = select(group_roles.c.group_id, roles.c.name).join_from(
        group_roles, roles, group_roles.c.role_id == roles.c.id
    )
    for group_id, name in await connection.execute(
        names.where(group_roles.c.group_id.in_(group_ids)).order_by(roles.c.name)
    ):
        carried.setdefault(group_id, []).append(name)
    counts = select(group_users.c.group_id, func.count()).where(group_users.c.group_id.in_(group_ids))
    sizes = {row[0]: row[1] for row in await connection.execute(counts.group_by(group_users.c.group_id))}
    return [
        GroupInfo(
            *(rows[group_id].id, rows[group_id].name, rows[group_id].label, rows[group_id].description),
            roles=tuple(carried.get(group_id, ())),
            members=sizes.get(group_id, 0),
        )
        for group_id in group_ids
        if group_id in rows
    ]
