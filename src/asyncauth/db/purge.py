"""Old rows of our tables, deleted in small pieces by whoever comes first, never on a request."""

from collections.abc import Awaitable, Callable
from math import floor
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.engine import Database
from asyncauth.db.tables import api_keys, changes, cutoffs, feed, logins, refresh_tokens, revocations
from asyncauth.tokens.cutoffs import DELETED

_PIECE = 200
_MARGIN_SECONDS = 3600
"""Rows stay for longer than they matter: another worker's clock may be late."""


async def purge_changes(database: Database, now: float, retention_seconds: float) -> int:
    """Delete records older than `retention_seconds`; returns how many.

    Raises:
        DatabaseUnavailableError: see `Database.write`.
    """
    return await _in_pieces(database, lambda connection: _purge_piece(connection, now, retention_seconds))


async def purge_expired(database: Database, now: float, *, leeway_seconds: int, max_age_seconds: int) -> int:
    """Delete what ends tokens that have expired, and what can be refreshed or used no more; returns how many rows.

    Args:
        now: in seconds since the epoch.
        leeway_seconds: how long after its expiry a token is still accepted.
        max_age_seconds: how old a token may be.

    Raises:
        DatabaseUnavailableError: see `Database.write`.
    """
    at = floor(now) - leeway_seconds - _MARGIN_SECONDS
    rows = 0
    # The cut-offs come last: without them a deleted user's keys and logins would be those of the next one of that id.
    for table, condition in (
        (revocations, revocations.c.exp <= at),
        (logins, or_(logins.c.expires_at <= at, _is_cut_off(logins.c.user_id, logins.c.started_at))),
        (refresh_tokens, or_(refresh_tokens.c.expires_at <= at, _has_no_login())),
        (api_keys, _is_cut_off(api_keys.c.user_id, api_keys.c.created_at, cutoffs.c.reason == DELETED)),
        (cutoffs, cutoffs.c.at <= at - max_age_seconds),
    ):
        rows += await _purge_rows(database, table, condition)
    return rows


def _is_cut_off(user_id: ColumnElement[int], since: ColumnElement[int], *more: ColumnElement[bool]) -> Any:
    return select(cutoffs.c.id).where(and_(cutoffs.c.user_id == user_id, cutoffs.c.at >= since, *more)).exists()


def _has_no_login() -> ColumnElement[bool]:
    return ~select(logins.c.id).where(logins.c.id == refresh_tokens.c.login_id).exists()


async def _purge_rows(database: Database, table: Table, condition: ColumnElement[bool]) -> int:
    keys = list(table.primary_key)
    one = delete(table).where(*(key == bindparam(f"old_{key.name}") for key in keys))

    async def piece(connection: AsyncConnection) -> int:
        rows = (await connection.execute(select(*keys).where(condition).limit(_PIECE))).all()
        if rows:  # one by one: see below
            names = [f"old_{key.name}" for key in keys]
            await connection.execute(one, [dict(zip(names, row, strict=True)) for row in rows])
        return len(rows)

    return await _in_pieces(database, piece)


async def _in_pieces(database: Database, piece: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    total = 0
    while True:
        deleted = await database.write(piece)
        total += deleted
        if deleted < _PIECE:
            return total


async def _purge_piece(connection: AsyncConnection, now: float, retention_seconds: float) -> int:
    old = changes.c.at < int((now - retention_seconds) * 1_000_000)
    ids = (
        (await connection.execute(select(changes.c.id).where(old).order_by(changes.c.id).limit(_PIECE))).scalars().all()
    )
    if not ids:
        return 0
    # In the same transaction: a follower that has not read them must learn that they are gone.
    await connection.execute(update(feed).where(feed.c.purged < ids[-1]).values(purged=ids[-1]))
    # One by one: to delete several, MariaDB locks the gaps around them too, the one where writers add theirs included.
    await connection.execute(delete(changes).where(changes.c.id == bindparam("old")), [{"old": id_} for id_ in ids])
    return len(ids)
