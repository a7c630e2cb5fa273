"""Making, changing and deleting roles, with what they permit as a whole."""

from collections.abc import Collection, Iterable
from contextlib import nullcontext
from typing import Any

from sqlalchemy import delete, update

from asyncauth.admin.administrators import keep_administrator
from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.held import check_keys, check_roles
from asyncauth.admin.names import find_id, get_role_id, validate
from asyncauth.admin.paging import require_match
from asyncauth.admin.pairs import find_pairs, get_or_make_pairs, grant_pairs, keys_of, parse_pairs, take_pairs
from asyncauth.admin.roles import RoleInfo, read_roles, words
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import group_roles, role_permissions, roles, user_roles
from asyncauth.errors import TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import Permission, Role, Written

Pairs = Iterable[tuple[str, str] | Permission]


async def create_role(
    auth: AuthManager, name: str, permissions: Pairs = (), *, new_names: bool = False, actor: Actor | None = None
) -> Written[Role]:
    """Create a role.

    Args:
        auth: the manager.
        name: of the role.
        permissions: (action, resource) pairs that it holds.
        new_names: whether actions and resources that are not stored yet are stored on the way.
        actor: who asks; None: the system.

    Raises:
        InvalidValueError: a name cannot be stored.
        TakenError: the name is in use.
        UnknownPermissionError: an action or a resource is not stored, and `new_names` is off.
        EscalationError: the permissions are more than the actor holds.
        UnavailableError: the database did not answer.
    """
    validate("the role name", name, 64)
    pairs = parse_pairs(permissions)

    async def work(step: Change) -> int:
        if await find_id(step.connection, roles, name) is not None:
            raise TakenError(f"the role name `{name}` is taken")
        await check_keys(step, keys_of(pairs))
        role_id = await insert_row(step.connection, roles, name=name)
        ids = await get_or_make_pairs(step.connection, pairs, new_names=new_names)
        await grant_pairs(step.connection, role_id, ids.values())
        await step.record("create", "role", role_id, name, after={"name": name, "permissions": words(pairs)})
        return role_id

    written = await change(auth, actor, work)
    return Written(Role(written.value, name, keys_of(pairs)), written.token)


async def update_role(
    auth: AuthManager,
    name: str,
    *,
    new_name: str | None = None,
    permissions: Pairs | None = None,
    new_names: bool = False,
    if_match: str | None = None,
    actor: Actor | None = None,
) -> Written[RoleInfo]:
    """Rename a role, or make its permissions exactly these, or both; None leaves as it is.

    Args:
        auth: the manager.
        name: the exact name that it has.
        new_name: the one that it gets.
        permissions: (action, resource) pairs that it holds afterwards.
        new_names: see `create_role`.
        if_match: the ETag of what the caller has read; None: change it whatever it is now.
        actor: who asks; None: the system.

    Raises:
        NotFoundError: the role does not exist.
        ChangedMeanwhileError: the role is not what `if_match` says.
        LastAdministratorError: it is the role of administrators, and somebody holds it: it keeps its name.
        InvalidValueError, TakenError, UnknownPermissionError, EscalationError, UnavailableError: see `create_role`.
    """
    if new_name is not None:
        validate("the role name", new_name, 64)
    pairs = None if permissions is None else parse_pairs(permissions)

    async def work(step: Change) -> RoleInfo:
        before = await _lock_role(step, name, if_match)
        after = RoleInfo(
            before.id,
            before.name if new_name is None else new_name,
            before.permissions if pairs is None else tuple(sorted(pairs)),
        )
        if after.name != before.name:
            await _rename(step, before, after.name)
        granted, taken = (
            set(one.permissions) - set(other.permissions) for one, other in ((after, before), (before, after))
        )
        await check_keys(step, keys_of(granted | taken))
        ids = await get_or_make_pairs(step.connection, granted, new_names=new_names)
        await grant_pairs(step.connection, before.id, [ids[pair] for pair in granted])
        await take_pairs(step.connection, before.id, (await find_pairs(step.connection, taken)).values())
        await _record_update(step, before, after, granted, taken)
        return after

    return await change(auth, actor, work)


async def delete_role(
    auth: AuthManager, name: str, *, if_match: str | None = None, actor: Actor | None = None
) -> Written[None]:
    """Delete a role; nobody holds it any more.

    Raises:
        NotFoundError, ChangedMeanwhileError, LastAdministratorError, EscalationError, UnavailableError: see
            `update_role`.
    """

    async def work(step: Change) -> None:
        before = await _lock_role(step, name, if_match)
        await check_roles(step, [before.id])
        async with keep_administrator(step) if before.name == step.admin_role else nullcontext():
            for table in (role_permissions, user_roles, group_roles):  # as FAB does: older releases have no cascades
                await step.connection.execute(delete(table).where(table.c.role_id == before.id))
            await step.connection.execute(delete(roles).where(roles.c.id == before.id))
        content = {"name": before.name, "permissions": words(before.permissions)}
        await step.record("delete", "role", before.id, before.name, before=content)

    return await change(auth, actor, work)


async def _lock_role(step: Change, name: str, if_match: str | None) -> RoleInfo:
    """The role, of whose permissions none can be granted by other programs until the transaction ends."""
    role_id = await get_role_id(step.connection, name, lock=True)
    before = (await read_roles(step.connection, {role_id: name}))[0]
    require_match(before.etag, if_match)
    return before


async def _rename(step: Change, before: RoleInfo, name: str) -> None:
    if await find_id(step.connection, roles, name) is not None:
        raise TakenError(f"the role name `{name}` is taken")
    async with keep_administrator(step) if before.name == step.admin_role else nullcontext():
        await step.connection.execute(update(roles).where(roles.c.id == before.id).values(name=name))


async def _record_update(
    step: Change, before: RoleInfo, after: RoleInfo, granted: Collection[Permission], taken: Collection[Permission]
) -> None:
    was: dict[str, Any] = {}
    became: dict[str, Any] = {}
    if before.name != after.name:
        was["name"], became["name"] = before.name, after.name
    if granted or taken:
        was["permissions"], became["permissions"] = words(taken), words(granted)
    if was:
        await step.record("update", "role", after.id, after.name, was, became)
