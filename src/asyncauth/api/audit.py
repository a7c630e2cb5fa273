"""Reading who changed what."""

from typing import Annotated

from fastapi import APIRouter, Query

from asyncauth import admin
from asyncauth.api.parts import Limit, Manager, Offset, OrderBy, acting
from asyncauth.api.problems import OurRoute, our_errors
from asyncauth.api.schemas import AuditCollectionResponse, AuditRecordResponse, SubjectKind

router = APIRouter(route_class=OurRoute)
Text = Annotated[str | None, Query()]
Seconds = Annotated[int | None, Query(description="Seconds since the epoch.")]


@router.get("/audit", responses=our_errors(), dependencies=[acting("can_read", "All Audit Logs")])
async def list_audit(
    auth: Manager,
    limit: Limit,
    offset: Offset = 0,
    order_by: OrderBy = "-id",
    actor: Text = None,
    actor_id: int | None = None,
    what: Text = None,
    subject_kind: SubjectKind | None = None,
    subject_id: int | None = None,
    subject: Text = None,
    since: Seconds = None,
    until: Seconds = None,
) -> AuditCollectionResponse:
    """List changes, the latest first; ordered by `id` or `at`. `since` is included, `until` is not."""
    page = await admin.list_audit(
        auth,
        limit=limit,
        offset=offset,
        order_by=order_by,
        actor=actor,
        actor_id=actor_id,
        what=what,
        subject_kind=subject_kind,
        subject_id=subject_id,
        subject=subject,
        since=since,
        until=until,
    )
    return AuditCollectionResponse(
        records=[AuditRecordResponse.of(record) for record in page.items], total_entries=page.total
    )
