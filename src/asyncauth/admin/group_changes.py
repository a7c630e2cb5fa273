"""Who is in a group, and which roles it carries."""

from contextlib import nullcontext
from typing import Any

from sqlalchemy import delete, select

from asyncauth.admin.administrators import keep_administrator
from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.groups import read_carried, read_group
from asyncauth.admin.held import check_roles
from asyncauth.admin.names import get_group_id, get_role_id, get_user_id
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import group_roles, group_users
from asyncauth.manager import AuthManager
from asyncauth.model import Written


async def add_member(auth: AuthManager, *, group: str, username: str, actor: Actor | None = None) -> Written[None]:
    """Put a user into a group; no error if the user is in it.

    Raises:
        NotFoundError: the group or the user does not exist.
        EscalationError: the group's roles hold more than the actor.
        UnavailableError: the database did not answer.
    """
    return await _move(auth, group, username, actor, add=True)


async def remove_member(auth: AuthManager, *, group: str, username: str, actor: Actor | None = None) -> Written[None]:
    """Take a user out of a group; no error if the user is not in it.

    Raises:
        LastAdministratorError: nobody would be left who can manage the others.
        NotFoundError, EscalationError, UnavailableError: see `add_member`.
    """
    return await _move(auth, group, username, actor, add=False)


async def grant_group_role(auth: AuthManager, *, group: str, role: str, actor: Actor | None = None) -> Written[None]:
    """Let a group carry a role; no error if it does.

    Raises:
        NotFoundError: the group or the role does not exist.
        EscalationError: the role holds more than the actor.
        UnavailableError: the database did not answer.
    """
    return await _carry(auth, group, role, actor, add=True)


async def take_group_role(auth: AuthManager, *, group: str, role: str, actor: Actor | None = None) -> Written[None]:
    """Take a role from a group; no error if it does not carry it.

    Raises:
        LastAdministratorError: nobody would be left who can manage the others.
        NotFoundError, EscalationError, UnavailableError: see `grant_group_role`.
    """
    return await _carry(auth, group, role, actor, add=False)


async def _move(auth: AuthManager, group: str, username: str, actor: Actor | None, *, add: bool) -> Written[None]:
    async def work(step: Change) -> None:
        group_id = await get_group_id(step.connection, group, lock=True)
        user_id = await get_user_id(step.connection, username)
        await check_roles(step, await read_carried(step.connection, group_id))
        if await _link(step, group_users, {"user_id": user_id, "group_id": group_id}, add=add):
            what = "add_member" if add else "remove_member"
            members = {"member": None}, {"member": username}
            await step.record(what, "group", group_id, group, *(members if add else members[::-1]))

    return await change(auth, actor, work)


async def _carry(auth: AuthManager, group: str, role: str, actor: Actor | None, *, add: bool) -> Written[None]:
    async def work(step: Change) -> None:
        group_id = await get_group_id(step.connection, group, lock=True)
        role_id = await get_role_id(step.connection, role)
        await check_roles(step, [role_id])
        before = await read_group(step.connection, group_id)
        if await _link(step, group_roles, {"group_id": group_id, "role_id": role_id}, add=add):
            after = await read_group(step.connection, group_id)
            held = {"roles": list(before.roles)}, {"roles": list(after.roles)}
            await step.record("grant_role" if add else "take_role", "group", group_id, group, *held)

    return await change(auth, actor, work)


async def _link(step: Change, table: Any, values: dict[str, int], *, add: bool) -> bool:
    """Make that row be there or not; whether that changed anything."""
    same = [table.c[name] == value for name, value in values.items()]
    there = (await step.connection.execute(select(table.c.id).where(*same))).first() is not None
    if there is add:
        return False
    if add:
        await insert_row(step.connection, table, **values)
        return True
    async with keep_administrator(step, values.get("user_id")) if step.group_roles else nullcontext():
        await step.connection.execute(delete(table).where(*same))
    return True
