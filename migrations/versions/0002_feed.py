"""The change log, the triggers that write it, and the row that names this database.

FAB's tables get triggers and nothing else; the downgrade takes them away again. An account that may not create triggers
(on MariaDB and MySQL with binary logging: one without SUPER) gets none: `asyncauth db check` and `/ready` say so, and
the server works with shorter bounds. Run `asyncauth db upgrade` with an account that may, and they are made.
"""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARBINARY

from asyncauth.db.triggers import create_triggers, drop_triggers, try_to_create_triggers

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EXACT = sa.String(255).with_variant(VARBINARY(255), "mysql", "mariadb")
STAMPED = (
    *("*", "ab_user", "ab_user_role", "ab_group", "ab_user_group", "ab_group_role"),
    *("ab_permission", "ab_view_menu", "ab_permission_view", "ab_role", "ab_permission_view_role"),
)
"""The rows of the table that version 0001 works with."""
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_NOW = {
    "postgresql": "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    "sqlite": "(CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))",
    "mysql": "(CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED))",
}


def upgrade() -> None:
    """Safe to run again where it was cut off."""
    offline = op.get_context().as_sql
    bind = op.get_bind()
    existing = set() if offline else set(sa.inspect(bind).get_table_names())
    if "asyncauth_change" not in existing:
        _create_log(bind)
    if "asyncauth_feed" not in existing:
        op.create_table(
            "asyncauth_feed",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("epoch", sa.String(36), nullable=False),
            sa.Column("purged", sa.BigInteger, nullable=False),
        )
    columns = sa.column("id", sa.Integer), sa.column("epoch", sa.String), sa.column("purged", sa.BigInteger)
    feed = sa.table("asyncauth_feed", *columns)
    if offline or bind.execute(sa.select(feed.c.id)).first() is None:
        op.execute(sa.insert(feed).values(id=1, epoch=str(uuid.uuid4()), purged=0))
    if offline:
        create_triggers(bind, offline=True, without=("asyncauth_cutoff", "asyncauth_api_key"))
    else:
        try_to_create_triggers(bind)
    op.drop_table("asyncauth_stamp", if_exists=True)


def downgrade() -> None:
    """Take the triggers away before the table that they write to: in between nobody's writes would work."""
    drop_triggers(op.get_bind())
    op.drop_table("asyncauth_change", if_exists=True)
    if _has_sequences(op.get_bind()):
        op.execute("DROP SEQUENCE IF EXISTS asyncauth_change_id_seq")
    op.drop_table("asyncauth_feed", if_exists=True)
    stamps = op.create_table(
        "asyncauth_stamp",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(stamps, [{"name": name, "position": 0} for name in STAMPED])


def _has_sequences(bind: sa.Connection) -> bool:
    """MariaDB. AUTO_INCREMENT would be drawn under a lock that a statement holds to its end, if it is anything but a
    plain INSERT: two writers could deadlock on it. MySQL 8 has no such lock, and no sequences."""
    return bind.dialect.name in {"mysql", "mariadb"} and bind.dialect.supports_sequences


def _create_log(bind: sa.Connection) -> None:
    dialect = "mysql" if bind.dialect.name == "mariadb" else bind.dialect.name
    sequences = _has_sequences(bind)
    if sequences:
        op.execute("CREATE SEQUENCE IF NOT EXISTS asyncauth_change_id_seq")
    identity = [sa.Identity(always=True)] if dialect == "postgresql" else []
    op.create_table(
        "asyncauth_change",
        sa.Column("id", _ID, *identity, primary_key=True, autoincrement=not sequences),
        sa.Column(
            "xid",
            sa.BigInteger,
            server_default=sa.text("(pg_current_xact_id()::text::bigint)") if dialect == "postgresql" else None,
        ),
        sa.Column("at", sa.BigInteger, nullable=False, server_default=sa.text(_NOW[dialect])),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item", sa.BigInteger),
        sa.Column("iss", EXACT),
        sa.Column("jti", EXACT),
        sa.Column("exp", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    if dialect == "postgresql":
        op.create_index("ix_asyncauth_change_xid", "asyncauth_change", ["xid"])
