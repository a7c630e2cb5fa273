"""Single permissions: giving them to roles, storing and deleting them."""

from collections.abc import Iterable

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.held import check_keys
from asyncauth.admin.names import get_role_id
from asyncauth.admin.paging import Page, containing, paged
from asyncauth.admin.pairs import find_pairs, get_or_make_pairs, grant_pairs, keys_of, parse_pairs, take_pairs
from asyncauth.admin.roles import words
from asyncauth.db.tables import actions, permissions, resources, role_permissions
from asyncauth.errors import InUseError, NotFoundError
from asyncauth.manager import AuthManager
from asyncauth.model import Permission, Written

_ORDERS = {
    "id": permissions.c.id,
    "action_id": permissions.c.permission_id,
    "resource_id": permissions.c.view_menu_id,
    "action": actions.c.name,
    "resource": resources.c.name,
}
_EVERY = (
    select(actions.c.name.label("action"), resources.c.name.label("resource"))
    .join_from(permissions, actions, permissions.c.permission_id == actions.c.id)
    .join(resources, permissions.c.view_menu_id == resources.c.id)
)


async def list_permissions(
    auth: AuthManager, *, limit: int = 100, offset: int = 0, order_by: str = "id", search: str | None = None
) -> Page[Permission]:
    """Stored permissions in pages, ordered by id, action_id, resource_id, action or resource; `-` in front turns it
    round. `search`: only those with these words in their action or resource, see `paging.containing`.

    Raises:
        InvalidValueError: the page is none.
        UnavailableError: the database did not answer.
    """
    where = containing(search, actions.c.name, resources.c.name)
    every = _EVERY.where(*where)
    page = paged(every, limit=limit, offset=offset, order_by=order_by, columns=_ORDERS, last=permissions.c.id)

    async def work(session: AsyncSession) -> Page[Permission]:
        # Where nothing is searched, without the joins: they take longer than all else.
        counted = every.subquery() if where else permissions
        total = await session.scalar(select(func.count()).select_from(counted))
        rows = await session.execute(page)
        return Page(tuple(Permission(row.action, row.resource) for row in rows), total or 0)

    return await auth.read(work)


async def grant_permission(
    auth: AuthManager, *, role: str, action: str, resource: str, actor: Actor | None = None
) -> Written[None]:
    """Let a role do `action` on `resource`; no error if it may already. New names are stored on the way.

    Raises:
        InvalidValueError: a name cannot be stored.
        NotFoundError: the role does not exist.
        EscalationError: the actor does not hold it.
        TakenError: another program stored the same names in this moment; do it again.
        UnavailableError: the database did not answer.
    """
    return await grant_permissions(auth, role=role, permissions=[(action, resource)], new_names=True, actor=actor)


async def grant_permissions(
    auth: AuthManager,
    *,
    role: str,
    permissions: Iterable[tuple[str, str] | Permission],
    new_names: bool = False,
    actor: Actor | None = None,
) -> Written[None]:
    """The same for several (action, resource) pairs at once, all or none.

    Raises:
        UnknownPermissionError: an action or a resource is not stored, and `new_names` is off.
        InvalidValueError, NotFoundError, EscalationError, TakenError, UnavailableError: see `grant_permission`.
    """
    pairs = parse_pairs(permissions)

    async def work(step: Change) -> None:
        role_id = await get_role_id(step.connection, role, lock=True)
        await check_keys(step, keys_of(pairs))
        ids = await get_or_make_pairs(step.connection, pairs, new_names=new_names)
        held = await _held(step, role_id, ids)
        granted = pairs - held
        await grant_pairs(step.connection, role_id, [ids[pair] for pair in granted])
        if granted:
            after = {"permissions": words(granted)}
            await step.record("grant_permission", "role", role_id, role, {"permissions": []}, after)

    return await change(auth, actor, work)


async def take_permission(
    auth: AuthManager, *, role: str, action: str, resource: str, actor: Actor | None = None
) -> Written[None]:
    """Take a permission from a role; no error if the role does not hold it.

    Raises:
        NotFoundError: the role does not exist.
        EscalationError: the actor does not hold it.
        UnavailableError: the database did not answer.
    """
    return await take_permissions(auth, role=role, permissions=[(action, resource)], actor=actor)


async def take_permissions(
    auth: AuthManager,
    *,
    role: str,
    permissions: Iterable[tuple[str, str] | Permission],
    actor: Actor | None = None,
) -> Written[None]:
    """The same for several (action, resource) pairs at once, all or none. Raises as `take_permission`."""
    pairs = frozenset(pair if isinstance(pair, Permission) else Permission(*pair) for pair in permissions)

    async def work(step: Change) -> None:
        role_id = await get_role_id(step.connection, role, lock=True)
        ids = await find_pairs(step.connection, pairs)
        taken = await _held(step, role_id, ids)
        await check_keys(step, keys_of(taken))
        await take_pairs(step.connection, role_id, [ids[pair] for pair in taken])
        if taken:
            before = {"permissions": words(taken)}
            await step.record("take_permission", "role", role_id, role, before, {"permissions": []})

    return await change(auth, actor, work)


async def create_permissions(
    auth: AuthManager, permissions: Iterable[tuple[str, str] | Permission], *, actor: Actor | None = None
) -> Written[int]:
    """Store (action, resource) pairs that no role has to hold; returns how many are new.

    Raises:
        InvalidValueError: a name cannot be stored.
        TakenError: another program stored the same in this moment, or the database takes two names for the same.
        UnavailableError: the database did not answer.
    """
    pairs = parse_pairs(permissions)

    async def work(step: Change) -> int:
        new = pairs - (await find_pairs(step.connection, pairs)).keys()
        ids = await get_or_make_pairs(step.connection, pairs, new_names=True)
        for pair in sorted(new):
            await step.record("create", "permission", ids[pair], f"{pair.action} on {pair.resource}")
        return len(new)

    return await change(auth, actor, work)


async def delete_permission(
    auth: AuthManager, *, action: str, resource: str, actor: Actor | None = None
) -> Written[None]:
    """Delete a stored permission that no role holds.

    Raises:
        NotFoundError: it is not stored.
        InUseError: a role holds it.
        UnavailableError: the database did not answer.
    """
    pair = Permission(action, resource)

    async def work(step: Change) -> None:
        permission_id = (await find_pairs(step.connection, [pair])).get(pair)
        if permission_id is None:
            raise NotFoundError(f"permission `{action}` on `{resource}` does not exist")
        # Locked, so that nobody links to it: deleting it would take the link away without a word. Read with a lock: on
        # MariaDB and MySQL a plain read would show the state from before the wait.
        row = select(permissions.c.id).where(permissions.c.id == permission_id)
        await step.connection.execute(row.with_for_update())
        links = select(role_permissions.c.id).where(role_permissions.c.permission_view_id == permission_id)
        if (await step.connection.execute(links.limit(1).with_for_update())).first() is not None:
            raise InUseError(f"a role holds `{action}` on `{resource}`: take it away first")
        await step.connection.execute(delete(permissions).where(permissions.c.id == permission_id))
        await step.record("delete", "permission", permission_id, f"{action} on {resource}")

    return await change(auth, actor, work)


async def _held(step: Change, role_id: int, ids: dict[Permission, int]) -> frozenset[Permission]:
    of_role = select(role_permissions.c.permission_view_id).where(role_permissions.c.role_id == role_id)
    held = set((await step.connection.execute(of_role)).scalars())
    return frozenset(pair for pair, permission_id in ids.items() if permission_id in held)
