"""Rows to measure with. Each set begins in empty tables, and is deleted again."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, func, insert, literal, not_, or_, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth.db import tables
from asyncauth.db.engine import make_engine

ACTIONS = ("can_create", "can_delete", "can_edit", "can_read", "menu_access")
FAB_RESOURCES = 44
"""As many as the FAB provider 3.10.2 knows: 220 permissions with the five actions."""
MARK = "bench"
"""Every name written here begins with it, so that nobody's own rows are taken for ours."""
_ROLE_STEP = 100_000
_MEMBERSHIPS = 1_000_000
"""Above the ids that a use case draws."""
_BATCH = 10_000

CROWD_ROLES = 20
CROWD_ROLE_PERMISSIONS = 300
CROWD_ROLES_EACH = 5


def permission_id(resource: int, action: str) -> int:
    """Of an action on a resource of the catalogue."""
    return (resource - 1) * len(ACTIONS) + ACTIONS.index(action) + 1


def role_permission_id(role_id: int, permission: int) -> int:
    """Of the row that gives a role a permission."""
    return role_id * _ROLE_STEP + permission


def membership_id(subject: int) -> int:
    """Of the row that gives a subject its role."""
    return _MEMBERSHIPS + subject


class ForeignRowsError(Exception):
    """The database holds rows of somebody else: filling and emptying it would destroy them."""


