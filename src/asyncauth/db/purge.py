"""Old records of the change log, deleted in small pieces by whoever comes first."""

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.engine import Database
from asyncauth.db.tables import changes, feed

_PIECE = 200


async def purge_changes(database: Database, now: float, retention_seconds: float) -> int:
    """Delete records older than `retention_seconds`; returns how many.

    Raises:
        DatabaseUnavailableError: see `Database.write`.
    """
    total = 0
    while True:
        deleted = await database.write(lambda connection: _purge_piece(connection, now, retention_seconds))
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
