"""Cut-offs in the database: reading and writing them. Times in seconds since the epoch."""

from typing import Any

from sqlalchemy import ScalarSelect, Select, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.cutoff_triggers import REHASH_VARIABLE
from asyncauth.db.tables import cutoffs, rehashes, users
from asyncauth.errors import NotFoundError
from asyncauth.tokens.cutoffs import STEPS

LOGOUT = "logout"
"""The reason of a cut-off that somebody asked for."""
PASSWORD, INACTIVE = "password", "inactive"
"""Those that triggers write, beside the one of a deleted user."""
_LAST_ID = 2**31 - 1


def read_cutoffs(since: int) -> "Select[int, int, str]":
    """The latest cut-off after `since` of each user and reason: user id, time, reason."""
    latest = select(cutoffs.c.user_id, func.max(cutoffs.c.at), cutoffs.c.reason).where(cutoffs.c.at > since)
    return latest.group_by(cutoffs.c.user_id, cutoffs.c.reason)


def latest_cutoff() -> "ScalarSelect[int]":
    """The latest cut-off of the user that a statement finds in `ab_user`, to select beside it; -1: none."""
    latest = select(func.coalesce(func.max(cutoffs.c.at), -1)).where(cutoffs.c.user_id == users.c.id)
    return latest.correlate(users).scalar_subquery()


async def insert_cutoff(connection: AsyncConnection, user_id: int, now: int, reason: str) -> int:
    """Refuse what has been issued to a user; returns the time of the cut-off, which is `now` or, if the latest is not
    earlier, soon after that (see `STEPS`)."""
    latest = await connection.scalar(select(func.max(cutoffs.c.at)).where(cutoffs.c.user_id == user_id))
    at = now if latest is None else min(max(now, latest + 1), now + STEPS)
    values: dict[str, Any] = {"user_id": user_id, "at": at, "reason": reason}
    if connection.dialect.supports_sequences and connection.dialect.name != "postgresql":
        values["id"] = text(f"NEXTVAL({cutoffs.name}_id_seq)")
    await connection.execute(insert(cutoffs).values(values))
    return at


async def count_cutoffs(connection: AsyncConnection, user_id: int, reason: str) -> int:
    """How many of them a user has: one more after a change, if the trigger that sets them stands."""
    mine = cutoffs.c.user_id == user_id, cutoffs.c.reason == reason
    return await connection.scalar(select(func.count()).select_from(cutoffs).where(*mine)) or 0


async def require_user(connection: AsyncConnection, user_id: int) -> None:
    """Lock the user's row, as a refresh does, so that one of the two comes first. Raises NotFoundError."""
    # Drivers refuse larger numbers, each with an error of its own.
    query = select(users.c.id).where(users.c.id == user_id).with_for_update()
    if not 0 < user_id <= _LAST_ID or (await connection.execute(query)).first() is None:
        raise NotFoundError(f"no user has the id {user_id}")


async def upgrade_hash(connection: AsyncConnection, user_id: int, old: str, new: str) -> bool:
    """Put a better hash of the same password in the place of `old`, without ending the user's tokens; False: somebody
    has changed it meanwhile. Part of a transaction."""
    statement = update(users).where(users.c.id == user_id, users.c.password == old).values(password=new)
    if connection.dialect.name in {"mysql", "mariadb"}:
        await connection.execute(text(f"SET {REHASH_VARIABLE} = :hash"), {"hash": new})
        done = await connection.execute(statement)
        await connection.execute(text(f"SET {REHASH_VARIABLE} = NULL"))
    else:
        await connection.execute(insert(rehashes).values(user_id=user_id, hash=new))
        done = await connection.execute(statement)
        await connection.execute(delete(rehashes).where(rehashes.c.user_id == user_id))
    return done.rowcount == 1
