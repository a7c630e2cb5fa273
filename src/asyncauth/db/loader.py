"""A user id → a frozen User with all permissions, read in one snapshot. Nothing of the ORM leaves this file."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute, load_only, selectinload, undefer

from asyncauth.cache import Entry
from asyncauth.clock import Clock
from asyncauth.db.catalogue import Catalogue
from asyncauth.db.engine import Database
from asyncauth.db.feed import Position, Record, parse_tail, tail_column
from asyncauth.db.pieces import Breather, split
from asyncauth.db.tables import RoleRow, UserRow, role_permissions
from asyncauth.errors import UserInactiveError, UserNotFoundError
from asyncauth.model import PermissionKey, Role, User

_MAX_ROLE_TUPLES = 10_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load brought, read in one snapshot. Deadlines are times on the clock that runs through suspension."""

    user: User
    deadline: float
    new_roles: tuple[Role, ...]
    """The roles that were not known before."""
    roles_deadline: float
    catalogue: Catalogue
    """The one at hand when the load began."""
    new_meanings: Catalogue
    """What the load learnt beside it."""


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
        # Built once: making a statement costs as much as running it.
        self._user = _user_statement(self._held, database.dialect)
        self.max_entry_age_seconds = max_entry_age_seconds
        self._catalogue = Catalogue(self._clock.elapsed())
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

        async def work(session: AsyncSession) -> Loaded:
            sent = self._clock.elapsed()
            found = (await session.execute(self._user, {"user_id": user_id, **position.parameters()})).one_or_none()
            if found is None:
                raise UserNotFoundError(f"user {user_id} does not exist")
            row: UserRow = found[0]
            if row.active is not True:
                raise UserInactiveError(f"user {user_id} is inactive")
            learn(parse_tail(found[1]))
            return await self._finish(session, row, sent, known_role)

        return await self._database.read(work)

    def keep(self, loaded: Loaded) -> None:
        """Keep the meanings that a load learnt, now that it is known that nothing has changed under it."""
        if loaded.catalogue is self._catalogue:
            self._catalogue.update(loaded.new_meanings)

    def forget(self) -> None:
        """The meanings have changed."""
        self._catalogue = Catalogue(self._clock.elapsed())

    def share(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """One tuple for all users who hold the same roles. The tuple keeps the objects alive whose ids are its key."""
        if len(self._role_tuples) >= _MAX_ROLE_TUPLES:
            self._role_tuples = {}
        return self._role_tuples.setdefault(tuple(map(id, roles)), roles)

    async def _finish(
        self, session: AsyncSession, row: UserRow, sent: float, known_role: Callable[[int], Entry[Role] | None]
    ) -> Loaded:
        catalogue, meanings = self._catalogue_at(sent), Catalogue(sent)
        roles_deadline = min(sent, catalogue.since) + self.max_entry_age_seconds
        entries = {role.id: known_role(role.id) for role in getattr(row, self._held.key)}
        missing = [role_id for role_id, entry in entries.items() if entry is None]
        new = await load_roles(session, missing, catalogue, meanings) if missing else []
        held = {role_id: entry.value for role_id, entry in entries.items() if entry is not None}
        held |= {role.id: role for role in new}
        deadline = min(
            [sent + self.max_entry_age_seconds, *(entry.deadline for entry in entries.values() if entry is not None)]
        )
        roles = self.share(tuple(held[role_id] for role_id in sorted(held)))
        return Loaded(
            user=User(row.id, row.username, roles, row.first_name, row.last_name, row.email),
            deadline=min(deadline, roles_deadline) if new else deadline,
            new_roles=tuple(new),
            roles_deadline=roles_deadline,
            catalogue=catalogue,
            new_meanings=meanings,
        )

    def _catalogue_at(self, sent: float) -> Catalogue:
        """The catalogue, made anew at half of the age at which its roles become too old, so that these always have the
        other half."""
        if sent - self._catalogue.since >= self.max_entry_age_seconds / 2:
            self.forget()
        return self._catalogue


def _user_statement(held: QueryableAttribute[list[RoleRow]], dialect: str) -> "Select[UserRow, str | None]":
    columns = (UserRow.username, UserRow.first_name, UserRow.last_name, UserRow.email, UserRow.active)
    return (
        select(UserRow, tail_column(dialect))
        .where(UserRow.id == bindparam("user_id"))
        .options(load_only(*columns), selectinload(held).load_only(RoleRow.id))
    )


_ROLES = (
    select(RoleRow)
    .where(RoleRow.id.in_(bindparam("role_ids", expanding=True)))
    .options(undefer(RoleRow.permission_ids))
    .execution_options(populate_existing=True)
)


async def load_roles(
    session: AsyncSession, role_ids: list[int], catalogue: Catalogue, meanings: Catalogue
) -> list[Role]:
    """Read roles with their permissions: one statement, and one more if `catalogue` lacks the meaning of an id; then
    `meanings` has it."""
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
        await meanings.read(session, unknown, role_ids)
    return [Role(row.id, row.name, await _keys(pieces[row.id], catalogue, meanings)) for row in rows]


async def _keys(pieces: list[list[str]], *catalogues: Catalogue) -> frozenset[PermissionKey]:
    breather = Breather()
    keys: set[PermissionKey] = set()
    for piece in pieces:
        for catalogue in catalogues:
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
