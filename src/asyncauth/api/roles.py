"""FAB's routes of roles and permissions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import Actor, RoleInfo
from asyncauth.api.parts import (
    CHANGED,
    CHANGED_ONE,
    READ_ONE,
    IfMatch,
    Limit,
    Manager,
    Name,
    Offset,
    OrderBy,
    acting,
    expected,
    parse_mask,
    put_etag,
    quote,
    require_order,
    take_value,
)
from asyncauth.api.problems import FabRoute, guarded_fab_errors
from asyncauth.api.schemas import (
    PermissionCollectionResponse,
    RoleBody,
    RoleCollectionResponse,
    RoleResponse,
    action_resources,
)
from asyncauth.errors import InvalidValueError
from asyncauth.manager import AuthManager

router = APIRouter(route_class=FabRoute)
_MASK = Query(description="Fields to change, with commas: `name`, `actions`. None: all that the body holds.")


@router.post("/roles", responses={200: CHANGED_ONE, **guarded_fab_errors(409)})
async def create_role(
    body: RoleBody, response: Response, auth: Manager, actor: Annotated[Actor, acting("can_create", "Roles")]
) -> RoleResponse:
    """Make a role; its actions and resources must be stored already."""
    made = take_value(response, await admin.create_role(auth, body.name, permissions=body.pairs, actor=actor))
    return _shown(response, RoleInfo(made.id, made.name, tuple(sorted(made.permissions))))


@router.get("/roles", responses=guarded_fab_errors(), dependencies=[acting("can_read", "Roles")])
async def get_roles(
    auth: Manager, limit: Limit, offset: Offset = 0, order_by: OrderBy = "name"
) -> RoleCollectionResponse:
    """List roles, ordered by `name` or `role_id`."""
    order = require_order(order_by, {"name", "role_id"})
    page = await admin.list_roles(auth, limit=limit, offset=offset, order_by=order)
    return RoleCollectionResponse(roles=[RoleResponse.of(role) for role in page.items], total_entries=page.total)


@router.get(
    "/roles/{name}", responses={200: READ_ONE, **guarded_fab_errors(404)}, dependencies=[acting("can_read", "Roles")]
)
async def get_role(name: Name, response: Response, auth: Manager) -> RoleResponse:
    """One role, by its exact name."""
    return _shown(response, await admin.get_role(auth, name))


@router.patch("/roles/{name}", responses={200: CHANGED_ONE, **guarded_fab_errors(404, 409, 412)})
async def patch_role(
    name: Name,
    body: RoleBody,
    response: Response,
    auth: Manager,
    actor: Annotated[Actor, acting("can_edit", "Roles")],
    update_mask: Annotated[str | None, _MASK] = None,
    if_match: IfMatch = None,
) -> RoleResponse:
    """Rename a role, or make its permissions exactly these, or both: what the body holds."""
    changes = await _changes(auth, name, body, update_mask)
    etag = await expected(if_match, lambda: _etag(auth, name))
    written = await admin.update_role(auth, name, **changes, if_match=etag, actor=actor)
    return _shown(response, take_value(response, written))


@router.delete("/roles/{name}", responses={200: CHANGED, **guarded_fab_errors(404, 409, 412)})
async def delete_role(
    name: Name,
    response: Response,
    auth: Manager,
    actor: Annotated[Actor, acting("can_delete", "Roles")],
    if_match: IfMatch = None,
) -> None:
    """Delete a role; nobody holds it any more."""
    etag = await expected(if_match, lambda: _etag(auth, name))
    take_value(response, await admin.delete_role(auth, name, if_match=etag, actor=actor))


@router.get("/permissions", responses=guarded_fab_errors(), dependencies=[acting("can_read", "Roles")])
async def get_permissions(
    auth: Manager, limit: Limit, offset: Offset = 0, order_by: OrderBy = "id"
) -> PermissionCollectionResponse:
    """List stored permissions, ordered by `id`, `action_id` or `resource_id`."""
    order = require_order(order_by, {"id", "action_id", "resource_id"})
    page = await admin.list_permissions(auth, limit=limit, offset=offset, order_by=order)
    return PermissionCollectionResponse(permissions=action_resources(page.items), total_entries=page.total)


async def _changes(auth: AuthManager, name: str, body: RoleBody, update_mask: str | None) -> dict[str, Any]:
    """What of the body is meant: fields that were sent, and are in the mask if there is one."""
    given: dict[str, Any] = {"name": body.name, "permissions": body.pairs}
    meant = body.model_fields_set & given.keys()
    if update_mask:
        masked = parse_mask(update_mask)
        if unknown := masked - {"name", "actions", "permissions"}:
            await admin.get_role(auth, name)  # 404 comes first, as with FAB
            raise InvalidValueError(f"{quote(unknown)} in update_mask is unknown")
        meant &= {"permissions" if field == "actions" else field for field in masked}
    return {{"name": "new_name"}.get(field, field): given[field] for field in meant}


async def _etag(auth: AuthManager, name: str) -> str:
    return (await admin.get_role(auth, name)).etag


def _shown(response: Response, role: RoleInfo) -> RoleResponse:
    put_etag(response, role.etag)
    return RoleResponse.of(role)
