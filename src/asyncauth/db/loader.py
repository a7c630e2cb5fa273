"""A user id → a frozen User with all permissions, read in one snapshot. Nothing of the ORM leaves this file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute, load_only, selectinload, undefer

from asyncauth.cache import Entry
from asyncauth.clock import Clock
from asyncauth.db.catalogue import Catalogue
from asyncauth.db.engine import Database
from asyncauth.db.pieces import Breather, split
from asyncauth.db.stamps import COLUMNS, Stamps
from asyncauth.db.tables import RoleRow, UserRow, role_permissions
from asyncauth.errors import UserInactiveError, UserNotFoundError
from asyncauth.model import PermissionKey, Role, User

_MAX_ROLE_TUPLES = 10_000
_LAST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load brought. All of it is true at `stamps`."""

    user: Entry[User]
    new_roles: Mapping[int, Entry[Role]]
    """The roles that were not known before, by id."""
    stamps: Stamps


KnownRole = Callable[[int, Stamps], Entry[Role] | None]
"""Gives a role if what is known of it is true at these stamps."""


class Loader:
    """Loads users: at most 2 statements when their roles are known, at most 4 when nothing is, whatever the number of
    roles and permissions.

    Args:
        group_roles: whether the roles of a user's groups count.
        max_entry_age_seconds: how long what is loaded may be used, counted from when its query was sent.
    """

    def __init__(self, database: Database, clock: Clock, *, group_roles: bool, max_entry_age_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._held: QueryableAttribute[list[RoleRow]] = UserRow.all_roles if group_roles else UserRow.direct_roles
        self._user = _user_statement(self._held)  # built once: making a statement costs as much as running it
        self._max_age = max_entry_age_seconds
        self._catalogue = Catalogue(0, self._clock.elapsed())
        self._role_tuples: dict[tuple[int, ...], tuple[Role, ...]] = {}

    async def load(self, user_id: int, known_role: KnownRole) -> Loaded:
        """Load one user.

        Raises:
            UserNotFoundError, UserInactiveError: the user does not exist, or `active` is not true.
            DatabaseUnavailableError: see `Database.read`.
        """
        if not 0 < user_id <= _LAST_ID:  # drivers refuse larger numbers, each with an error of its own
            raise UserNotFoundError(f"no user has the id {user_id}")

        async def work(session: AsyncSession) -> Loaded:
            return await self._load(session, user_id, known_role)

        return await self._database.read(work)

    async def _load(self, session: AsyncSession, user_id: int, known_role: KnownRole) -> Loaded:
        sent = self._clock.elapsed()
        found = (await session.execute(self._user, {"user_id": user_id})).one_or_none()
        if found is None:
            raise UserNotFoundError(f"user {user_id} does not exist")
        row: UserRow = found[0]
        if row.active is not True:
            raise UserInactiveError(f"user {user_id} is inactive")
        stamps = Stamps(*(position or 0 for position in found[1:]))
        entries = {role.id: known_role(role.id, stamps) for role in getattr(row, self._held.key)}
        missing = [role_id for role_id, entry in entries.items() if entry is None]
        new_roles = await self._load_roles(session, missing, stamps, sent) if missing else {}
        held = [entry for role_id, entry in sorted((entries | new_roles).items()) if entry is not None]
        roles = self._shared(tuple(entry.value for entry in held))
        user = User(row.id, row.username, roles, row.first_name, row.last_name, row.email)
        deadline = min([sent + self._max_age, *(entry.deadline for entry in held)])
        return Loaded(Entry(user, stamps.position, deadline), new_roles, stamps)

    async def _load_roles(
        self, session: AsyncSession, role_ids: list[int], stamps: Stamps, sent: float
    ) -> dict[int, Entry[Role]]:
        catalogue = self._catalogue_at(stamps, sent)
        roles = await load_roles(session, role_ids, catalogue)
        deadline = min(sent, catalogue.since) + self._max_age
        return {role.id: Entry(role, stamps.position, deadline) for role in roles}

    def _catalogue_at(self, stamps: Stamps, sent: float) -> Catalogue:
        """The catalogue that is true at `stamps`: the one at hand, or a new one. It is made anew at half of the age at
        which its roles become too old, so that these always have the other half. An older load than the one at hand
        gets one for itself alone."""
        current = self._catalogue
        fresh = sent - current.since < self._max_age / 2
        if stamps.catalogue == current.stamp and fresh:
            return current
        new = Catalogue(stamps.catalogue, sent)
        if stamps.catalogue >= current.stamp:
            self._catalogue = new
        return new

    def _shared(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """One tuple for all users who hold the same roles. The tuple keeps the objects alive whose ids are its key."""
        if len(self._role_tuples) >= _MAX_ROLE_TUPLES:
            self._role_tuples = {}
        return self._role_tuples.setdefault(tuple(map(id, roles)), roles)


def _user_statement(held: QueryableAttribute[list[RoleRow]]) -> "Select[UserRow, int, int, int, int]":
    columns = (UserRow.username, UserRow.first_name, UserRow.last_name, UserRow.email, UserRow.active)
    return (
        select(UserRow, *COLUMNS)
        .where(UserRow.id == bindparam("user_id"))
        .options(load_only(*columns), selectinload(held).load_only(RoleRow.id))
    )


_ROLES = (
    select(RoleRow)
    .where(RoleRow.id.in_(bindparam("role_ids", expanding=True)))
    .options(undefer(RoleRow.permission_ids))
    .execution_options(populate_existing=True)
)


async def load_roles(session: AsyncSession, role_ids: list[int], catalogue: Catalogue) -> list[Role]:
    """Read roles with their permissions: one statement, and one more if `catalogue` lacks the meaning of an id."""
    rows = (await session.scalars(_ROLES, {"role_ids": role_ids})).all()
    breather = Breather()
    pieces: dict[int, list[list[str]]] = {}
    unknown: set[str] = set()
    for row in rows:
        pieces[row.id] = []
        for piece in split(await _permission_ids(session, row)):
            pieces[row.id].append(piece)
            unknown.update(catalogue.unknown(piece))
            await breather.pause()
    if unknown:
        await catalogue.read(session, unknown, role_ids)
    return [Role(row.id, row.name, await _keys(pieces[row.id], catalogue)) for row in rows]


async def _keys(pieces: list[list[str]], catalogue: Catalogue) -> frozenset[PermissionKey]:
    breather = Breather()
    keys: set[PermissionKey] = set()
    for piece in pieces:
        keys.update(catalogue.keys(piece))
        await breather.pause()
    return frozenset(keys)


async def _permission_ids(session: AsyncSession, row: RoleRow) -> str:
    """The list of `RoleRow.permission_ids`, or, if the database has cut it, the same ids row by row."""
    count, _, text = (row.permission_ids or "0:").partition(":")
    if text.count(",") + bool(text) == int(count):
        return text
    column = role_permissions.c.permission_view_id
    ids = await session.scalars(select(column).where(role_permissions.c.role_id == row.id, column.is_not(None)))
    return ",".join(map(str, ids))
