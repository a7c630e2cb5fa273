"""Routes of groups, which FAB has no API for. A group gives its members roles, so it is guarded as roles are."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import Actor, GroupInfo
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
    put_etag,
    take_value,
)
from asyncauth.api.problems import OurRoute, our_errors
from asyncauth.api.schemas import GroupBody, GroupCollectionResponse, GroupResponse, MemberCollectionResponse
from asyncauth.manager import AuthManager

router = APIRouter(route_class=OurRoute, prefix="/groups")
_READ = [acting("can_read", "Roles")]
Editor = Annotated[Actor, acting("can_edit", "Roles")]


@router.get("", responses=our_errors(), dependencies=_READ)
async def list_groups(
    auth: Manager, limit: Limit, offset: Offset = 0, order_by: OrderBy = "name"
) -> GroupCollectionResponse:
    """List groups, ordered by `name` or `id`."""
    page = await admin.list_groups(auth, limit=limit, offset=offset, order_by=order_by)
    return GroupCollectionResponse(groups=[GroupResponse.of(group) for group in page.items], total_entries=page.total)


@router.post("", status_code=201, responses={201: CHANGED_ONE, **our_errors(409)})
async def create_group(
    body: GroupBody, response: Response, auth: Manager, actor: Annotated[Actor, acting("can_create", "Roles")]
) -> GroupResponse:
    """Make a group without members."""
    written = await admin.create_group(
        auth, body.name, label=body.label, description=body.description, roles=body.roles, actor=actor
    )
    return _shown(response, take_value(response, written))


@router.get("/{name}", responses={200: READ_ONE, **our_errors(404)}, dependencies=_READ)
async def get_group(name: Name, response: Response, auth: Manager) -> GroupResponse:
    """One group, by its exact name."""
    return _shown(response, await admin.get_group(auth, name))


@router.delete("/{name}", status_code=204, responses={204: CHANGED, **our_errors(404, 409, 412)})
async def delete_group(
    name: Name,
    response: Response,
    auth: Manager,
    actor: Annotated[Actor, acting("can_delete", "Roles")],
    if_match: IfMatch = None,
) -> None:
    """Delete a group; its members lose the roles that it carried."""
    etag = await expected(if_match, lambda: _etag(auth, name))
    take_value(response, await admin.delete_group(auth, name, if_match=etag, actor=actor))


@router.get("/{name}/members", responses=our_errors(404), dependencies=_READ)
async def list_members(
    name: Name, auth: Manager, limit: Limit, offset: Offset = 0, order_by: OrderBy = "username"
) -> MemberCollectionResponse:
    """List the user names of members, ordered by `username` or `id`."""
    page = await admin.list_members(auth, name, limit=limit, offset=offset, order_by=order_by)
    return MemberCollectionResponse(members=list(page.items), total_entries=page.total)


@router.put("/{name}/members/{username}", status_code=204, responses={204: CHANGED, **our_errors(404)})
async def add_member(name: Name, username: Name, response: Response, auth: Manager, actor: Editor) -> None:
    """Put a user into a group; doing it twice is no error."""
    take_value(response, await admin.add_member(auth, group=name, username=username, actor=actor))


@router.delete("/{name}/members/{username}", status_code=204, responses={204: CHANGED, **our_errors(404, 409)})
async def remove_member(name: Name, username: Name, response: Response, auth: Manager, actor: Editor) -> None:
    """Take a user out of a group; doing it twice is no error."""
    take_value(response, await admin.remove_member(auth, group=name, username=username, actor=actor))


@router.put("/{name}/roles/{role}", status_code=204, responses={204: CHANGED, **our_errors(404)})
async def grant_role(name: Name, role: Name, response: Response, auth: Manager, actor: Editor) -> None:
    """Let a group carry a role; doing it twice is no error."""
    take_value(response, await admin.grant_group_role(auth, group=name, role=role, actor=actor))


@router.delete("/{name}/roles/{role}", status_code=204, responses={204: CHANGED, **our_errors(404, 409)})
async def take_role(name: Name, role: Name, response: Response, auth: Manager, actor: Editor) -> None:
    """Take a role from a group; doing it twice is no error."""
    take_value(response, await admin.take_group_role(auth, group=name, role=role, actor=actor))


async def _etag(auth: AuthManager, name: str) -> str:
    return (await admin.get_group(auth, name)).etag


def _shown(response: Response, group: GroupInfo) -> GroupResponse:
    put_etag(response, group.etag)
    return GroupResponse.of(group)
