"""FAB's tables in an empty database, and our own.

A database that the FAB provider made is adopted: its tables stay exactly as they are. `revoked_token` is Airflow's and
never made here: Airflow's own migration would fail on it. The downgrade removes our tables only; the `ab_*` tables hold
the users, and stay.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARBINARY

from asyncauth.db.state import CREATING, look
from asyncauth.db.tables import fab

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

EXACT = sa.String(255).with_variant(VARBINARY(255), "mysql", "mariadb")
STAMPED = (
    *("ab_user", "ab_user_role", "ab_group", "ab_user_group", "ab_group_role"),
    *("ab_permission", "ab_view_menu", "ab_permission_view", "ab_role", "ab_permission_view_role"),
)
stamps = sa.table("asyncauth_stamp", sa.column("name", sa.String), sa.column("position", sa.BigInteger))


def upgrade() -> None:
    """Safe to run again where it was cut off: MariaDB and MySQL commit every DDL statement by itself."""
    offline = op.get_context().as_sql
    bind = op.get_bind()
    _create_own(existing=set() if offline else set(sa.inspect(bind).get_table_names()))
    if offline:
        if not op.get_context().opts["adopted"]:
            fab.create_all(bind, checkfirst=False)
    elif (state := look(bind)).empty or state.creating:
        _create_fab(bind, marked=state.creating)
    there = set() if offline else set(bind.execute(sa.select(stamps.c.name)).scalars())
    rows = [{"name": name, "position": 0} for name in ("*", *STAMPED) if name not in there]
    op.bulk_insert(stamps, rows)


def downgrade() -> None:
    """Remove our tables. Never the `ab_*` tables: that would lose the users."""
    op.drop_table("asyncauth_revoked_token", if_exists=True)
    op.drop_table("asyncauth_stamp", if_exists=True)


def _create_own(existing: set[str]) -> None:
    if "asyncauth_stamp" not in existing:
        op.create_table(
            "asyncauth_stamp",
            sa.Column("name", sa.String(64), primary_key=True),
            sa.Column("position", sa.BigInteger, nullable=False),
        )
    if "asyncauth_revoked_token" not in existing:
        op.create_table(
            "asyncauth_revoked_token",
            sa.Column("iss", EXACT, primary_key=True),
            sa.Column("jti", EXACT, primary_key=True),
            sa.Column("exp", sa.BigInteger, nullable=False),
        )
    indexes = sa.inspect(op.get_bind()).get_indexes("asyncauth_revoked_token") if existing else []
    if not indexes:
        op.create_index("ix_asyncauth_revoked_token_exp", "asyncauth_revoked_token", ["exp"])


def _create_fab(bind: sa.Connection, *, marked: bool) -> None:
    if not marked:
        bind.execute(sa.insert(stamps).values(name=CREATING, position=0))
    fab.create_all(bind)
    for table in fab.tables.values():
        for index in table.indexes:  # create_all() passes over those of a table that it finds
            index.create(bind, checkfirst=True)
    bind.execute(sa.delete(stamps).where(stamps.c.name == CREATING))
