"""Which tables the change log watches, and what a change of their rows means.

What needs no record has no watch: a new user is in nobody's memory, and a login changes bookkeeping columns only.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

from asyncauth.db import cutoff_triggers
from asyncauth.db.tables import (
    actions,
    airflow_revocations,
    api_keys,
    cutoffs,
    group_roles,
    group_users,
    groups,
    permissions,
    resources,
    revocations,
    role_permissions,
    roles,
    user_roles,
    users,
)

PREFIX = "asyncauth_"
INSERT, UPDATE, DELETE, TRUNCATE = "insert", "update", "delete", "truncate"


@dataclass(frozen=True, slots=True)
class Watch:
    """What a change of a table's rows means."""

    table: Table
    kind: str
    item: Column[Any] | None
    """The column that tells, by its values before and after, which user or role changed; None: all of the kind."""
    inserts: bool
    """Whether a new row can change what is in memory."""
    matters: tuple[Column[Any], ...] = ()
    """The columns whose change counts; empty: all."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are compared."""
        return tuple(column.name for column in self.matters or self.table.columns)


_USER_COLUMNS = (users.c.id, users.c.username, users.c.first_name, users.c.last_name, users.c.email, users.c.active)
_API_KEY_COLUMNS = tuple(column for column in api_keys.columns if column is not api_keys.c.last_used_at)
WATCHED = (
    Watch(users, "user", users.c.id, inserts=False, matters=_USER_COLUMNS),
    Watch(user_roles, "user", user_roles.c.user_id, inserts=True),
    Watch(group_users, "user", group_users.c.user_id, inserts=True),
    Watch(group_roles, "user", None, inserts=True),
    Watch(groups, "user", None, inserts=False, matters=(groups.c.id,)),
    Watch(roles, "role", roles.c.id, inserts=False),
    Watch(role_permissions, "role", role_permissions.c.role_id, inserts=True),
    Watch(permissions, "role", None, inserts=False),
    Watch(actions, "role", None, inserts=False),
    Watch(resources, "role", None, inserts=False),
    # When it was last used is written in batches, and is in nobody's memory.
    Watch(api_keys, "api_key", api_keys.c.id, inserts=False, matters=_API_KEY_COLUMNS),
)
"""Cascades need no watch of their own: the parent's delete tells, and on MariaDB only the parent's trigger fires."""
TOKENS = (revocations, airflow_revocations)


def watched_names() -> set[str]:
    """The tables with triggers of ours, where all stand."""
    return {table.name for table in (*(watch.table for watch in WATCHED), *TOKENS, cutoffs)}


def expected(dialect: str, tables: Collection[str]) -> set[tuple[str, str]]:
    """The (trigger, table) pairs that have to stand where `tables` stand."""
    pairs = {
        (trigger_name(watch.table, event), watch.table.name)
        for watch in WATCHED
        for event in events(watch, dialect)
        if watch.table.name in tables
    }
    pairs |= {(trigger_name(table, INSERT), table.name) for table in (*TOKENS, cutoffs) if table.name in tables}
    if cutoffs.name in tables and users.name in tables:
        pairs |= {(name, users.name) for name in cutoff_triggers.names(dialect)}
    return pairs


def trigger_name(table: Table, event: str) -> str:
    """What the trigger for an event is called."""
    return f"{PREFIX}{table.name}_{event}"


def events(watch: Watch, dialect: str) -> Iterator[str]:
    """What of a table has to be told."""
    # SQLite's REPLACE skips delete triggers, so there an insert tells.
    if watch.inserts or dialect == "sqlite":
        yield INSERT
    yield UPDATE
    yield DELETE
    if dialect == "postgresql":
        yield TRUNCATE
