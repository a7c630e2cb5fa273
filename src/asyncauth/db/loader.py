"""A user id → a frozen User with all permissions, read in one snapshot. Nothing of the ORM leaves this file."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from operator import is_
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute, Session, selectinload

from asyncauth.cache import Entry
from asyncauth.clock import Clock
from asyncauth.db.engine import Database
from asyncauth.db.feed import Position, Record, parse_tail, tail_column
from asyncauth.db.permissions import PermissionReader, Texts
from asyncauth.db.tables import UserRow, roles
from asyncauth.errors import UnknownRoleError, UserInactiveError, UserNotFoundError
from asyncauth.model import PermissionKey, Role, User

_MAX_ROLE_TUPLES = 50_000
_LAST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load brought, read in one snapshot. Deadlines are times on the clock that runs through suspension."""

    user: User
    deadline: float
    new_roles: tuple[Role, ...]
    """The roles that were not known before."""
    roles_deadline: float


@dataclass(frozen=True, slots=True)
class _Found:
    """What the statements of a load brought."""

    row: UserRow
    names: Mapping[int, str]
    """Of all roles held, by id."""
    known: Mapping[int, Entry[Role]]
    """Those of them that are in memory."""
    missing: Collection[int]
    """Those that are not."""
    texts: Texts
    """What these permit."""
    sent: float
    """When the first statement was sent."""


class Loader:
    """Loads users: at most 2 statements when their roles are known, at most 3 when nothing is, whatever the number of
    roles and permissions.

    Args:
        group_roles: whether the roles of a user's groups count.
        max_entry_age_seconds: how long what is loaded may be used, counted from when its query was sent.
    """

    def __init__(self, database: Database, clock: Clock, *, group_roles: bool, max_entry_age_seconds: float) -> None:
        self.max_entry_age_seconds = max_entry_age_seconds
        self._database = database
        self._clock = clock
        self._held = UserRow.all_roles if group_roles else UserRow.direct_roles
        self._permissions = PermissionReader(database.dialect)
        self._role_tuples: dict[tuple[int, ...], tuple[Role, ...]] = {}

    async def load(
        self,
        user_id: int,
        position: Position,
        learn: Callable[[list[Record]], None],
        known_role: Callable[[int], Entry[Role] | None],
    ) -> Loaded:
        """Load one user.

        Args:
            user_id: whom.
            position: up to where changes are known.
            learn: is given the changes after it that the load's snapshot shows, before `known_role` is asked.
            known_role: gives what is in memory.

        Raises:
            UserNotFoundError, UserInactiveError: the user does not exist, or `active` is not true.
            DatabaseUnavailableError: see `Database.read`.
        """
        if not 0 < user_id <= _LAST_ID:  # drivers refuse larger numbers, each with an error of its own
            raise UserNotFoundError(f"no user has the id {user_id}")

        parameters = {"user_id": user_id, **position.parameters()}
        statement = _user_statement(self._held, self._database.dialect, gaps=bool(position.gaps))

        async def work(session: AsyncSession) -> Loaded:
            found = await session.run_sync(self._read, statement, parameters, learn, known_role)
            keys = await self._permissions.parse(session, found.missing, found.texts)
            return self._put_together(found, keys)

        return await self._database.read(work)

    async def load_role(
        self,
        name: str,
        position: Position,
        learn: Callable[[list[Record]], None],
        known_role: Callable[[int], Entry[Role] | None],
    ) -> tuple[Role, float]:
        """Load one role by its exact name, as `load` loads a user: the role and its deadline.

        Raises:
            UnknownRoleError: there is none.
            DatabaseUnavailableError: see `Database.read`.
        """

        async def work(session: AsyncSession) -> tuple[Role, float]:
            sent = self._clock.elapsed()
            statement = _role_statement(self._database.dialect)
            rows = await session.execute(statement, {"name": name, **position.parameters()})
            found = next((row for row in rows if row.name == name), None)  # collations fold case and accents
            if found is None:
                raise UnknownRoleError(f"role `{name}` does not exist")
            learn(parse_tail(found[2]))
            entry = known_role(found.id)
            if entry is not None:
                return entry.value, entry.deadline
            keys = await self._permissions.read(session, [found.id])
            return Role(found.id, name, keys[found.id]), sent + self.max_entry_age_seconds

        return await self._database.read(work)

    def _read(
        self,
        session: Session,
        statement: "Select[UserRow, str | None]",
        parameters: dict[str, Any],
        learn: Callable[[list[Record]], None],
        known_role: Callable[[int], Entry[Role] | None],
    ) -> _Found:
        """All statements, one after the other: SQLAlchemy begins a greenlet for whatever it is asked to wait for."""
        sent = self._clock.elapsed()
        found = session.execute(statement, parameters).one_or_none()
        if found is None:
            raise UserNotFoundError(f"user {parameters['user_id']} does not exist")
        row: UserRow = found[0]
        if row.active is not True:
            raise UserInactiveError(f"user {row.id} is inactive")
        learn(parse_tail(found[1]))
        names = {role.id: role.name for role in getattr(row, self._held.key)}
        entries = {role_id: known_role(role_id) for role_id in names}
        known = {role_id: entry for role_id, entry in entries.items() if entry is not None}
        missing = names.keys() - known.keys()
        return _Found(row, names, known, missing, self._permissions.fetch(session, missing) if missing else (), sent)

    def _put_together(self, found: _Found, keys: Mapping[int, frozenset[PermissionKey]]) -> Loaded:
        new = {role_id: Role(role_id, found.names[role_id], keys[role_id]) for role_id in found.missing}
        known = {role_id: entry.value for role_id, entry in found.known.items()}
        roles = self.share(tuple(role for _, role in sorted((known | new).items())))
        deadline = found.sent + self.max_entry_age_seconds
        row = found.row
        return Loaded(
            user=User(row.id, row.username, roles, row.first_name, row.last_name, row.email),
            deadline=min([deadline, *(entry.deadline for entry in found.known.values())]),
            new_roles=tuple(new.values()),
            roles_deadline=deadline,
        )

    def share(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
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
def _user_statement(held: QueryableAttribute[Any], dialect: str, *, gaps: bool) -> "Select[UserRow, str | None]":
    columns = (UserRow, tail_column(dialect, gaps=gaps))
    return select(*columns).where(UserRow.id == bindparam("user_id")).options(selectinload(held))


@cache
def _role_statement(dialect: str) -> "Select[Any]":
    return select(roles.c.id, roles.c.name, tail_column(dialect)).where(roles.c.name == bindparam("name"))
