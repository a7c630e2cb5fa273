"""User name and password → user id, against the password hashes in the database."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.db.cutoffs import latest_cutoff, upgrade_hash
from asyncauth.db.engine import Database
from asyncauth.db.find import is_same_name, is_storable_name, same_name
from asyncauth.db.tables import users
from asyncauth.errors import BusyError, LoginError
from asyncauth.hasher import PasswordHasher
from asyncauth.passwords import is_usable

LoginRow: TypeAlias = "Row[int, str, str, str | None, bool | None, int]"
_ATTEMPTS = 2
_NOBODY = 0
"""An id that no row has."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who has logged in, and what tokens of this login carry as `iat` (seconds since the epoch)."""

    user_id: int
    issued_at: int


async def authenticate(
    database: Database, hasher: PasswordHasher, username: str, password: str, now: Callable[[], float]
) -> Login:
    """Check a password and note the login as FAB does. `username` is the name, in any case, or else the e-mail.

    Whoever does not exist, is inactive or has no hash costs the same statements and the same hashing as a wrong
    password, and gives the same error.

    A hash that is weaker than new ones are is replaced, in the transaction of the note. If somebody else changes it
    meanwhile (another login's upgrade, for one), the password is checked once more, against the new one.

    INVARIANT: no login outlives a change that ends it. Who changes the password or `active` after the note is taken
    leaves a cut-off that is not earlier than `issued_at`, which is read before; who does so before it makes the note
    find no row.

    Raises:
        LoginError: no.
        BusyError: too many logins at once.
        DatabaseUnavailableError: the database did not answer.
    """
    if not isinstance(username, str) or not isinstance(password, str) or not is_usable(password):
        raise LoginError("the password is empty, too long or not text")
    for _ in range(_ATTEMPTS):
        row = await _require_match(database, hasher, username, password)
        better = await _better_hash(hasher, row.password, password)
        # In the second of a cut-off the next one is taken, as an `iat` at a cut-off or before it is refused.
        login = Login(row.id, max(int(now()), row.cutoff + 1))
        if await _note_success(database, row, better):
            return login
    raise LoginError("the password or the user was changed meanwhile")


async def _require_match(database: Database, hasher: PasswordHasher, username: str, password: str) -> "LoginRow":
    row = await _find(database, username)
    matches = await hasher.check(row.password if row is not None else None, password)
    if row is None or row.active is not True:
        await _note_failure(database, _NOBODY)
        raise LoginError("no active user of that name")
    if not matches:
        await _note_failure(database, row.id)
        raise LoginError("wrong password")
    return row


async def _better_hash(hasher: PasswordHasher, stored: str | None, password: str) -> str | None:
    """Made before the transaction, which would hold the user's row meanwhile. None: no need, or no time."""
    if hasher.is_weak(stored):
        with contextlib.suppress(BusyError):
            return await hasher.make(password)
    return None


async def _find(database: Database, username: str) -> "LoginRow | None":
    columns = (users.c.id, users.c.username, users.c.email, users.c.password, users.c.active)
    latest = latest_cutoff().label("cutoff")
    # A name that no database can store is asked for all the same, as nobody's: every login runs the same statements.
    asked = username if is_storable_name(username) else ""
    statement = select(*columns, latest).where(or_(same_name(database.dialect, asked), users.c.email == asked))

    async def work(session: AsyncSession) -> "list[LoginRow]":
        return list((await session.execute(statement)).all())

    rows = await database.read(work)
    # Compared again: collations of MariaDB and MySQL find "ádmin" when asked for "admin".
    by_name = [row for row in rows if is_same_name(row.username, username)]
    by_email = [row for row in rows if row.email == username]
    found = by_name if len(by_name) == 1 else by_email
    return found[0] if len(found) == 1 else None


# FAB's bookkeeping, in its own form: local time without a zone. Counted in the database: two logins at once both count.


async def _note_failure(database: Database, user_id: int) -> None:
    values = {"fail_login_count": func.coalesce(users.c.fail_login_count, 0) + 1}

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(users).where(users.c.id == user_id).values(values))

    await database.write(work)


async def _note_success(database: Database, row: "LoginRow", better: str | None) -> bool:
    """False: it is not the user any more who was found, with that hash and active."""
    same = users.c.id == row.id, users.c.password == row.password, users.c.active.is_(True)
    values: dict[str, Any] = {
        "fail_login_count": 0,
        "login_count": func.coalesce(users.c.login_count, 0) + 1,
        "last_login": datetime.now(),  # noqa: DTZ005
    }

    async def work(connection: AsyncConnection) -> bool:
        noted = (await connection.execute(update(users).where(*same).values(values))).rowcount == 1
        if noted and better is not None and row.password is not None:
            await upgrade_hash(connection, row.id, row.password, better)
        return noted

    return await database.write(work)
