"""What administrators changed: the audit table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_JSON = sa.Text().with_variant(MEDIUMTEXT, "mysql", "mariadb")
_INDEXES = {"at": ["at"], "actor_id": ["actor_id"], "subject": ["subject_kind", "subject_id"]}


def upgrade() -> None:
    """Safe to run again where it was cut off: MariaDB and MySQL commit every DDL statement by itself."""
    offline = op.get_context().as_sql
    bind = op.get_bind()
    identity = [sa.Identity(always=True)] if bind.dialect.name == "postgresql" else []
    existing = set() if offline else set(sa.inspect(bind).get_table_names())
    if "asyncauth_audit" not in existing:
        op.create_table(
            "asyncauth_audit",
            sa.Column("id", _ID, *identity, primary_key=True),
            sa.Column("at", sa.BigInteger, nullable=False),
            sa.Column("actor_id", sa.BigInteger),
            sa.Column("actor", sa.String(512)),
            sa.Column("address", sa.String(64)),
            sa.Column("what", sa.String(32), nullable=False),
            sa.Column("subject_kind", sa.String(16), nullable=False),
            sa.Column("subject_id", sa.BigInteger),
            sa.Column("subject", sa.String(512), nullable=False),
            sa.Column("before", _JSON),
            sa.Column("after", _JSON),
            sqlite_autoincrement=True,
        )
    there = set() if offline else {index["name"] for index in sa.inspect(bind).get_indexes("asyncauth_audit")}
    for name, columns in _INDEXES.items():
        if f"ix_asyncauth_audit_{name}" not in there:
            op.create_index(f"ix_asyncauth_audit_{name}", "asyncauth_audit", columns)


def downgrade() -> None:
    op.drop_table("asyncauth_audit", if_exists=True)
