"""The frame of every change: one transaction, one at a time, written to the audit table in the same transaction."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.tables import audit, feed, users
from asyncauth.errors import ForbiddenError
from asyncauth.manager import AuthManager
from asyncauth.model import PermissionKey, User, Written

T = TypeVar("T")
_ADDRESS_LENGTH = 64
_LAST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change, and from where. Where a use case takes None, the system does: it may do everything."""

    user_id: int | None
    """None: nobody with rights of their own, such as an operator at the command line: they may do everything."""
    name: str
    address: str | None = None
    """As the server sees it; for the audit table only."""
    scope: frozenset[PermissionKey] | None = None
    """What the API key that was shown may at most; None: it narrows nothing."""

    @classmethod
    def of(cls, user: User, address: str | None = None) -> "Actor":
        """The user of a request."""
        return cls(user.id, user.username, address, user.scope)


@dataclass(frozen=True, slots=True)
class Change:
    """A change under way: what its steps share."""

    connection: AsyncConnection
    actor: Actor | None
    clock: Callable[[], float]
    group_roles: bool
    """Whether roles of a user's groups count."""
    admin_role: str

    @property
    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self.clock())

    @property
    def actor_id(self) -> int | None:
        """The id of the user who makes the change; None: the system."""
        return None if self.actor is None else self.actor.user_id

    def is_by(self, user_id: int) -> bool:
        """Whether that user makes the change, with all the rights that are theirs."""
        return self.actor is not None and self.actor.user_id == user_id and self.actor.scope is None

    async def record(
        self,
        what: str,
        kind: str,
        subject_id: int | None,
        subject: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what was done into the audit table. Never a secret: of a password only that it changed.

        Args:
            what: `update`, `grant_role`, …
            kind: `user`, `role`, `permission`, `group` or `api_key`; with its id and the name it has after the change.
            before, after: of what changed, and of nothing else.
        """
        actor = self.actor
        values = {
            "at": self.now,
            "actor_id": self.actor_id,
            "actor": None if actor is None else actor.name[:512],
            "address": None if actor is None else _clean(actor.address),
            "what": what,
            "subject_kind": kind,
            "subject_id": subject_id,
            "subject": subject,
            "before": _json(before),
            "after": _json(after),
        }
        await self.connection.execute(insert(audit).values(values))


async def change(auth: AuthManager, actor: Actor | None, work: Callable[[Change], Awaitable[T]]) -> Written[T]:
    """Run a use case in one transaction, after all others that were begun before it.

    INVARIANT: what `work` reads stays as it is until its transaction ends, as far as use cases change it: they come one
    after the other, whatever worker runs them. So two cannot remove the last two administrators, undo each other's
    work unseen, or lock rows in different orders. Other programs are not held back by this; against them, rows that are
    compared and then changed are locked as well. The nodes of a Galera cluster share no locks:
    let one of them take all changes.

    Raises:
        ForbiddenError: the actor is gone or switched off.
        ChangeError: raised by `work`, or a unique constraint refused it; nothing was written.
        DatabaseUnavailableError: see `AuthManager.write`.
    """

    async def transaction(connection: AsyncConnection) -> T:
        await _take_turn(connection)
        if actor is not None and actor.user_id is not None:
            await _require_active(connection, actor.user_id)
        return await work(Change(connection, actor, auth.now, auth.group_roles, auth.settings.admin_role))

    return await auth.write(transaction)


async def _take_turn(connection: AsyncConnection) -> None:
    # The first statement, and one that writes: on MariaDB and MySQL the snapshot begins after the wait; on PostgreSQL
    # an engine of the application's own that is REPEATABLE READ gets an error instead of a snapshot from before it.
    # SQLite has one writer at a time by itself.
    if connection.dialect.name != "sqlite":
        await connection.execute(update(feed).where(feed.c.id == 1).values(purged=feed.c.purged))


async def _require_active(connection: AsyncConnection, user_id: int) -> None:
    # A locking read as well: on MariaDB and MySQL a plain one would begin the snapshot before the rows of the change
    # are locked, and what other programs commit while it waits for them would not be seen.
    row = select(users.c.active).where(users.c.id == user_id).with_for_update()
    if not 0 < user_id <= _LAST_ID or await connection.scalar(row) is not True:
        raise ForbiddenError("who asks for the change is gone or inactive")


def local_now() -> datetime:
    """The time as FAB writes it into `ab_*`: local, without a zone."""
    return datetime.now()  # noqa: DTZ005


def _json(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else json.dumps(values, separators=(",", ":"), sort_keys=True)


def _clean(address: str | None) -> str | None:
    if address is None:
        return None
    return "".join(character for character in address if character.isprintable())[:_ADDRESS_LENGTH]
