"""Roles as they are stored. Making and changing them: `role_changes.py`; single permissions: `permissions.py`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.admin.names import get_role_id
from asyncauth.admin.paging import Page, containing, make_etag, paged
from asyncauth.db.permissions import PermissionReader
from asyncauth.db.tables import roles
from asyncauth.manager import AuthManager
from asyncauth.model import Permission

_ORDERS = {"name": roles.c.name, "role_id": roles.c.id, "id": roles.c.id}


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """A role as it is stored."""

    id: int
    name: str
    permissions: tuple[Permission, ...] = field(repr=False)
    """In the order of their actions and then resources."""

    @property
    def etag(self) -> str:
        """Differs when the name or a permission differs."""
        return make_etag(self.id, self.name, [(pair.action, pair.resource) for pair in self.permissions])


async def get_role(auth: AuthManager, name: str) -> RoleInfo:
    """One role, by its exact name.

    Raises:
        NotFoundError: there is none.
        UnavailableError: 503.
    """

    async def work(session: AsyncSession) -> RoleInfo:
        connection = await session.connection()
        return (await read_roles(connection, {await get_role_id(connection, name): name}))[0]

    return await auth.read(work)


async def list_roles(
    auth: AuthManager, *, limit: int = 100, offset: int = 0, order_by: str = "name", search: str | None = None
) -> Page[RoleInfo]:
    """Roles in pages, ordered by name or role_id (or id); `-` in front turns it round. `search`: only roles with these
    words in their name, see `paging.containing`.

    Raises:
        InvalidValueError: the page is none.
        UnavailableError: the database did not answer.
    """
    where = containing(search, roles.c.name)
    every = select(roles.c.id, roles.c.name).where(*where)
    page = paged(every, limit=limit, offset=offset, order_by=order_by, columns=_ORDERS, last=roles.c.id)

    async def work(session: AsyncSession) -> Page[RoleInfo]:
        total = await session.scalar(select(func.count()).select_from(roles).where(*where))
        names = {row.id: row.name for row in await session.execute(page)}
        return Page(tuple(await read_roles(await session.connection(), names)), total or 0)

    return await auth.read(work)


async def list_role_names(
    auth: AuthManager, *, limit: int = 100, offset: int = 0, search: str | None = None
) -> Page[str]:
    """The names alone, in their order: without reading what each role permits. Arguments and errors of `list_roles`."""
    where = containing(search, roles.c.name)
    every = select(roles.c.name).where(*where)
    page = paged(every, limit=limit, offset=offset, order_by="name", columns=_ORDERS, last=roles.c.id)

    async def work(session: AsyncSession) -> Page[str]:
        total = await session.scalar(select(func.count()).select_from(roles).where(*where))
        return Page(tuple(await session.scalars(page)), total or 0)

    return await auth.read(work)


async def read_roles(connection: AsyncConnection, names: dict[int, str]) -> list[RoleInfo]:
    """Roles in the order of `names`: one statement, however many there are."""
    if not names:
        return []
    keys = await PermissionReader(connection.dialect.name).read(connection, list(names))
    return [
        RoleInfo(role_id, name, tuple(sorted(Permission(*key.split("\0")) for key in keys[role_id])))
        for role_id, name in names.items()
    ]


def words(pairs: Iterable[Permission]) -> list[list[str]]:
    """Permissions as the audit table holds them."""
    return [[pair.action, pair.resource] for pair in sorted(pairs)]
