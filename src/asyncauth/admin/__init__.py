"""Use cases that change users, roles, permissions and API keys: one transaction each, seen at once by the worker that
wrote."""

from asyncauth.admin.api_keys import ApiKeyInfo, NewApiKey, create_api_key, list_api_keys, revoke_api_key
from asyncauth.admin.permissions import grant_permission, take_permission
from asyncauth.admin.roles import create_role, grant_role, take_role
from asyncauth.admin.users import create_user

__all__ = [
    "ApiKeyInfo",
    "NewApiKey",
    "create_api_key",
    "create_role",
    "create_user",
    "grant_permission",
    "grant_role",
    "list_api_keys",
    "revoke_api_key",
    "take_permission",
    "take_role",
]
