"""A user name → the user's id."""

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.db.engine import Database
from asyncauth.db.tables import users
from asyncauth.errors import UserNotFoundError
from asyncauth.model import Match

MAX_NAME_LENGTH = 512


async def get_user_id(database: Database, username: str) -> int:
    """Look a user up by name, in any case as FAB does.

    Raises:
        UserNotFoundError: nobody has this name.
        DatabaseUnavailableError: the database did not answer.
    """
    statement = select(users.c.id, users.c.username).where(same_name(database.dialect, username))

    async def work(session: AsyncSession) -> list[int]:
        rows = await session.execute(statement)
        return [user_id for user_id, name in rows if is_same_name(name, username)]

    found = await database.read(work) if is_storable_name(username) else []
    if len(found) != 1:
        raise UserNotFoundError("no user, or more than one, has this name")
    return found[0]


async def get_user_id_exactly(database: Database, matches: Match, asked: str) -> int:
    """Look a user up by a name or an e-mail that somebody else vouches for: to the letter, case and accents too.

    Raises:
        UserNotFoundError: nobody has it, or more than one.
        DatabaseUnavailableError: the database did not answer.
    """
    column = users.c.email if matches == "email" else users.c.username
    condition = users.c.email == asked if matches == "email" else same_name(database.dialect, asked)
    statement = select(users.c.id, column).where(condition)

    async def work(session: AsyncSession) -> list[int]:
        # Compared again: collations fold case and accents.
        return [user_id for user_id, stored in await session.execute(statement) if stored == asked]

    found = await database.read(work) if is_storable_name(asked) else []
    if len(found) != 1:
        raise UserNotFoundError("no user, or more than one, has the name that the token gives")
    return found[0]


def same_name(dialect: str, username: str) -> ColumnElement[bool]:
    """A condition that an index serves. It finds every user of that name and, on MariaDB and MySQL, others whose names
    differ in accents: compare again with `is_same_name`."""
    if dialect == "postgresql":
        return func.lower(users.c.username) == func.lower(username)
    return users.c.username == username  # the column's collation ignores case


def is_same_name(stored: str, asked: str) -> bool:
    """Whether two names differ in nothing but case."""
    return stored.lower() == asked.lower()


def is_storable_name(name: str) -> bool:
    """Whether a database can hold the name at all: no NUL, no lone surrogate, not too long."""
    return name.isprintable() and len(name) <= MAX_NAME_LENGTH
