"""What a name may be, and rows by name."""

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.find import is_same_name, same_name
from asyncauth.db.tables import roles, users
from asyncauth.errors import InvalidValueError, NotFoundError


def validate(what: str, value: str, max_length: int) -> str:
    """Return `value` if every database can store it.

    Raises:
        InvalidValueError: it is empty, too long or holds control characters.
    """
    if not value or not value.strip():
        raise InvalidValueError(f"{what} is empty")
    if len(value) > max_length:
        raise InvalidValueError(f"{what} is longer than {max_length} characters")
    if not value.isprintable():
        raise InvalidValueError(f"{what} holds control or unpaired characters")
    return value


async def find_id(connection: AsyncConnection, table: Table, name: str) -> int | None:
    """The id of the row of that exact name: compared again, since collations of MariaDB and MySQL fold case."""
    rows = await connection.execute(select(table.c.id, table.c.name).where(table.c.name == name))
    return next((row.id for row in rows if row.name == name), None)


async def get_role_id(connection: AsyncConnection, name: str) -> int:
    """The id of a role. Raises NotFoundError."""
    role_id = await find_id(connection, roles, name)
    if role_id is None:
        raise NotFoundError(f"role `{name}` does not exist")
    return role_id


async def find_user_id(connection: AsyncConnection, username: str) -> int | None:
    """The id of the user of that name, in any case."""
    condition = same_name(connection.dialect.name, username)
    rows = await connection.execute(select(users.c.id, users.c.username).where(condition))
    return next((row.id for row in rows if is_same_name(row.username, username)), None)
