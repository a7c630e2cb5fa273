"""What `asyncauth doctor` asks a database beyond its tables: its clock, and who would gain rights by `group_roles`."""

import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal_column, select, true

from asyncauth.db.findings import Finding
from asyncauth.db.indexes import lacks_index
from asyncauth.db.state import look
from asyncauth.db.tables import group_roles, group_users, roles, user_roles, users

_TOLERANCE_SECONDS = 2.0
_SHOWN = 20
_MANY_HELD = 10_000
"""Roles held by all users together, from which on one feels that an index lacks."""


def examine(connection: Connection, group_roles_setting: bool | None, admin_role: str) -> list[Finding]:
    """Look at it. `group_roles_setting` and `admin_role`: as in the settings."""
    if look(connection).missing:
        return []
    return [
        *_clock(connection),
        *_gains(connection, group_roles_setting),
        *_administrators(connection, admin_role),
        *_index(connection),
    ]


def _clock(connection: Connection) -> Iterator[Finding]:
    seconds: ColumnElement[Any] | None = {
        "postgresql": func.extract("epoch", func.clock_timestamp()),
        "mysql": literal_column("UNIX_TIMESTAMP(NOW(6))"),
        "mariadb": literal_column("UNIX_TIMESTAMP(NOW(6))"),
    }.get(connection.dialect.name)
    if seconds is None:  # SQLite has the clock of this machine
        return
    before = time.time()
    theirs = float(connection.execute(select(seconds)).scalar_one())
    after = time.time()
    apart = theirs - (before + after) / 2
    if abs(apart) <= _TOLERANCE_SECONDS + (after - before) / 2:  # no more is known of an answer that took long
        yield Finding(ok=True, what=f"the database's clock differs from this machine's by {abs(apart):.1f} s")
    else:
        way = "ahead of" if apart > 0 else "behind"
        advice = "let both follow NTP: tokens would be refused too early, or end too late"
        yield Finding(ok=False, what=f"the database's clock is {abs(apart):.0f} s {way} this machine's", advice=advice)


def _gains(connection: Connection, setting: bool | None) -> Iterator[Finding]:
    """Who holds a role through a group and not directly."""
    counted = setting if setting is not None else not look(connection).fab_version
    direct = exists().where(user_roles.c.user_id == users.c.id, user_roles.c.role_id == group_roles.c.role_id)
    statement = (
        select(users.c.username, roles.c.name)
        .join_from(group_users, group_roles, group_users.c.group_id == group_roles.c.group_id)
        .join(users, users.c.id == group_users.c.user_id)
        .join(roles, roles.c.id == group_roles.c.role_id)
        .where(and_(~direct, users.c.active.is_(true())))
        .distinct()
        .order_by(users.c.username, roles.c.name)
    )
    found = connection.execute(statement).all()
    if not found:
        yield Finding(ok=True, what="nobody holds a role through a group alone")
        return
    names = ", ".join(f"{username} ({role})" for username, role in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    if counted:
        what = f"roles of groups count: without them these would lose rights: {names}{more}"
        yield Finding(ok=True, what=what)
    else:
        what = f"roles of groups do not count, as in FAB; with group_roles=true these would gain rights: {names}{more}"
        yield Finding(ok=True, what=what, advice="look at each of them before you set ASYNCAUTH_GROUP_ROLES=true")


def _administrators(connection: Connection, admin_role: str) -> Iterator[Finding]:
    statement = (
        select(func.count())
        .select_from(users)
        .join(user_roles, user_roles.c.user_id == users.c.id)
        .join(roles, roles.c.id == user_roles.c.role_id)
        .where(roles.c.name == admin_role, users.c.active.is_(true()))
    )
    count = connection.execute(statement).scalar_one()
    advice = "" if count else f"asyncauth db seed, then asyncauth users create --username NAME --role {admin_role} …"
    yield Finding(ok=True, what=f"{count} active users hold the role {admin_role} directly", advice=advice)


def _index(connection: Connection) -> Iterator[Finding]:
    held = connection.execute(select(func.count()).select_from(user_roles)).scalar_one()
    if held > _MANY_HELD and lacks_index(connection):
        what = f"{user_roles.name}.role_id has no index: changing a role reads the {held} roles that users hold"
        yield Finding(ok=True, what=what, advice="asyncauth db upgrade --add-indexes")
