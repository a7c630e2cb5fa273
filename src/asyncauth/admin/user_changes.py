"""Changing users, and ending them. Who holds which role: `holders.py`."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import delete, update

from asyncauth.admin.administrators import keep_administrator
from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.held import check_user
from asyncauth.admin.holders import set_roles, write_user
from asyncauth.admin.names import get_user_id, validate
from asyncauth.admin.paging import require_match
from asyncauth.admin.users import UserInfo, make_hash, read_user, require_free
from asyncauth.db.cutoffs import INACTIVE, LOGOUT, PASSWORD, count_cutoffs, insert_cutoff
from asyncauth.db.tables import group_users, user_roles, users
from asyncauth.manager import AuthManager
from asyncauth.model import Written
from asyncauth.tokens.cutoffs import DELETED

_TEXTS = {
    "username": ("the user name", 512),
    "email": ("the e-mail", 512),
    "first_name": ("the first name", 256),
    "last_name": ("the last name", 256),
}


async def update_user(
    auth: AuthManager,
    username: str,
    *,
    new_username: str | None = None,
    email: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    password: str | None = None,
    roles: Iterable[str] | None = None,
    active: bool | None = None,
    if_match: str | None = None,
    actor: Actor | None = None,
) -> Written[UserInfo]:
    """Change what is given of a user; None leaves as it is. `roles` are those that the user holds afterwards.

    A new password or `active=False` ends the user's tokens.

    Args:
        auth: the manager.
        username: whose, in any case.
        new_username, email, first_name, last_name, password, roles, active: what is to be changed.
        if_match: the ETag of what the caller has read; None: change it whatever it is now.
        actor: who asks; None: the system.

    Raises:
        InvalidValueError: a name or the password cannot be stored.
        NotFoundError: the user does not exist.
        UnknownRoleError: one of `roles` does not exist.
        TakenError: the user name (in any case) or the e-mail is in use.
        ChangedMeanwhileError: the user is not what `if_match` says.
        LastAdministratorError: nobody would be left who can manage the others.
        EscalationError: the user, or a role that is given or taken, holds more than the actor.
        UnavailableError: the hasher is busy or the database did not answer.
    """
    given = {"username": new_username, "email": email, "first_name": first_name, "last_name": last_name}
    values: dict[str, Any] = {name: _validate(name, value) for name, value in given.items() if value is not None}
    if active is not None:
        values["active"] = active
    password_hash = None if password is None else await make_hash(auth, password)
    wanted = _Wanted(values, password_hash, None if roles is None else frozenset(roles))
    return await change(auth, actor, partial(_update, username, wanted, if_match))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be changed of a user."""

    values: dict[str, Any] = field(repr=False)
    password_hash: str | None = field(repr=False)
    roles: frozenset[str] | None
    """Those that the user holds afterwards."""

    def differing(self, before: UserInfo) -> dict[str, Any]:
        """The columns to write; a password is always another one."""
        values = {name: value for name, value in self.values.items() if value != getattr(before, name)}
        return values if self.password_hash is None else {**values, "password": self.password_hash}

    @property
    def takes_rights(self) -> bool:
        """Whether fewer may be left who can manage the others."""
        return self.values.get("active") is False or self.roles is not None


async def _update(username: str, wanted: _Wanted, if_match: str | None, step: Change) -> UserInfo:
    user_id = await get_user_id(step.connection, username, lock=True)
    before = await read_user(step.connection, user_id)
    require_match(before.etag, if_match)
    values = wanted.differing(before)
    if values.keys() & {"username", "email", "password", "active"}:
        await check_user(step, user_id, before.username)
    await require_free(step.connection, username=values.get("username"), email=values.get("email"), but=user_id)
    async with keep_administrator(step, user_id) if wanted.takes_rights else nullcontext():
        roles_changed = wanted.roles is not None and await set_roles(step, user_id, before, wanted.roles)
        if values or roles_changed:
            async with ending_tokens(step, user_id, _reason(before, values)):
                await write_user(step, user_id, values)
    after = await read_user(step.connection, user_id)
    await _record_update(step, before, after, password="password" in values)
    return after


