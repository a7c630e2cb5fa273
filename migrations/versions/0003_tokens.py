"""Cut-offs, refresh tokens and API keys, with the triggers that write and follow them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARBINARY

from asyncauth.db.triggers import create_triggers, drop_triggers, try_to_create_triggers

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

EXACT = sa.String(255).with_variant(VARBINARY(255), "mysql", "mariadb")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TABLES = ("asyncauth_cutoff", "asyncauth_rehash", "asyncauth_login", "asyncauth_refresh_token", "asyncauth_api_key")
_INDEXES = (
    *(("asyncauth_cutoff", "user_id"), ("asyncauth_cutoff", "at")),
    *(("asyncauth_login", "user_id"), ("asyncauth_login", "expires_at")),
    *(("asyncauth_refresh_token", "login_id"), ("asyncauth_refresh_token", "expires_at")),
    ("asyncauth_api_key", "user_id"),
)


def upgrade() -> None:
    """Safe to run again where it was cut off: MariaDB and MySQL commit every DDL statement by itself."""
    offline = op.get_context().as_sql
    bind = op.get_bind()
    sequences = bind.dialect.name in {"mysql", "mariadb"} and bind.dialect.supports_sequences
    identity = [sa.Identity(always=True)] if bind.dialect.name == "postgresql" else []
    existing = set() if offline else set(sa.inspect(bind).get_table_names())
    if sequences:
        # Triggers draw from it: AUTO_INCREMENT could make two writers wait for each other (see version 0002).
        op.execute("CREATE SEQUENCE IF NOT EXISTS asyncauth_cutoff_id_seq")
    if "asyncauth_cutoff" not in existing:
        op.create_table(
            "asyncauth_cutoff",
            sa.Column("id", _ID, *identity, primary_key=True, autoincrement=not sequences),
            sa.Column("user_id", sa.BigInteger, nullable=False),
            sa.Column("at", sa.BigInteger, nullable=False),
            sa.Column("reason", sa.String(16), nullable=False),
        )
    if "asyncauth_rehash" not in existing:
        op.create_table(
            "asyncauth_rehash",
            sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("hash", sa.String(256), nullable=False),
        )
    if "asyncauth_login" not in existing:
        op.create_table(
            "asyncauth_login",
            sa.Column("id", sa.String(32), primary_key=True),
            sa.Column("user_id", sa.BigInteger, nullable=False),
            sa.Column("started_at", sa.BigInteger, nullable=False),
            sa.Column("expires_at", sa.BigInteger, nullable=False),
            sa.Column("ended_at", sa.BigInteger),
        )
    if "asyncauth_refresh_token" not in existing:
        op.create_table(
            "asyncauth_refresh_token",
            sa.Column("hash", EXACT, primary_key=True),
            sa.Column("login_id", sa.String(32), nullable=False),
            sa.Column("expires_at", sa.BigInteger, nullable=False),
            sa.Column("spent_at", sa.BigInteger),
            sa.Column("graced_at", sa.BigInteger),
        )
    if "asyncauth_api_key" not in existing:
        op.create_table(
            "asyncauth_api_key",
            sa.Column("id", _ID, *identity, primary_key=True),
            sa.Column("user_id", sa.BigInteger, nullable=False),
            sa.Column("name", sa.String(100), nullable=False),
            sa.Column("hash", sa.String(64), nullable=False),
            sa.Column("scopes", sa.Text),
            sa.Column("created_at", sa.BigInteger, nullable=False),
            sa.Column("expires_at", sa.BigInteger),
            sa.Column("revoked_at", sa.BigInteger),
            sa.Column("last_used_at", sa.BigInteger),
            sqlite_autoincrement=True,
        )
    for table, column in _INDEXES:
        name = f"ix_{table}_{column}"
        indexes = [] if offline else sa.inspect(bind).get_indexes(table)
        if name not in {index["name"] for index in indexes}:
            op.create_index(name, table, [column])
    if offline:
        create_triggers(bind, offline=True)
    else:
        try_to_create_triggers(bind)


def downgrade() -> None:
    """Take away the triggers that write to the tables before the tables; version 0002 has the others made anew."""
    bind = op.get_bind()
    drop_triggers(bind)
    for table in reversed(_TABLES):
        op.drop_table(table, if_exists=True)
    if bind.dialect.name in {"mysql", "mariadb"} and bind.dialect.supports_sequences:
        op.execute("DROP SEQUENCE IF EXISTS asyncauth_cutoff_id_seq")
    try_to_create_triggers(bind)
