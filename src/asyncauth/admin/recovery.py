"""A forgotten password is replaced by whoever reads the user's e-mail.

The link's token is stored nowhere: it is a seal over the user, the time at which it ends, and the present hash of the
password. So it is good for one new password only, which makes it another hash, and ends with any other change of it.
"""

import base64
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.holders import write_user
from asyncauth.admin.self_service import LinkError, Message, SelfService
from asyncauth.admin.user_changes import ending_tokens
from asyncauth.admin.users import make_hash
from asyncauth.db.cutoffs import PASSWORD
from asyncauth.db.find import is_storable_name
from asyncauth.db.tables import users
from asyncauth.manager import AuthManager
from asyncauth.model import Written
from asyncauth.tokens.seals import SEAL_BYTES

_PURPOSE = b"asyncauth forgotten password"
_MAX_TOKEN_LENGTH = 200
_COLUMNS: tuple[ColumnElement[Any], ...] = (
    users.c.id,
    users.c.username,
    users.c.email,
    users.c.password,
    users.c.active,
)


async def ask_reset(auth: AuthManager, service: SelfService, email: str) -> Message | None:
    """What is to be sent to the user of that e-mail, in any case; None: nothing, as nobody active has it, or another
    system keeps the password (LDAP, OAuth).

    Raises:
        UnavailableError: the hasher is busy or the database did not answer.
    """
    found = await auth.read(lambda session: _find_by_email(session, email))
    stored = None if found is None else found.password
    # FAB stores the hash of an empty password where another system has it. Found out for nobody as well: it takes time.
    elsewhere = await auth.check_password(stored, "")
    if found is None or found.active is not True or stored is None or elsewhere:
        return None
    expires_at = int(auth.now()) + service.recovery_seconds
    head = f"{found.id}.{expires_at}".encode()
    seal = auth.make_seals(_PURPOSE).make(_content(head, found))
    token = base64.urlsafe_b64encode(seal + head).decode().rstrip("=")
    # To the stored e-mail: what was typed may be another that only looks alike.
    return service.message("reset", found.email, found.username, token)


async def reset_password(auth: AuthManager, token: str, password: str, address: str | None = None) -> Written[None]:
    """Give the user of the link another password; the user's tokens end.

    Args:
        auth: the manager.
        token: of the link.
        password: the new one.
        address: where this comes from, for the audit table.

    Raises:
        LinkError: see there.
        InvalidValueError: the password cannot be stored.
        UnavailableError: the hasher is busy or the database did not answer.
    """
    user_id = _parse(token, auth.now())
    found = await auth.read(lambda session: _find_by_id(session, user_id))
    _check(auth, token, found)  # before the work of hashing is done for anybody
    password_hash = await make_hash(auth, password)

    async def work(step: Change) -> None:
        row = select(*_COLUMNS).where(users.c.id == user_id).with_for_update()
        user = _check(auth, token, (await step.connection.execute(row)).first())
        async with ending_tokens(step, user_id, PASSWORD):
            await write_user(step, user_id, {"password": password_hash})
        await step.record("reset_password", "user", user_id, user.username, {}, {"password": "changed"})

    return await change(auth, Actor(None, "a link in an e-mail", address), work)


async def _find_by_email(session: AsyncSession, email: str) -> "Row[Any] | None":
    if not is_storable_name(email) or not email:
        return None
    rows = (await session.execute(select(*_COLUMNS).where(func.lower(users.c.email) == func.lower(email)))).all()
    exact = [row for row in rows if row.email == email]
    alike = exact or [row for row in rows if row.email.lower() == email.lower()]
    return alike[0] if len(alike) == 1 else None


async def _find_by_id(session: AsyncSession, user_id: int) -> "Row[Any] | None":
    return (await session.execute(select(*_COLUMNS).where(users.c.id == user_id))).first()


def _parse(token: str, now: float) -> int:
    """The id of the user whom the link is about, if it is not too old. Nothing of it is proven yet."""
    try:
        user_id, expires_at = (int(part) for part in _decode(token)[SEAL_BYTES:].split(b".", 1))
    except ValueError:
        raise LinkError from None
    if not (0 < user_id < 2**31 and now < expires_at):
        raise LinkError
    return user_id


def _check(auth: AuthManager, token: str, found: "Row[Any] | None") -> "Row[Any]":
    raw = _decode(token)
    if found is None or found.active is not True or found.password is None:
        raise LinkError
    if not auth.make_seals(_PURPOSE).fits(raw[:SEAL_BYTES], _content(raw[SEAL_BYTES:], found)):
        raise LinkError
    return found


def _decode(token: str) -> bytes:
    if len(token) > _MAX_TOKEN_LENGTH:
        raise LinkError
    try:
        return base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise LinkError from None


def _content(head: bytes, user: "Row[Any]") -> bytes:
    return b"\0".join([head, user.email.encode(), (user.password or "").encode()])
