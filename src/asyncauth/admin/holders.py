"""Who holds which role."""

from collections.abc import Collection
from contextlib import nullcontext
from typing import Any

from sqlalchemy import delete, update

from asyncauth.admin.administrators import keep_administrator
from asyncauth.admin.change import Actor, Change, change, local_now
from asyncauth.admin.held import check_roles
from asyncauth.admin.names import get_role_id, get_role_ids, get_user_id
from asyncauth.admin.users import UserInfo, read_user
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import user_roles, users
from asyncauth.manager import AuthManager
from asyncauth.model import Written


async def grant_role(auth: AuthManager, *, username: str, role: str, actor: Actor | None = None) -> Written[None]:
    """Give a user a role; no error if the user holds it.

    Raises:
        NotFoundError: the user or the role does not exist.
        EscalationError: the role holds more than the actor.
        UnavailableError: the database did not answer.
    """
    return await _grant_or_take(auth, username, role, actor, grant=True)


async def take_role(auth: AuthManager, *, username: str, role: str, actor: Actor | None = None) -> Written[None]:
    """Take a role from a user; no error if the user does not hold it.

    Raises:
        NotFoundError: the user or the role does not exist.
        LastAdministratorError: nobody would be left who can manage the others.
        EscalationError: the role holds more than the actor.
        UnavailableError: the database did not answer.
    """
    return await _grant_or_take(auth, username, role, actor, grant=False)


async def _grant_or_take(
    auth: AuthManager, username: str, role: str, actor: Actor | None, *, grant: bool
) -> Written[None]:
    async def work(step: Change) -> None:
        user_id = await get_user_id(step.connection, username, lock=True)
        await get_role_id(step.connection, role)
        before = await read_user(step.connection, user_id)
        if grant is (role in before.roles):
            return
        names = {*before.roles, role} if grant else {*before.roles} - {role}
        async with keep_administrator(step, user_id) if not grant else nullcontext():
            await set_roles(step, user_id, before, names)
            await write_user(step, user_id, {})
        what = "grant_role" if grant else "take_role"
        held = {"roles": sorted(before.roles)}, {"roles": sorted(names)}
        await step.record(what, "user", user_id, before.username, *held)

    return await change(auth, actor, work)


async def set_roles(step: Change, user_id: int, before: UserInfo, names: Collection[str]) -> bool:
    """Make these the user's roles; whether that changed anything."""
    granted = await get_role_ids(step.connection, set(names) - set(before.roles))
    taken = await get_role_ids(step.connection, set(before.roles) - set(names))
    await check_roles(step, {*granted.values(), *taken.values()})
    if taken:
        held = user_roles.c.user_id == user_id, user_roles.c.role_id.in_(taken.values())
        await step.connection.execute(delete(user_roles).where(*held))
    for role_id in granted.values():
        await insert_row(step.connection, user_roles, user_id=user_id, role_id=role_id)
    return bool(granted or taken)


async def write_user(step: Change, user_id: int, values: dict[str, Any]) -> None:
    """Change a user's row, and note that and by whom, as FAB does."""
    stamps: dict[str, Any] = {"changed_on": local_now()}
    if step.actor_id is not None:
        stamps["changed_by_fk"] = step.actor_id
    await step.connection.execute(update(users).where(users.c.id == user_id).values(**values, **stamps))