@dataclass(frozen=True, slots=True)
class Filler:
    """Writes rows through one connection. Ids are given, not drawn: nobody else writes here."""

    connection: AsyncConnection

    async def catalogue(self, resources: int) -> None:
        """All actions on `resources` resources. The permission of action a on resource r has the id 5 (r - 1) + a."""
        await self._insert(tables.actions, ({"id": i, "name": f"{MARK}_{name}"} for i, name in enumerate(ACTIONS, 1)))
        names = ({"id": i, "name": f"{MARK}:resource_{i}"} for i in range(1, resources + 1))
        await self._insert(tables.resources, names)
        action, resource = tables.actions.c.id, tables.resources.c.id
        pairs = select((resource - 1) * len(ACTIONS) + action, action, resource)
        pairs = pairs.join_from(tables.actions, tables.resources, true())
        names_of = ["id", "permission_id", "view_menu_id"]
        await self.connection.execute(insert(tables.permissions).from_select(names_of, pairs))

    async def role(self, role_id: int, first: int, count: int) -> None:
        """A role with the permissions `first`, `first` + 1, … of the catalogue."""
        await self._insert(tables.roles, [{"id": role_id, "name": f"{MARK} {role_id}"}])
        permission = tables.permissions.c.id
        rows = select(literal(role_id * _ROLE_STEP) + permission, permission, literal(role_id))
        rows = rows.where(permission.between(first, first + count - 1))
        statement = insert(tables.role_permissions).from_select(["id", "permission_view_id", "role_id"], rows)
        await self.connection.execute(statement)

    async def roles(self, count: int) -> None:
        """Roles 1, 2, … with the first permission of the catalogue each."""
        everyone = range(1, count + 1)
        await self._insert(tables.roles, ({"id": i, "name": f"{MARK} {i}"} for i in everyone))
        rows = ({"id": role_permission_id(i, 1), "permission_view_id": 1, "role_id": i} for i in everyone)
        await self._insert(tables.role_permissions, rows)

    async def users(self, users: dict[int, list[int]]) -> None:
        """Users by id, with the ids of their roles."""
        await self._insert(tables.users, (_user(user_id) for user_id in users))
        held = ((user_id, role_id) for user_id, role_ids in users.items() for role_id in role_ids)
        rows = ({"id": i, "user_id": user_id, "role_id": role_id} for i, (user_id, role_id) in enumerate(held, 1))
        await self._insert(tables.user_roles, rows)

    async def password(self, hashed: str) -> None:
        """The same password for everybody."""
        await self.connection.execute(update(tables.users).values(password=hashed))

    async def subjects(self, count: int) -> None:
        """Users with a role of their own each, which has all actions on a resource of its own; one number for all."""
        await self.catalogue(count)
        for subject in range(1, count + 1):
            await self.role(subject, permission_id(subject, ACTIONS[0]), len(ACTIONS))
        await self.users({subject: [] for subject in range(1, count + 1)})
        await self._insert(
            tables.user_roles,
            ({"id": membership_id(i), "user_id": i, "role_id": i} for i in range(1, count + 1)),
        )

    async def group(self, user_ids: Iterable[int], role_id: int) -> None:
        """A group of users that carries a role."""
        await self._insert(tables.groups, [{"id": 1, "name": f"{MARK} group", "label": "", "description": ""}])
        rows = ({"id": i, "user_id": user_id, "group_id": 1} for i, user_id in enumerate(user_ids, 1))
        await self._insert(tables.group_users, rows)
        await self._insert(tables.group_roles, [{"id": 1, "group_id": 1, "role_id": role_id}])

    async def crowd(self, users: int) -> None:
        """Users with 5 of 20 roles of 300 permissions each, drawn by lot (always the same lot)."""
        lot = random.Random(1)
        await self.catalogue(CROWD_ROLES * CROWD_ROLE_PERMISSIONS // len(ACTIONS))
        for role_id in range(1, CROWD_ROLES + 1):
            await self.role(role_id, (role_id - 1) * CROWD_ROLE_PERMISSIONS + 1, CROWD_ROLE_PERMISSIONS)
        everyone = range(1, CROWD_ROLES + 1)
        await self.users({i: lot.sample(everyone, CROWD_ROLES_EACH) for i in range(1, users + 1)})

    async def _insert(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        everything = list(rows)
        for start in range(0, len(everything), _BATCH):
            await self.connection.execute(insert(table), everything[start : start + _BATCH])


@asynccontextmanager
async def filled(url: str, fill: Callable[[Filler], Awaitable[None]]) -> AsyncIterator[None]:
    """The database with what `fill` writes, until the block ends.

    Raises:
        ForeignRowsError: it holds rows that are not ours.
    """
    engine = make_engine(url, pool_size=1, timeout_seconds=60)
    try:
        await _refuse_foreign_rows(engine)
        await _empty(engine)
        async with engine.begin() as connection:
            await fill(Filler(connection))
            await _analyze(connection)
        await engine.dispose()  # a bench that cuts connections must not cut this one
        yield
        await _empty(engine)
    finally:
        await engine.dispose()


async def refuse_foreign_rows(url: str) -> None:
    """Raises ForeignRowsError if the database holds rows that are not ours."""
    engine = make_engine(url, pool_size=1, timeout_seconds=60)
    try:
        await _refuse_foreign_rows(engine)
    finally:
        await engine.dispose()


def _user(user_id: int) -> dict[str, Any]:
    name = f"{MARK}-{user_id}"
    return {
        "id": user_id,
        "username": name,
        "first_name": f"First {user_id}",
        "last_name": f"Last {user_id}",
        "email": f"{name}@example.org",
        "active": True,
    }


async def _refuse_foreign_rows(engine: AsyncEngine) -> None:
    names = (tables.users.c.username, tables.roles.c.name, tables.actions.c.name, tables.resources.c.name)
    foreign = or_(*(select(name).where(not_(name.startswith(MARK))).exists() for name in names))
    async with engine.connect() as connection:
        if (await connection.execute(select(func.count()).where(foreign))).scalar_one():
            raise ForeignRowsError("this database is in use: give the bench one of its own, which it empties")


async def _empty(engine: AsyncEngine) -> None:
    emptied = list(reversed(tables.fab.sorted_tables))
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Not DELETE: FAB's `created_by_fk` has no index there, and each deleted user would be looked for in all.
            names = ", ".join(table.name for table in emptied)
            await connection.execute(text(f"TRUNCATE {names}"))
            return
        if engine.dialect.name == "sqlite":  # the same there, where a check of foreign keys can be left out
            await connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        for table in emptied:
            await connection.execute(delete(table))


async def _analyze(connection: AsyncConnection) -> None:
    """What PostgreSQL and MariaDB do by themselves after a while. SQLite never does."""
    names = ", ".join(tables.fab.tables)
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"ANALYZE {names}"))
    elif connection.dialect.name != "sqlite":
        await connection.execute(text(f"ANALYZE TABLE {names}"))
