"""People register themselves: a row in FAB's `ab_register_user`, which becomes a user when the e-mail is confirmed."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.admin.change import Change, change, local_now
from asyncauth.admin.names import find_user_id, validate
from asyncauth.admin.self_service import LinkError, Message, SelfService
from asyncauth.admin.users import insert_user, make_hash
from asyncauth.db.find import is_same_name
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import registrations, users
from asyncauth.errors import TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import User, Written

_DIGEST_LENGTH = 64
_NAMES = ("username", "email", "first_name", "last_name")


async def register(
    auth: AuthManager,
    service: SelfService,
    *,
    username: str,
    password: str,
    email: str,
    first_name: str = "",
    last_name: str = "",
) -> Message:
    """Keep what somebody registers with until they confirm their e-mail. A former registration with the same e-mail is
    replaced, so its link ends.

    Returns what is to be sent: it differs for an e-mail that has an account, the answer to the caller must not.

    Raises:
        InvalidValueError: a name or the password cannot be stored.
        TakenError: the user name is in use, or somebody registers with it just now.
        UnavailableError: the hasher is busy or the database did not answer.
    """
    values = {
        "username": validate("the user name", username, 512),
        "email": validate("the e-mail", email, 512),
        "first_name": validate("the first name", first_name, 256) if first_name else "",
        "last_name": validate("the last name", last_name, 256) if last_name else "",
    }
    password_hash = await make_hash(auth, password)
    token = f"{int(auth.now()) + service.registration_seconds}.{secrets.token_urlsafe(32)}"

    async def work(step: Change) -> Message:
        await _forget_old(step.connection, service)
        await _require_free(step.connection, username, email)
        same_email = func.lower(users.c.email) == func.lower(email)
        known = (await step.connection.execute(select(users.c.username, users.c.email).where(same_email))).first()
        if known is not None:
            return service.message("known", known.email, known.username)
        await step.connection.execute(delete(registrations).where(registrations.c.email == email))
        own = {"password": password_hash, "registration_date": local_now(), "registration_hash": _digest(token)}
        await insert_row(step.connection, registrations, **values, **own)
        return service.message("confirm", email, username, token)

    return (await change(auth, None, work)).value


async def confirm_registration(auth: AuthManager, service: SelfService, token: str, password: str) -> Written[User]:
    """Make the user who registered. The password is asked for again: else somebody who registered with another's e-mail
    would wait for them to follow the link, and then have an account in their name.

    Raises:
        LinkError: the link, or the password, is not that of a registration.
        TakenError: the name or the e-mail was taken meanwhile.
        UnknownRoleError: the roles of `service` do not exist.
        UnavailableError: the hasher is busy or the database did not answer.
    """
    found = await auth.read(lambda session: _find(session, token, auth.now()))
    matches = await auth.check_password(None if found is None else found.password, password)
    if found is None or not matches:
        raise LinkError("the link or the password is not that of a registration")
    registered: Row[Any] = found

    async def work(step: Change) -> int:
        own = registrations.c.id == registered.id, registrations.c.registration_hash == _digest(token)
        if (await step.connection.execute(delete(registrations).where(*own))).rowcount != 1:
            raise LinkError
        values = {name: getattr(registered, name) for name in _NAMES}
        return await insert_user(step, values, registered.password, service.roles)

    written = await change(auth, None, work)
    return Written(await auth.get_user(written.value), written.token)


async def _find(session: AsyncSession, token: str, now: float) -> "Row[Any] | None":
    expires_at = token.partition(".")[0]
    if not (expires_at.isascii() and expires_at.isdigit() and len(expires_at) < 12 and now < int(expires_at)):
        return None
    own = registrations.c.registration_hash == _digest(token)
    return (await session.execute(select(registrations).where(own))).first()


async def _require_free(connection: AsyncConnection, username: str, email: str) -> None:
    if await find_user_id(connection, username) is not None:
        raise TakenError(f"the user name `{username}` is taken")
    alike = select(registrations.c.username, registrations.c.email).where(
        or_(registrations.c.username == username, func.lower(registrations.c.username) == func.lower(username))
    )
    for row in await connection.execute(alike):
        if is_same_name(row.username, username) and row.email != email:
            raise TakenError(f"the user name `{username}` is taken")


async def _forget_old(connection: AsyncConnection, service: SelfService) -> None:
    oldest = local_now() - timedelta(seconds=service.registration_seconds)
    ours = func.length(registrations.c.registration_hash) == _DIGEST_LENGTH  # FAB's are shorter, and have no end
    await connection.execute(delete(registrations).where(registrations.c.registration_date < oldest, ours))


def _digest(token: str) -> str:
    """What is stored: who reads the database cannot confirm for others."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
