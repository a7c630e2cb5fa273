"""A user id → a frozen User with all permissions, read in one snapshot. Nothing of the ORM leaves this file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import is_
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute, selectinload

from asyncauth.cache import Entry
from asyncauth.clock import Clock
from asyncauth.db.engine import Database
from asyncauth.db.permissions import PermissionReader
from asyncauth.db.stamps import COLUMNS, Stamps
from asyncauth.db.tables import UserRow
from asyncauth.errors import UserInactiveError, UserNotFoundError
from asyncauth.model import Role, User

_MAX_ROLE_TUPLES = 50_000
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
    """Loads users: 2 statements when their roles are known, 3 when nothing is, whatever the number of roles and
    permissions.

    Args:
        group_roles: whether the roles of a user's groups count.
        max_entry_age_seconds: how long what is loaded may be used, counted from when its query was sent.
    """

    def __init__(self, database: Database, clock: Clock, *, group_roles: bool, max_entry_age_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._held = UserRow.all_roles if group_roles else UserRow.direct_roles
        self._user = _user_statement(self._held)
        self._max_age = max_entry_age_seconds
        self._permissions = PermissionReader(database.dialect)
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
        names = {role.id: role.name for role in getattr(row, self._held.key)}
        known = {role_id: known_role(role_id, stamps) for role_id in names}
        missing = {role_id: names[role_id] for role_id, entry in known.items() if entry is None}
        new_roles = await self._load_roles(session, missing, stamps, sent) if missing else {}
        held = [entry for _, entry in sorted((known | new_roles).items()) if entry is not None]
        roles = self._shared(tuple(entry.value for entry in held))
        user = User(user_id, row.username, roles, row.first_name, row.last_name, row.email)
        deadline = min([sent + self._max_age, *(entry.deadline for entry in held)])
        return Loaded(Entry(user, stamps.position, deadline), new_roles, stamps)

    async def _load_roles(
        self, session: AsyncSession, names: Mapping[int, str], stamps: Stamps, sent: float
    ) -> dict[int, Entry[Role]]:
        keys = await self._permissions.read(session, names)
        deadline = sent + self._max_age
        return {
            role_id: Entry(Role(role_id, name, keys[role_id]), stamps.position, deadline)
            for role_id, name in names.items()
        }

    def _shared(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """One tuple for all users who hold the same roles: memory, and work for the garbage collector."""
        role_ids = tuple(role.id for role in roles)
        known = self._role_tuples.get(role_ids)
        if known is not None and all(map(is_, known, roles)):
            return known
        if len(self._role_tuples) >= _MAX_ROLE_TUPLES:
            self._role_tuples = {}
        self._role_tuples[role_ids] = roles
        return roles


@cache  # making a statement costs as much as running it
def _user_statement(held: QueryableAttribute[Any]) -> "Select[UserRow, int, int, int]":
    return select(UserRow, *COLUMNS).where(UserRow.id == bindparam("user_id")).options(selectinload(held))
