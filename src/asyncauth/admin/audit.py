"""Who changed what: reading the audit table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.admin.paging import Page, paged
from asyncauth.db.tables import audit
from asyncauth.manager import AuthManager

_LAST_ID = 2**63 - 1
_ORDERS = {"id": audit.c.id, "at": audit.c.at}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One change. Names are those of that moment."""

    id: int
    at: int
    """Seconds since the epoch."""
    actor_id: int | None
    actor: str | None
    """None: the system."""
    address: str | None
    what: str
    subject_kind: str
    """`user`, `role`, `permission`, `group` or `api_key`."""
    subject_id: int | None
    subject: str
    before: dict[str, Any] | None = field(repr=False)
    """Of what changed only; of sets of permissions, those taken away."""
    after: dict[str, Any] | None = field(repr=False)
    """Of what changed only; of sets of permissions, those granted."""


async def list_audit(
    auth: AuthManager,
    *,
    limit: int = 100,
    offset: int = 0,
    order_by: str = "-id",
    actor: str | None = None,
    actor_id: int | None = None,
    what: str | None = None,
    subject_kind: str | None = None,
    subject_id: int | None = None,
    subject: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Page[AuditRecord]:
    """Changes, the latest first.

    Args:
        auth: the manager.
        limit, offset, order_by: the page; `id` or `at`, with `-` in front from the last to the first.
        actor, actor_id, what, subject_kind, subject_id, subject: only those that are equal; names as the database
            compares them. Ids, times and kinds with an id are indexed.
        since, until: only those made then or later, and before then: seconds since the epoch.

    Raises:
        InvalidValueError: the page is none.
        UnavailableError: the database did not answer.
    """
    names = {"actor": actor, "what": what, "subject_kind": subject_kind, "subject": subject}
    ids = {"actor_id": actor_id, "subject_id": subject_id}
    where = [audit.c[name] == value for name, value in (names | ids).items() if value is not None]
    if since is not None:
        where.append(audit.c.at >= max(-_LAST_ID, min(since, _LAST_ID)))
    if until is not None:
        where.append(audit.c.at < max(-_LAST_ID, min(until, _LAST_ID)))
    every = select(*audit.columns).where(*where)
    page = paged(every, limit=limit, offset=offset, order_by=order_by, columns=_ORDERS, last=audit.c.id)
    # Drivers refuse these, each with an error of its own.
    if not all(map(str.isprintable, filter(None, names.values()))) or any(
        abs(one or 0) > _LAST_ID for one in ids.values()
    ):
        return Page((), 0)

    async def work(session: AsyncSession) -> tuple["Sequence[Row[Any]]", int]:
        total = await session.scalar(select(func.count()).select_from(audit).where(*where))
        return (await session.execute(page)).all(), total or 0

    rows, total = await auth.read(work)
    return Page(tuple(_record(row) for row in rows), total)


def _record(row: Any) -> AuditRecord:
    values = dict(row._mapping)
    return AuditRecord(**(values | {name: _parse(values[name]) for name in ("before", "after")}))


def _parse(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:  # somebody else wrote it
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
