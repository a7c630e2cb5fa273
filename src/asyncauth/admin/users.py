"""Users."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.admin.names import find_user_id, get_role_id, validate
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import user_roles, users
from asyncauth.errors import InvalidValueError, TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import User, Written
from asyncauth.passwords import MAX_PASSWORD_BYTES, is_usable


async def create_user(
    auth: AuthManager,
    *,
    username: str,
    password: str,
    email: str,
    first_name: str = "",
    last_name: str = "",
    roles: Iterable[str] = (),
) -> Written[User]:
    """Create an active user who can log in.

    Raises:
        InvalidValueError: a name or the password cannot be stored.
        TakenError: the user name (in any case) or the e-mail is in use.
        NotFoundError: one of `roles` does not exist.
        UnavailableError: the hasher is busy or the database did not answer.
    """
    values = {
        "username": validate("the user name", username, 512),
        "email": validate("the e-mail", email, 512),
        "first_name": validate("the first name", first_name, 256) if first_name else "",
        "last_name": validate("the last name", last_name, 256) if last_name else "",
    }
    if not is_usable(password):
        raise InvalidValueError(f"the password is empty, not text, or longer than {MAX_PASSWORD_BYTES} bytes")
    password_hash = await auth.hash_password(password)
    role_names = sorted(set(roles))

    async def work(connection: AsyncConnection) -> int:
        await _require_free(connection, username, email)
        now = datetime.now()  # noqa: DTZ005 local time without a zone, as FAB writes it
        user_id = await insert_row(
            connection,
            users,
            **values,
            password=password_hash,
            active=True,
            login_count=0,
            fail_login_count=0,
            created_on=now,
            changed_on=now,
        )
        for name in role_names:
            role_id = await get_role_id(connection, name)
            await insert_row(connection, user_roles, user_id=user_id, role_id=role_id)
        return user_id

    written = await auth.write(work)
    return Written(await auth.get_user(written.value), written.token)


async def _require_free(connection: AsyncConnection, username: str, email: str) -> None:
    if await find_user_id(connection, username) is not None:
        raise TakenError(f"the user name `{username}` is taken")
    # By the database's own idea of equal, which the unique constraint has.
    if (await connection.execute(select(users.c.id).where(users.c.email == email))).first() is not None:
        raise TakenError(f"the e-mail `{email}` is taken")
