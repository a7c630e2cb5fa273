"""Two users, two roles and a permission that moves: one holds it in every committed state, the other in none."""

from dataclasses import dataclass

from sqlalchemy import Update, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, User
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import role_permissions, user_roles, users
from asyncauth.model import PermissionKey, permission_key
from tests.rows import add_role, add_user, grant

ACTION = "can_read"
MOVED = "DAG:moved"
OWN = ("DAG:first", "DAG:second")
"""What each role permits in any state."""


@dataclass
class World:
    """The rows. They have two states: the holder of the permission has the first role or the second."""

    holder: int
    other: int
    roles: tuple[int, int]
    permission: int
    own: tuple[int, int]
    """The permissions behind `OWN`."""
    state: int = 0

    async def swap(self, connection: AsyncConnection) -> None:
        """Go to the other state: each user gets the other's role, and the permission goes with its holder."""
        before, after = self.roles[self.state], self.roles[1 - self.state]
        await self.move_permission(connection)
        for user_id, role_id in ((self.holder, after), (self.other, before)):
            await connection.execute(update(user_roles).where(user_roles.c.user_id == user_id).values(role_id=role_id))
        self.state = 1 - self.state

    def check(self, user: User) -> None:
        """Whatever the state: not both, not neither."""
        assert len(user.roles) == 1
        assert allows(user, MOVED) == (user.id == self.holder), f"torn: {user.roles}"
        assert allows(user, OWN[self.roles.index(user.roles[0].id)])

    @property
    def moved_key(self) -> PermissionKey:
        """The permission that moves."""
        return permission_key(ACTION, MOVED)

    async def share(self, connection: AsyncConnection) -> None:
        """Give both users both roles; from then on only `move`."""
        for user_id, role_id in ((self.holder, self.roles[1]), (self.other, self.roles[0])):
            await insert_row(connection, user_roles, user_id=user_id, role_id=role_id)

    async def move(self, connection: AsyncConnection) -> None:
        """Let the permission go from one role to the other, and the second user lose the role that gives it up."""
        before = self.roles[self.state]
        await self.move_permission(connection)
        mine = user_roles.c.user_id == self.other, user_roles.c.role_id == before
        await connection.execute(delete(user_roles).where(*mine))
        self.state = 1 - self.state

    async def move_permission(self, connection: AsyncConnection) -> None:
        """The first statement of both: by itself it leaves a state that no transaction ever commits."""
        moved = role_permissions.c.permission_view_id == self.permission
        await connection.execute(update(role_permissions).where(moved).values(role_id=self.roles[1 - self.state]))

    async def take(self, connection: AsyncConnection, number: int = 0) -> None:
        """Take from a role what it permits in any state."""
        await connection.execute(delete(role_permissions).where(role_permissions.c.id == self.own[number]))

    def rename(self, name: str) -> Update:
        """A statement that writes one record."""
        return update(users).where(users.c.id == self.other).values(first_name=name)

    async def end(self, connection: AsyncConnection, user_id: int) -> None:
        """Take all roles from a user."""
        await connection.execute(delete(user_roles).where(user_roles.c.user_id == user_id))


async def make_world(engine: AsyncEngine) -> World:
    """The rows in their first state. SQLite keeps a write-ahead log, so that readers do not wait for writers."""
    async with engine.begin() as connection:
        roles = [await add_role(connection, name) for name in ("First", "Second")]
        own = [await grant(connection, role, ACTION, name) for role, name in zip(roles, OWN, strict=True)]
        holder = await add_user(connection, "holder", roles=roles[:1])
        other = await add_user(connection, "other", roles=roles[1:])
        permission = await grant(connection, roles[0], ACTION, MOVED)
        links = role_permissions.c
        found = await connection.execute(
            links.id.table.select().where(links.permission_view_id.in_(own)).order_by(links.role_id)
        )
        own_links = [row.id for row in found]
    if engine.dialect.name == "sqlite":
        async with engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    return World(holder, other, (roles[0], roles[1]), permission, (own_links[0], own_links[1]))


def allows(user: User, resource: str) -> bool:
    """Whether a user may read something."""
    return any(key.endswith(resource) for role in user.roles for key in role.keys)


async def may(auth: AuthManager, user_id: int, resource: str) -> bool:
    """Whether a manager lets a user read something."""
    return bool(auth.decide(await auth.get_user(user_id), ACTION, resource))


async def note_nothing(connection: AsyncConnection) -> None:
    """Be a writer whose changes concern nobody here."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql("SELECT pg_current_xact_id()")
    else:
        await connection.execute(
            insert(role_permissions.metadata.tables["ab_register_user"]).values(
                id=1, first_name="", last_name="", username="x", email="x@example.org"
            )
        )
