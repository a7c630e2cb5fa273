"""API keys in the database: one is read by its id, and when they were used is written in batches."""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.engine import Database
from asyncauth.db.tables import api_keys, cutoffs
from asyncauth.tokens.api_keys import ApiKey, read_scope, scope_keys
from asyncauth.tokens.cutoffs import DELETED

log = logging.getLogger(__name__)
_PIECE = 100
_COLUMNS = (
    *(api_keys.c.id, api_keys.c.user_id, api_keys.c.hash, api_keys.c.scopes),
    *(api_keys.c.created_at, api_keys.c.expires_at, api_keys.c.revoked_at),
)
# Not from memory, where a cut-off is forgotten when the last token that it ends has expired: keys may live for longer.
_FORMER = select(func.max(cutoffs.c.at)).where(cutoffs.c.user_id == api_keys.c.user_id, cutoffs.c.reason == DELETED)
_READ = select(*_COLUMNS, _FORMER.correlate(api_keys).scalar_subquery().label("deleted_at")).where(
    api_keys.c.id == bindparam("key_id")
)
_NOTE = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("key_id"),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("used_at")),
    )
    .values(last_used_at=bindparam("used_at"))
)


async def find_key(database: Database, key_id: int) -> ApiKey | None:
    """One key, revoked and expired ones too; that of a deleted owner counts as revoked. None: there is none of this id,
    or what stands there is no key.

    Raises:
        DatabaseUnavailableError: see `Database.ask`.
    """
    rows = await database.ask(_READ, {"key_id": key_id})
    return _key(rows[0]) if rows else None


def _key(row: Any) -> ApiKey | None:
    try:
        scope = None if row.scopes is None else scope_keys(read_scope(row.scopes))
        digest = bytes.fromhex(row.hash)
    except (ValueError, RecursionError):
        log.warning("the API key %d is refused: its row was not written by us", row.id)
        return None
    revoked_at = row.revoked_at
    if revoked_at is None and row.deleted_at is not None and row.created_at <= row.deleted_at:
        revoked_at = row.deleted_at
    return ApiKey(row.id, row.user_id, digest, scope, row.created_at, row.expires_at, revoked_at)


async def note_uses(database: Database, used_at: Mapping[int, int]) -> None:
    """Write when keys were last used: id → seconds since the epoch. Never an earlier time than stands there.

    Raises:
        DatabaseUnavailableError: see `Database.write`; some may be written.
    """
    # In the order of the ids, in which two workers cannot come to wait for each other.
    rows = [{"key_id": key_id, "used_at": at} for key_id, at in sorted(used_at.items())]
    for start in range(0, len(rows), _PIECE):
        piece = rows[start : start + _PIECE]

        async def work(connection: AsyncConnection, piece: list[dict[str, int]] = piece) -> None:
            await connection.execute(_NOTE, piece)

        await database.write(work)
