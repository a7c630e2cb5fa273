"""The tables: FAB's `ab_*`, shared with Airflow, and our own `asyncauth_*`. No other file names an `ab_*` table.

The shapes of the `ab_*` tables are a contract with the FAB provider 3.10.2, not ours to evolve; a test compares them
with what the provider itself makes. The words differ: FAB's `ab_permission` is an action here, its `ab_view_menu` a
resource, its `ab_permission_view` a permission (a pair of the two).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, relationship
from sqlalchemy.types import TypeDecorator, TypeEngine

CONVENTION = {
    "ix": "idx_%(column_0_label)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
fab = MetaData(naming_convention=CONVENTION)
"""FAB's tables. Migrations create them in an empty database and never touch existing ones."""
own = MetaData()
"""Our tables."""


def _id(table: str) -> Column[int]:
    # A fresh FAB install on PostgreSQL has ids without a default: inserts must draw from this sequence.
    return Column("id", Integer, Sequence(f"{table}_id_seq", start=1, increment=1, minvalue=1), primary_key=True)


def _name(length: int) -> Column[str]:
    return Column("name", String(length), unique=True, nullable=False)


def _folded(length: int) -> TypeEngine[str]:
    return String(length).with_variant(String(length, collation="NOCASE"), "sqlite")


def _link(column: str, target: str) -> Column[int]:
    return Column(column, Integer, ForeignKey(f"{target}.id", ondelete="CASCADE"))


actions = Table("ab_permission", fab, _id("ab_permission"), _name(100))
resources = Table("ab_view_menu", fab, _id("ab_view_menu"), _name(250))
permissions = Table(
    "ab_permission_view",
    fab,
    _id("ab_permission_view"),
    Column("permission_id", Integer, ForeignKey("ab_permission.id"), nullable=False),
    Column("view_menu_id", Integer, ForeignKey("ab_view_menu.id"), nullable=False),
    UniqueConstraint("permission_id", "view_menu_id"),
)
roles = Table("ab_role", fab, _id("ab_role"), _name(64))
role_permissions = Table(
    "ab_permission_view_role",
    fab,
    _id("ab_permission_view_role"),
    _link("permission_view_id", "ab_permission_view"),
    _link("role_id", "ab_role"),
    UniqueConstraint("permission_view_id", "role_id"),
    Index("idx_permission_view_id", "permission_view_id"),
    Index("idx_role_id", "role_id"),
)
users = Table(
    "ab_user",
    fab,
    _id("ab_user"),
    Column("first_name", String(256), nullable=False),
    Column("last_name", String(256), nullable=False),
    Column("username", _folded(512), unique=True, nullable=False),
    Column("password", String(256)),
    Column("active", Boolean),
    Column("email", String(512), unique=True, nullable=False),
    Column("last_login", DateTime),
    Column("login_count", Integer),
    Column("fail_login_count", Integer),
    Column("created_on", DateTime),
    Column("changed_on", DateTime),
    Column("created_by_fk", Integer, ForeignKey("ab_user.id")),
    Column("changed_by_fk", Integer, ForeignKey("ab_user.id")),
)
user_roles = Table(
    "ab_user_role",
    fab,
    _id("ab_user_role"),
    _link("user_id", "ab_user"),
    _link("role_id", "ab_role"),
    UniqueConstraint("user_id", "role_id"),
)
groups = Table(
    "ab_group", fab, _id("ab_group"), _name(100), Column("label", String(150)), Column("description", String(512))
)
group_users = Table(
    "ab_user_group",
    fab,
    _id("ab_user_group"),
    _link("user_id", "ab_user"),
    _link("group_id", "ab_group"),
    UniqueConstraint("user_id", "group_id"),
    Index("idx_user_id", "user_id"),
    Index("idx_user_group_id", "group_id"),
)
group_roles = Table(
    "ab_group_role",
    fab,
    _id("ab_group_role"),
    _link("group_id", "ab_group"),
    _link("role_id", "ab_role"),
    UniqueConstraint("group_id", "role_id"),
    Index("idx_group_id", "group_id"),
    Index("idx_group_role_id", "role_id"),
)
registrations = Table(
    "ab_register_user",
    fab,
    _id("ab_register_user"),
    Column("first_name", String(256), nullable=False),
    Column("last_name", String(256), nullable=False),
    Column("username", _folded(512), unique=True, nullable=False),
    Column("password", String(256)),
    Column("email", String(512), unique=True, nullable=False),
    Column("registration_date", DateTime),
    Column("registration_hash", String(256)),
)
for _table in (users, registrations):
    Index(f"idx_{_table.name}_username", func.lower(_table.c.username), unique=True).ddl_if(dialect="postgresql")

FAB_VERSION_TABLE = "alembic_version_fab"
"""Stands where Airflow's FAB provider manages the `ab_*` tables."""

airflow_revocations = Table(
    "revoked_token", MetaData(), Column("jti", String(32), primary_key=True), Column("exp", DateTime, nullable=False)
)
"""Airflow core's own table. Read and written where it stands, never created: Airflow's migration would fail."""


class Exact(TypeDecorator[str]):
    """Text compared byte by byte. MariaDB's and MySQL's collations fold case and accents, or ignore trailing spaces, so
    there the migration makes it VARBINARY; it is bound as text all the same, because aiomysql cannot bind bytes."""

    impl = String(255)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value.decode() if isinstance(value, bytes) else value


