"""Users: reading them, and making new ones. What changes and ends them: `user_changes.py`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncauth.admin.change import Actor, Change, change, local_now
from asyncauth.admin.held import check_roles
from asyncauth.admin.names import find_user_id, get_role_ids, get_user_id, validate
from asyncauth.admin.paging import Page, containing, make_etag, paged
from asyncauth.db.find import is_storable_name
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import group_users, groups, roles, user_roles, users
from asyncauth.errors import InvalidValueError, NotFoundError, TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import Written
from asyncauth.passwords import MAX_PASSWORD_BYTES, is_usable

_COLUMNS = tuple(
    column for column in users.columns if column not in {users.c.password, users.c.created_by_fk, users.c.changed_by_fk}
)
_ORDERS = {
    **{name: users.c[name] for name in ("id", "first_name", "last_name", "username", "email", "active")},
    "user_id": users.c.id,
}


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What may be told about a user. Times as FAB writes them: without a zone."""

    id: int
    username: str
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    active: bool | None
    last_login: datetime | None
    login_count: int | None
    fail_login_count: int | None
    created_on: datetime | None
    changed_on: datetime | None
    roles: tuple[str, ...]
    """Those granted to the user."""
    groups: tuple[str, ...]

    @property
    def etag(self) -> str:
        """Differs when what `update_user` can change differs, the password apart."""
        names = (self.username, self.email, self.first_name, self.last_name)
        return make_etag(self.id, *names, self.active, sorted(self.roles))


async def get_user(auth: AuthManager, username: str) -> UserInfo:
    """One user, by name in any case.

    Raises:
        NotFoundError: there is none.
        UnavailableError: 503.
    """

    async def work(session: AsyncSession) -> UserInfo:
        connection = await session.connection()
        return await read_user(connection, await get_user_id(connection, username))

    return await auth.read(work)


async def list_users(
    auth: AuthManager,
    *,
    limit: int = 100,
    offset: int = 0,
    order_by: str = "id",
    email: str | None = None,
    search: str | None = None,
) -> Page[UserInfo]:
    """Users in pages.

    Args:
        auth: the manager.
        limit, offset: the page.
        order_by: id (or user_id), first_name, last_name, username, email or active; `-` in front turns it round.
        email: only the user with this e-mail, to the letter.
        search: only users with these words in their names or e-mail; see `paging.containing`.

    Raises:
        InvalidValueError: the page is none.
        UnavailableError: the database did not answer.
    """
    if email is not None and not is_storable_name(email):
        return Page((), 0)
    where = containing(search, users.c.username, users.c.email, users.c.first_name, users.c.last_name)
    if email is not None:
        where.append(users.c.email == email)
    page = paged(
        select(users.c.id, users.c.email).where(*where),
        limit=limit,
        offset=offset,
        order_by=order_by,
        columns=_ORDERS,
        last=users.c.id,
    )

    async def work(session: AsyncSession) -> Page[UserInfo]:
        total = await session.scalar(select(func.count()).select_from(users).where(*where))
        rows = [row for row in await session.execute(page) if email in {None, row.email}]
        found = await read_users(await session.connection(), [row.id for row in rows])
        return Page(tuple(found), len(found) if email is not None else total or 0)

    return await auth.read(work)


async def create_user(
    auth: AuthManager,
    *,
    username: str,
    password: str | None,
    email: str,
    first_name: str = "",
    last_name: str = "",
    roles: Iterable[str] = (),
    actor: Actor | None = None,
) -> Written[UserInfo]:
    """Create an active user, who can log in unless `password` is None.

    Raises:
        InvalidValueError: a name or the password cannot be stored.
        TakenError: the user name (in any case) or the e-mail is in use.
        UnknownRoleError: one of `roles` does not exist.
        EscalationError: the roles hold more than the actor.
        UnavailableError: the hasher is busy or the database did not answer.
    """
    values = {
        "username": validate("the user name", username, 512),
        "email": validate("the e-mail", email, 512),
        "first_name": validate("the first name", first_name, 256) if first_name else "",
        "last_name": validate("the last name", last_name, 256) if last_name else "",
    }
    password_hash = None if password is None else await make_hash(auth, password)
    role_names = set(roles)

    async def work(step: Change) -> UserInfo:
        user_id = await insert_user(step, values, password_hash, role_names)
        return await read_user(step.connection, user_id)  # afterwards somebody may have deleted it

    return await change(auth, actor, work)


async def insert_user(
    step: Change, values: Mapping[str, str], password_hash: str | None, role_names: Collection[str]
) -> int:
    """An active user with these names and roles; returns the id. Raises as `create_user`."""
    await require_free(step.connection, username=values["username"], email=values["email"])
    role_ids = await get_role_ids(step.connection, role_names)
    await check_roles(step, role_ids.values())
    now, by = local_now(), step.actor_id
    stamps = {"created_on": now, "changed_on": now, "created_by_fk": by, "changed_by_fk": by}
    user_id = await insert_row(step.connection, users, **values, password=password_hash, active=True, **stamps)
    for role_id in role_ids.values():
        await insert_row(step.connection, user_roles, user_id=user_id, role_id=role_id)
    await step.record("create", "user", user_id, values["username"], after={**values, "roles": list(role_ids)})
    return user_id


async def make_hash(auth: AuthManager, password: str) -> str:
    """A hash to store. Raises InvalidValueError, BusyError."""
    if not is_usable(password):
        raise InvalidValueError(f"the password is empty, not text, or longer than {MAX_PASSWORD_BYTES} bytes")
    return await auth.hash_password(password)


async def require_free(
    connection: AsyncConnection, *, username: str | None = None, email: str | None = None, but: int | None = None
) -> None:
    """Raises TakenError if somebody has that name, in any case, or that e-mail. `but`: who may."""
    if username is not None and await find_user_id(connection, username) not in {None, but}:
        raise TakenError(f"the user name `{username}` is taken")
    if email is not None:
        # By the database's own idea of equal, which the unique constraint has.
        holders = await connection.execute(select(users.c.id).where(users.c.email == email))
        if set(holders.scalars()) - {but}:
            raise TakenError(f"the e-mail `{email}` is taken")


async def read_user(connection: AsyncConnection, user_id: int) -> UserInfo:
    """One user. Raises NotFoundError."""
    for found in await read_users(connection, [user_id]):
        return found
    raise NotFoundError(f"no user has the id {user_id}")


async def read_users(connection: AsyncConnection, user_ids: Collection[int]) -> list[UserInfo]:
    """Users in the order of their ids here; three statements, however many there are."""
    if not user_ids:
        return []
    rows = {row.id: row for row in await connection.execute(select(*_COLUMNS).where(users.c.id.in_(user_ids)))}
    same_role, same_group = user_roles.c.role_id == roles.c.id, group_users.c.group_id == groups.c.id
    by_role = select(user_roles.c.user_id, roles.c.name).join_from(user_roles, roles, same_role)
    by_group = select(group_users.c.user_id, groups.c.name).join_from(group_users, groups, same_group)
    held = await _names(connection, by_role.where(user_roles.c.user_id.in_(user_ids)).order_by(roles.c.id))
    joined = await _names(connection, by_group.where(group_users.c.user_id.in_(user_ids)).order_by(groups.c.id))
    return [
        UserInfo(**rows[user_id]._mapping, roles=tuple(held.get(user_id, ())), groups=tuple(joined.get(user_id, ())))
        for user_id in user_ids
        if user_id in rows
    ]


async def _names(connection: AsyncConnection, statement: Any) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for user_id, name in await connection.execute(statement):
        found.setdefault(user_id, []).append(name)
    return found