def _validate(name: str, value: str) -> str:
    """A name that may be stored; the first and the last one may be empty."""
    what, longest = _TEXTS[name]
    return validate(what, value, longest) if value or name in {"username", "email"} else ""


async def activate_user(
    auth: AuthManager, username: str, *, if_match: str | None = None, actor: Actor | None = None
) -> Written[UserInfo]:
    """Let a user log in again. Raises as `update_user`."""
    return await update_user(auth, username, active=True, if_match=if_match, actor=actor)


async def deactivate_user(
    auth: AuthManager, username: str, *, if_match: str | None = None, actor: Actor | None = None
) -> Written[UserInfo]:
    """Switch a user off, whose tokens end. Raises as `update_user`."""
    return await update_user(auth, username, active=False, if_match=if_match, actor=actor)


async def set_password(
    auth: AuthManager, username: str, password: str, *, if_match: str | None = None, actor: Actor | None = None
) -> Written[UserInfo]:
    """Give a user another password; the user's tokens end. Raises as `update_user`."""
    return await update_user(auth, username, password=password, if_match=if_match, actor=actor)


async def end_tokens(auth: AuthManager, username: str, *, actor: Actor | None = None) -> Written[None]:
    """Log a user out everywhere: tokens issued until now are refused. API keys stay.

    Raises:
        NotFoundError: the user does not exist.
        EscalationError: the user holds more than the actor.
        UnavailableError: the database did not answer.
    """

    async def work(step: Change) -> None:
        user_id = await get_user_id(step.connection, username)
        await check_user(step, user_id, username)
        await insert_cutoff(step.connection, user_id, step.now, LOGOUT)
        await step.record("end_tokens", "user", user_id, username)

    return await change(auth, actor, work)


async def delete_user(
    auth: AuthManager, username: str, *, if_match: str | None = None, actor: Actor | None = None
) -> Written[None]:
    """Delete a user, whose tokens and API keys end.

    Raises:
        NotFoundError, ChangedMeanwhileError, LastAdministratorError, EscalationError, UnavailableError: see
            `update_user`.
    """

    async def work(step: Change) -> None:
        user_id = await get_user_id(step.connection, username, lock=True)
        before = await read_user(step.connection, user_id)
        require_match(before.etag, if_match)
        await check_user(step, user_id, before.username)
        run = step.connection.execute
        async with keep_administrator(step, user_id), ending_tokens(step, user_id, DELETED):
            # As FAB does; databases of older releases have no cascades.
            await run(delete(user_roles).where(user_roles.c.user_id == user_id))
            await run(delete(group_users).where(group_users.c.user_id == user_id))
            for column in (users.c.created_by_fk, users.c.changed_by_fk):
                await run(update(users).where(column == user_id).values({column: None}))
            await run(delete(users).where(users.c.id == user_id))
        await step.record("delete", "user", user_id, before.username, before=_content(before))

    return await change(auth, actor, work)


def _reason(before: UserInfo, values: dict[str, Any]) -> str | None:
    """Why the user's tokens end: what the trigger would say."""
    if before.active and values.get("active") is False:
        return INACTIVE
    return PASSWORD if "password" in values else None


@asynccontextmanager
async def ending_tokens(step: Change, user_id: int, reason: str | None) -> AsyncIterator[None]:
    """Set a cut-off if the trigger that should have done so is missing."""
    if reason is None:
        yield
        return
    before = await count_cutoffs(step.connection, user_id, reason)
    yield
    if await count_cutoffs(step.connection, user_id, reason) == before:
        await insert_cutoff(step.connection, user_id, step.now, reason)


def _content(user: UserInfo) -> dict[str, Any]:
    names = ("username", "email", "first_name", "last_name", "active")
    return {**{name: getattr(user, name) for name in names}, "roles": sorted(user.roles)}


async def _record_update(step: Change, before: UserInfo, after: UserInfo, *, password: bool) -> None:
    old, new = _content(before), _content(after)
    changed = [name for name in old if old[name] != new[name]]
    secret = {"password": "changed"} if password else {}
    if changed or password:
        was, became = ({name: content[name] for name in changed} for content in (old, new))
        await step.record("update", "user", after.id, after.username, was, {**became, **secret})
