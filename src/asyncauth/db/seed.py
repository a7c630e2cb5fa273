"""Making FAB's default roles and those of the settings, once, however many processes begin to at the same time."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Table, and_, insert, not_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.custom_roles import CustomRoles
from asyncauth.db.connect import with_connection
from asyncauth.db.default_roles import ADMIN, DEFAULT_ROLES, HOMEPAGE, OF_ONE_DAG, OF_VIEWS, Pair
from asyncauth.db.explain import MISSING_TABLES
from asyncauth.db.ids import insert_many
from asyncauth.db.lock import WAIT_SECONDS, upgrade_lock
from asyncauth.db.state import look
from asyncauth.db.tables import actions, audit, feed, permissions, resources, role_permissions, roles
from asyncauth.errors import ConfigurationError

_ATTEMPTS = 3
"""Programs that know nothing of our lock, like Airflow itself, may insert the same names in the same moment."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """How much was missing and has been made."""

    roles: int = 0
    permissions: int = 0
    grants: int = 0

    def __bool__(self) -> bool:
        return bool(self.roles or self.permissions or self.grants)


async def seed(target: str | AsyncEngine, custom_roles: CustomRoles | None = None) -> Seeded:
    """Make what is missing of the default roles, their permissions and `custom_roles`, as FAB does at its start.

    It adds and never takes away. A custom role that stands already keeps what it may do, but for the right to the
    homepage (`can_read` on `Website`), which FAB gives to every role that is no default one. Admin is given every
    permission in the database that is not about one DAG.

    Args:
        target: a URL, of an async or a sync driver, or an engine, which stays open.
        custom_roles: those of the settings.

    Raises:
        ConfigurationError: there are no tables, or the database refuses; the message says why.
    """

    def work(connection: Connection) -> Seeded:
        state = look(connection)
        if state.missing or state.own_missing:
            raise ConfigurationError(MISSING_TABLES)
        for attempt in range(1, _ATTEMPTS + 1):
            missing = _Seeding(connection, custom_roles or {}).count()
            connection.rollback()
            if not missing:
                return missing
            try:
                with upgrade_lock(connection):
                    _take_turn(connection)
                    return _Seeding(connection, custom_roles or {}).run()
            except IntegrityError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    return await with_connection(target, work, create=False, patience_seconds=WAIT_SECONDS)


def _take_turn(connection: Connection) -> None:
    """Come after the use cases of administrators that are under way, as these do among each other."""
    if connection.dialect.name != "sqlite":
        connection.execute(update(feed).where(feed.c.id == 1).values(purged=feed.c.purged))


class _Seeding:
    """One run, on what stands in the database now."""

    def __init__(self, connection: Connection, custom_roles: CustomRoles) -> None:
        self._connection = connection
        self._roles = self._read_names(roles)
        self._wanted = dict(_wanted(custom_roles, self._roles))
        self._pairs = frozenset({HOMEPAGE, *OF_VIEWS}).union(*self._wanted.values())
        self._ids = self._read_pairs()

    def count(self) -> Seeded:
        """What is missing. Writes nothing."""
        new_roles = self._wanted.keys() - self._roles.keys()
        new_pairs = self._pairs - self._ids.keys()
        held = self._read_held()
        grants = sum(len(pairs - held.get(name, frozenset())) for name, pairs in self._grants(new_pairs))
        return Seeded(len(new_roles), len(new_pairs), grants)

    def run(self) -> Seeded:
        """Make it, and write that down."""
        done = self.count()
        if not done:  # somebody else has made it meanwhile
            return done
        self._insert(roles, ({"name": name} for name in self._wanted if name not in self._roles))
        self._roles = self._read_names(roles)
        new_pairs = sorted(self._pairs - self._ids.keys())
        action_ids = self._store_names(actions, (action for action, _ in new_pairs))
        resource_ids = self._store_names(resources, (resource for _, resource in new_pairs))
        self._insert(
            permissions,
            ({"permission_id": action_ids[action], "view_menu_id": resource_ids[name]} for action, name in new_pairs),
        )
        self._ids = self._read_pairs()
        held = self._read_held()
        self._insert(
            role_permissions,
            (
                {"permission_view_id": self._ids[pair], "role_id": self._roles[name]}
                for name, pairs in self._grants(())
                for pair in sorted(pairs - held.get(name, frozenset()))
            ),
        )
        self._connection.execute(
            insert(audit).values(
                at=int(time.time()), what="seed", subject_kind="role", subject="", after=json.dumps(asdict(done))
            )
        )
        return done

    def _grants(self, new_pairs: Iterable[Pair]) -> Iterator[tuple[str, frozenset[Pair]]]:
        """What each role has to hold."""
        everything = frozenset((*self._ids, *new_pairs))
        for name in {**self._wanted, **self._roles}:
            pairs = self._wanted.get(name, frozenset())
            if name == ADMIN:
                pairs |= {pair for pair in everything if not pair[1].startswith(OF_ONE_DAG)}
            elif name not in DEFAULT_ROLES:
                pairs |= {HOMEPAGE}
            yield name, pairs

    # ── rows ──

    def _read_names(self, table: Table) -> dict[str, int]:
        return {row.name: row.id for row in self._connection.execute(select(table.c.id, table.c.name))}

    def _read_pairs(self) -> dict[Pair, int]:
        """Permissions that are not about one DAG, and what is wanted of the others: there may be very many."""
        about_one = or_(*(resources.c.name.like(f"{prefix}%") for prefix in OF_ONE_DAG))
        wanted = {name for _, name in self._pairs if name.startswith(OF_ONE_DAG)}
        return {
            (row.action, row.resource): row.id
            for row in self._connection.execute(
                _PAIRS.where(or_(not_(about_one), resources.c.name.in_(wanted)) if wanted else not_(about_one))
            )
        }

    def _read_held(self) -> Mapping[str, frozenset[Pair]]:
        held: dict[str, set[Pair]] = {}
        wanted = self._wanted.keys() - {ADMIN}
        everywhere = and_(actions.c.name == HOMEPAGE[0], resources.c.name == HOMEPAGE[1])
        about_one = or_(*(resources.c.name.like(f"{prefix}%") for prefix in OF_ONE_DAG))
        statement = _HELD.where(or_(roles.c.name.in_(wanted), everywhere, and_(roles.c.name == ADMIN, not_(about_one))))
        for row in self._connection.execute(statement):
            held.setdefault(row.role, set()).add((row.action, row.resource))
        return {name: frozenset(pairs) for name, pairs in held.items()}

    def _store_names(self, table: Table, names: Iterable[str]) -> dict[str, int]:
        wanted = sorted(set(names))
        known = self._find_names(table, wanted)
        self._insert(table, ({"name": name} for name in wanted if name not in known))
        return self._find_names(table, wanted)

    def _find_names(self, table: Table, names: Collection[str]) -> dict[str, int]:
        query = select(table.c.id, table.c.name).where(table.c.name.in_(names))
        return {row.name: row.id for row in self._connection.execute(query)}

    def _insert(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        insert_many(self._connection, table, list(rows))


def _wanted(custom_roles: CustomRoles, there: Collection[str]) -> Iterator[tuple[str, frozenset[Pair]]]:
    """The default roles, and of the others those that do not stand yet."""
    yield from DEFAULT_ROLES.items()
    for name, what in custom_roles.items():
        if name not in DEFAULT_ROLES and name not in there:
            yield name, frozenset((one.action, one.resource) for one in what)


_PAIRS = (
    select(permissions.c.id, actions.c.name.label("action"), resources.c.name.label("resource"))
    .join_from(permissions, actions, permissions.c.permission_id == actions.c.id)
    .join(resources, permissions.c.view_menu_id == resources.c.id)
)
_HELD = (
    select(roles.c.name.label("role"), actions.c.name.label("action"), resources.c.name.label("resource"))
    .join_from(roles, role_permissions, roles.c.id == role_permissions.c.role_id)
    .join(permissions, role_permissions.c.permission_view_id == permissions.c.id)
    .join(actions, permissions.c.permission_id == actions.c.id)
    .join(resources, permissions.c.view_menu_id == resources.c.id)
)
