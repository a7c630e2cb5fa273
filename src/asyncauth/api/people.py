"""What FAB has no API for about users: switching them off, logging them out, their API keys, what they may do, why."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import Actor, UserInfo
from asyncauth.api.parts import (
    CHANGED,
    CHANGED_ONE,
    IfMatch,
    Manager,
    Myself,
    Name,
    acting,
    expected,
    put_etag,
    take_value,
)
from asyncauth.api.problems import OurRoute, our_errors
from asyncauth.api.schemas import (
    ApiKeyBody,
    ApiKeyCollectionResponse,
    ApiKeyResponse,
    ExplainBody,
    ExplainResponse,
    NewApiKeyResponse,
    PermissionModel,
    UserPermissionsResponse,
    UserResponse,
)
from asyncauth.errors import ForbiddenError, NotFoundError
from asyncauth.manager import AuthManager

router = APIRouter(route_class=OurRoute)
_READ = [acting("can_read", "Users")]
Editor = Annotated[Actor, acting("can_edit", "Users")]
_SWITCH = {200: CHANGED_ONE, **our_errors(404, 409, 412)}


@router.post("/users/{username}/activate", responses=_SWITCH)
async def activate_user(
    username: Name, response: Response, auth: Manager, actor: Editor, if_match: IfMatch = None
) -> UserResponse:
    """Let a user log in again."""
    etag = await expected(if_match, lambda: _etag(auth, username))
    return _shown(response, take_value(response, await admin.activate_user(auth, username, if_match=etag, actor=actor)))


@router.post("/users/{username}/deactivate", responses=_SWITCH)
async def deactivate_user(
    username: Name, response: Response, auth: Manager, actor: Editor, if_match: IfMatch = None
) -> UserResponse:
    """Switch a user off, whose tokens end."""
    etag = await expected(if_match, lambda: _etag(auth, username))
    return _shown(
        response, take_value(response, await admin.deactivate_user(auth, username, if_match=etag, actor=actor))
    )


@router.post("/users/{username}/end-tokens", status_code=204, responses={204: CHANGED, **our_errors(404)})
async def end_tokens(username: Name, response: Response, auth: Manager, actor: Editor) -> None:
    """Log a user out everywhere: tokens issued until now are refused. API keys stay."""
    take_value(response, await admin.end_tokens(auth, username, actor=actor))


@router.post("/me/end-tokens", status_code=204, responses={204: CHANGED, **our_errors(404)})
async def end_my_tokens(response: Response, auth: Manager, myself: Myself) -> None:
    """Log yourself out everywhere. Needs no permission, and no API key can do it."""
    user, actor = myself
    if user.api_key_id is not None:
        raise ForbiddenError("an API key cannot log its owner out")
    take_value(response, await admin.end_tokens(auth, user.username, actor=actor))


# ── API keys ──


@router.get("/users/{username}/api-keys", responses=our_errors(404), dependencies=_READ)
async def list_api_keys(username: Name, auth: Manager) -> ApiKeyCollectionResponse:
    """All keys of a user, revoked and expired ones included."""
    return ApiKeyCollectionResponse(
        api_keys=[ApiKeyResponse.of(key) for key in await admin.list_api_keys(auth, username=username)]
    )


@router.post("/users/{username}/api-keys", status_code=201, responses={201: CHANGED, **our_errors(404)})
async def create_api_key(
    username: Name, body: ApiKeyBody, response: Response, auth: Manager, actor: Editor
) -> NewApiKeyResponse:
    """Make a key with which a machine acts as this user. It is shown this once."""
    if auth.settings.api_key_secret is None:
        raise NotFoundError("API keys are off: an operator has to set api_key_secret")
    scopes = None if body.scopes is None else [(one.action, one.resource) for one in body.scopes]
    written = await admin.create_api_key(
        auth, username=username, name=body.name, scopes=scopes, expires_at=body.expires_at, actor=actor
    )
    made = take_value(response, written)
    return NewApiKeyResponse(id=made.id, key=made.text)


@router.delete("/api-keys/{key_id}", status_code=204, responses={204: CHANGED, **our_errors(404)})
async def revoke_api_key(key_id: int, response: Response, auth: Manager, actor: Editor) -> None:
    """End a key; doing it twice is no error."""
    take_value(response, await admin.revoke_api_key(auth, key_id=key_id, actor=actor))


# ── what they may do ──


@router.get("/users/{username}/permissions", responses=our_errors(404), dependencies=_READ)
async def list_user_permissions(username: Name, auth: Manager) -> UserPermissionsResponse:
    """Everything that a user may do while active, of all roles that count."""
    found = await admin.list_user_permissions(auth, username)
    return UserPermissionsResponse(
        permissions=[PermissionModel(action=one.action, resource=one.resource) for one in found]
    )


@router.post("/explain", responses=our_errors(404), dependencies=_READ)
async def explain(body: ExplainBody, auth: Manager) -> ExplainResponse:
    """Say why a user may or may not do something: the roles and permissions that decide."""
    return ExplainResponse.of(await admin.explain(auth, body.username, body.action, body.resource))


async def _etag(auth: AuthManager, username: str) -> str:
    return (await admin.get_user(auth, username)).etag


def _shown(response: Response, user: UserInfo) -> UserResponse:
    put_etag(response, user.etag)
    return UserResponse.of(user)
