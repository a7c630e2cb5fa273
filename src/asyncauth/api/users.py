"""FAB's routes of users."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import Actor, UserInfo
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
from asyncauth.api.schemas import UserBody, UserCollectionResponse, UserPatchBody, UserResponse
from asyncauth.errors import InvalidValueError
from asyncauth.manager import AuthManager

_ORDERS = {"id", "user_id", "first_name", "last_name", "username", "email", "active"}
_FIELDS = frozenset(UserPatchBody.model_fields)
_MASK = Query(description=f"Fields to change, with commas, of {', '.join(sorted(_FIELDS))}. None: all.")
_router = APIRouter(route_class=FabRoute)


def user_routes(default_role: str | None) -> APIRouter:
    """The five routes. `default_role`: what a new user gets for whom no roles are named; None: nothing."""
    router = APIRouter(route_class=FabRoute)
    roles_of_nobody = () if default_role is None else (default_role,)

    @router.post("/users", responses={200: CHANGED_ONE, **guarded_fab_errors(409)})
    async def create_user(
        body: UserBody, response: Response, auth: Manager, actor: Annotated[Actor, acting("can_create", "Users")]
    ) -> UserResponse:
        """Make an active user who can log in."""
        roles = [role.name for role in body.roles or ()] or roles_of_nobody
        texts = body.model_dump(include={"username", "email", "first_name", "last_name"})
        password = body.password.get_secret_value()
        written = await admin.create_user(auth, **texts, password=password, roles=roles, actor=actor)
        return _shown(response, take_value(response, written))

    router.include_router(_router)
    return router


@_router.get("/users", responses=guarded_fab_errors(), dependencies=[acting("can_read", "Users")])
async def get_users(
    auth: Manager, limit: Limit, offset: Offset = 0, order_by: OrderBy = "id"
) -> UserCollectionResponse:
    """List users, ordered by `id` (or `user_id`), `username`, `email`, `first_name`, `last_name` or `active`."""
    order = require_order(order_by, _ORDERS)
    page = await admin.list_users(auth, limit=limit, offset=offset, order_by=order)
    return UserCollectionResponse(users=[UserResponse.of(user) for user in page.items], total_entries=page.total)


@_router.get(
    "/users/{username}",
    responses={200: READ_ONE, **guarded_fab_errors(404)},
    dependencies=[acting("can_read", "Users")],
)
async def get_user(username: Name, response: Response, auth: Manager) -> UserResponse:
    """One user, by name in any case."""
    return _shown(response, await admin.get_user(auth, username))


@_router.patch("/users/{username}", responses={200: CHANGED_ONE, **guarded_fab_errors(404, 409, 412)})
async def update_user(
    username: Name,
    body: UserPatchBody,
    response: Response,
    auth: Manager,
    actor: Annotated[Actor, acting("can_edit", "Users")],
    update_mask: Annotated[str | None, _MASK] = None,
    if_match: IfMatch = None,
) -> UserResponse:
    """Change what the body holds; a new password ends the user's tokens."""
    changes = await _changes(auth, username, body, update_mask)
    etag = await expected(if_match, lambda: _etag(auth, username))
    written = await admin.update_user(auth, username, **changes, if_match=etag, actor=actor)
    return _shown(response, take_value(response, written))


@_router.delete("/users/{username}", status_code=204, responses={204: CHANGED, **guarded_fab_errors(404, 409, 412)})
async def delete_user(
    username: Name,
    response: Response,
    auth: Manager,
    actor: Annotated[Actor, acting("can_delete", "Users")],
    if_match: IfMatch = None,
) -> None:
    """Delete a user, whose tokens and API keys end."""
    etag = await expected(if_match, lambda: _etag(auth, username))
    take_value(response, await admin.delete_user(auth, username, if_match=etag, actor=actor))


async def _changes(auth: AuthManager, username: str, body: UserPatchBody, update_mask: str | None) -> dict[str, Any]:
    """What of the body is meant, as the use case takes it."""
    masked = _FIELDS if update_mask is None else parse_mask(update_mask)
    if unknown := masked - _FIELDS:
        await admin.get_user(auth, username)  # 404 comes first, as with FAB
        raise InvalidValueError(f"Unknown update masks: {quote(unknown)}")
    given: dict[str, Any] = {name: getattr(body, name) for name in masked if getattr(body, name) is not None}
    if "username" in given:
        given["new_username"] = given.pop("username")
    if "roles" in given:
        given["roles"] = [role.name for role in given["roles"]]
    if "password" in given:
        given["password"] = given["password"].get_secret_value()
    return given


async def _etag(auth: AuthManager, username: str) -> str:
    return (await admin.get_user(auth, username)).etag


def _shown(response: Response, user: UserInfo) -> UserResponse:
    put_etag(response, user.etag)
    return UserResponse.of(user)
