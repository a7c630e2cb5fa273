"""User name and password → user id, against the password hashes in the database."""

from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.db.engine import Database
from asyncauth.db.find import is_same_name, is_storable_name, same_name
from asyncauth.db.tables import users
from asyncauth.errors import LoginError
from asyncauth.passwords import PasswordHasher, is_usable

LoginRow: TypeAlias = "Row[int, str, str, str | None, bool | None]"
_NOBODY = 0
"""An id that no row has."""


async def authenticate(database: Database, hasher: PasswordHasher, username: str, password: str) -> int:
    """Check a password and note the login as FAB does. `username` is the name, in any case, or else the e-mail.

    Whoever does not exist, is inactive or has no hash costs the same statements and the same hashing as a wrong
    password, and gives the same error.

    Raises:
        LoginError: no.
        BusyError: too many logins at once.
        DatabaseUnavailableError: the database did not answer.
    """
    if not isinstance(username, str) or not isinstance(password, str) or not is_usable(password):
        raise LoginError("the password is empty, too long or not text")
    row = await _find(database, username)
    matches = await hasher.check(row.password if row is not None else None, password)
    if row is None or row.active is not True:
        await _note(database, _NOBODY, matches=False)
        raise LoginError("no active user of that name")
    await _note(database, row.id, matches=matches)
    if not matches:
        raise LoginError("wrong password")
    user_id: int = row.id
    return user_id


async def _find(database: Database, username: str) -> "LoginRow | None":
    columns = (users.c.id, users.c.username, users.c.email, users.c.password, users.c.active)
    # A name that no database can store is asked for all the same, as nobody's: every login runs the same statements.
    asked = username if is_storable_name(username) else ""
    statement = select(*columns).where(or_(same_name(database.dialect, asked), users.c.email == asked))

    async def work(session: AsyncSession) -> "list[LoginRow]":
        return list((await session.execute(statement)).all())

    rows = await database.read(work)
    # Compared again: collations of MariaDB and MySQL find "ádmin" when asked for "admin".
    by_name = [row for row in rows if is_same_name(row.username, username)]
    by_email = [row for row in rows if row.email == username]
    found = by_name if len(by_name) == 1 else by_email
    return found[0] if len(found) == 1 else None


async def _note(database: Database, user_id: int, *, matches: bool) -> None:
    """FAB's bookkeeping, in its own form: local time without a zone. Counted in the database: two logins at once both
    count."""
    values: dict[str, Any] = {"fail_login_count": func.coalesce(users.c.fail_login_count, 0) + 1}
    if matches:
        values["fail_login_count"] = 0
        values["login_count"] = func.coalesce(users.c.login_count, 0) + 1
        values["last_login"] = datetime.now()  # noqa: DTZ005

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(users).where(users.c.id == user_id).values(values))

    await database.write(work)