changes = Table(
    "asyncauth_change",
    own,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("xid", BigInteger),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("item", BigInteger),
    Column("iss", Exact),
    Column("jti", Exact),
    Column("exp", BigInteger),
)
"""The change log, written by triggers. `kind` and `item` say what changed (see `db/watched.py`); `xid` is the writing
transaction on PostgreSQL, NULL elsewhere; `at` is when, in microseconds since the epoch. The database fills in `id`,
`xid` and `at`."""
feed = Table(
    "asyncauth_feed",
    own,
    Column("id", Integer, primary_key=True),
    Column("epoch", String(36), nullable=False),
    Column("purged", BigInteger, nullable=False),
)
"""One row that names this database; `purged` is the highest id of a record that was deleted."""

revocations = Table(
    "asyncauth_revoked_token",
    own,
    Column("iss", Exact, primary_key=True),
    Column("jti", Exact, primary_key=True),
    Column("exp", BigInteger, nullable=False, index=True),
)
"""Revoked tokens by issuer ("" for none) and id; `exp` in seconds since the epoch, when the row may go."""

cutoffs = Table(
    "asyncauth_cutoff",
    own,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("reason", String(16), nullable=False),
)
"""A user's tokens issued at `at` (seconds since the epoch) or before are refused. Rows are added, never changed: two
writers never wait for each other. `reason`: "password", "inactive", "deleted" or "logout". No foreign key to `ab_user`
here and below: the rows have to outlive the user, and FAB has to be able to drop its table."""
rehashes = Table(
    "asyncauth_rehash",
    own,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(256), nullable=False),
)
"""Stands within a transaction only: this new hash is of the same password, so it sets no cut-off."""
logins = Table(
    "asyncauth_login",
    own,
    Column("id", String(32), primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("ended_at", BigInteger),
)
"""A login that refresh tokens carry on: `expires_at` is when it ends whatever happens. Seconds since the epoch."""
refresh_tokens = Table(
    "asyncauth_refresh_token",
    own,
    Column("hash", Exact, primary_key=True),
    Column("login_id", String(32), nullable=False, index=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("spent_at", BigInteger),
    Column("graced_at", BigInteger),
)
"""Refresh tokens by their hash. `graced_at`: when the loser of two concurrent refreshes got a pair of its own."""
api_keys = Table(
    "asyncauth_api_key",
    own,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("scopes", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)
"""Keys of machines: `hash` is an HMAC of the secret in hexadecimal digits, `scopes` a JSON array of [action, resource]
pairs, NULL for all that the owner may. Times in seconds since the epoch."""
_json = Text().with_variant(MEDIUMTEXT, "mysql", "mariadb")
audit = Table(
    "asyncauth_audit",
    own,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("actor_id", BigInteger, index=True),
    Column("actor", String(512)),
    Column("address", String(64)),
    Column("what", String(32), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", BigInteger),
    Column("subject", String(512), nullable=False),
    Column("before", _json),
    Column("after", _json),
    Index("ix_asyncauth_audit_subject", "subject_kind", "subject_id"),
)
"""Who changed what, written in the transaction of the change. `at` in seconds since the epoch; `before` and `after` are
JSON objects of what changed. Names are those of that moment: the rows outlive whom they name."""


class Base(DeclarativeBase):
    metadata = fab


_direct = select(user_roles.c.user_id, roles.c.id, roles.c.name).join_from(
    user_roles, roles, user_roles.c.role_id == roles.c.id
)
_by_group = (
    select(group_users.c.user_id, roles.c.id, roles.c.name)
    .join_from(group_users, group_roles, group_users.c.group_id == group_roles.c.group_id)
    .join(roles, group_roles.c.role_id == roles.c.id)
)
_direct_role = _direct.subquery("direct_role")
_any_role = _direct.union_all(_by_group).subquery("any_role")

# selectinload asks such a subquery alone, with the user's id in the WHERE behind it, and databases push that down into
# both halves. SQLite does not do so through a UNION that removes doubles, nor through a join (`secondary`): it would
# read the roles of all users for each one. So a role that is held twice comes twice.


class DirectRole(Base):
    """A role that was granted to a user."""

    __table__ = _direct_role
    __mapper_args__ = {"primary_key": [_direct_role.c.user_id, _direct_role.c.id]}  # noqa: RUF012
    id: Mapped[int]
    name: Mapped[str]


class AnyRole(Base):
    """A role that was granted to a user or to one of the user's groups."""

    __table__ = _any_role
    __mapper_args__ = {"primary_key": [_any_role.c.user_id, _any_role.c.id]}  # noqa: RUF012
    id: Mapped[int]
    name: Mapped[str]


class UserRow(Base):
    """A user and the roles held: `direct_roles` only, or `all_roles`, those of the user's groups included."""

    __table__ = users
    # The other columns are nobody's business here, and SQLAlchemy would look at each of them for every user.
    __mapper_args__ = {"include_properties": ["id", "username", "first_name", "last_name", "email", "active"]}  # noqa: RUF012
    id: Mapped[int]
    username: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    email: Mapped[str]
    active: Mapped[bool | None]
    direct_roles: Mapped[list[DirectRole]] = relationship(
        primaryjoin=users.c.id == foreign(_direct_role.c.user_id), viewonly=True, lazy="raise"
    )
    all_roles: Mapped[list[AnyRole]] = relationship(
        primaryjoin=users.c.id == foreign(_any_role.c.user_id), viewonly=True, lazy="raise"
    )
