"""Roles, and who holds them."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.admin.names import find_id, find_user_id, get_role_id, validate
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import roles, user_roles
from asyncauth.errors import NotFoundError, TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import Role, Written


async def create_role(auth: AuthManager, name: str) -> Written[Role]:
    """Create a role without permissions.

    Raises:
        InvalidValueError, TakenError, UnavailableError.
    """
    validate("the role name", name, 64)

    async def work(connection: AsyncConnection) -> int:
        if await find_id(connection, roles, name) is not None:
            raise TakenError(f"the role name `{name}` is taken")
        return await insert_row(connection, roles, name=name)

    written = await auth.write(work)
    return Written(Role(written.value, name, frozenset()), written.token)


async def grant_role(auth: AuthManager, *, username: str, role: str) -> Written[None]:
    """Give a user a role; no error if the user holds it.

    Raises:
        NotFoundError, UnavailableError.
    """

    async def work(connection: AsyncConnection) -> None:
        user_id, role_id = await _ids(connection, username, role)
        held = select(user_roles.c.id).where(user_roles.c.user_id == user_id, user_roles.c.role_id == role_id)
        if (await connection.execute(held)).first() is None:
            await insert_row(connection, user_roles, user_id=user_id, role_id=role_id)

    return await auth.write(work)


async def take_role(auth: AuthManager, *, username: str, role: str) -> Written[None]:
    """Take a role from a user; no error if the user does not hold it.

    Raises:
        NotFoundError, UnavailableError.
    """

    async def work(connection: AsyncConnection) -> None:
        user_id, role_id = await _ids(connection, username, role)
        held = (user_roles.c.user_id == user_id, user_roles.c.role_id == role_id)
        await connection.execute(delete(user_roles).where(*held))

    return await auth.write(work)


async def _ids(connection: AsyncConnection, username: str, role: str) -> tuple[int, int]:
    user_id = await find_user_id(connection, username)
    if user_id is None:
        raise NotFoundError(f"user `{username}` does not exist")
    return user_id, await get_role_id(connection, role)
