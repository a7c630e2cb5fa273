"""What a name may be, and rows by name."""

from collections.abc import Iterable

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.find import is_same_name, is_storable_name, same_name
from asyncauth.db.tables import groups, roles, users
from asyncauth.errors import InvalidValueError, NotFoundError, UnknownRoleError

_PIECE = 500
"""Names asked for in one statement."""


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


async def find_id(connection: AsyncConnection, table: Table, name: str, *, lock: bool = False) -> int | None:
    """The id of the row of that exact name: compared again, since collations of MariaDB and MySQL fold case.

    Args:
        lock: whether nobody else may change or delete it, or link to it, until the transaction ends.
    """
    if not is_storable_name(name):
        return None
    statement = select(table.c.id, table.c.name).where(table.c.name == name)
    rows = await connection.execute(statement.with_for_update() if lock else statement)
    return next((row.id for row in rows if row.name == name), None)


async def get_role_id(connection: AsyncConnection, name: str, *, lock: bool = False) -> int:
    """The id of a role. Raises NotFoundError."""
    role_id = await find_id(connection, roles, name, lock=lock)
    if role_id is None:
        raise NotFoundError(f"role `{name}` does not exist")
    return role_id


async def get_group_id(connection: AsyncConnection, name: str, *, lock: bool = False) -> int:
    """The id of a group. Raises NotFoundError."""
    group_id = await find_id(connection, groups, name, lock=lock)
    if group_id is None:
        raise NotFoundError(f"group `{name}` does not exist")
    return group_id


async def get_role_ids(connection: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    """The ids of roles by their names. Raises UnknownRoleError, which names all that do not exist."""
    asked = sorted(set(names))
    found: dict[str, int] = {}
    storable = [name for name in asked if is_storable_name(name)]
    for start in range(0, len(storable), _PIECE):
        piece = select(roles.c.id, roles.c.name).where(roles.c.name.in_(storable[start : start + _PIECE]))
        found |= {row.name: row.id for row in await connection.execute(piece)}
    if unknown := [name for name in asked if name not in found]:
        raise UnknownRoleError(f"Unknown roles: {', '.join(map(repr, unknown))}")
    return {name: found[name] for name in asked}


async def find_user_id(connection: AsyncConnection, username: str, *, lock: bool = False) -> int | None:
    """The id of the user of that name, in any case. `lock`: see `find_id`."""
    if not is_storable_name(username):
        return None
    statement = select(users.c.id, users.c.username).where(same_name(connection.dialect.name, username))
    rows = await connection.execute(statement.with_for_update() if lock else statement)
    return next((row.id for row in rows if is_same_name(row.username, username)), None)


async def get_user_id(connection: AsyncConnection, username: str, *, lock: bool = False) -> int:
    """The same. Raises NotFoundError."""
    user_id = await find_user_id(connection, username, lock=lock)
    if user_id is None:
        raise NotFoundError(f"user `{username}` does not exist")
    return user_id
