"""Use cases that change users, roles, permissions and API keys: one transaction each, seen at once by the worker that
wrote."""

from asyncauth.admin.api_keys import ApiKeyInfo, NewApiKey, create_api_key, list_api_keys, revoke_api_key
from asyncauth.admin.audit import AuditRecord, list_audit
from asyncauth.admin.change import Actor
from asyncauth.admin.explanation import Explanation, HeldRole, explain, list_user_permissions
from asyncauth.admin.group_changes import add_member, grant_group_role, remove_member, take_group_role
from asyncauth.admin.groups import GroupInfo, create_group, delete_group, get_group, list_groups, list_members
from asyncauth.admin.holders import grant_role, take_role
from asyncauth.admin.paging import Page
from asyncauth.admin.permissions import (
    create_permissions,
    delete_permission,
    grant_permission,
    grant_permissions,
    list_permissions,
    take_permission,
    take_permissions,
)
from asyncauth.admin.recovery import ask_reset, reset_password
from asyncauth.admin.registration import confirm_registration, register
from asyncauth.admin.role_changes import create_role, delete_role, update_role
from asyncauth.admin.roles import RoleInfo, get_role, list_role_names, list_roles
from asyncauth.admin.self_service import LinkError, Message, SelfService
from asyncauth.admin.user_changes import (
    activate_user,
    deactivate_user,
    delete_user,
    end_tokens,
    set_password,
    update_user,
)
from asyncauth.admin.users import UserInfo, create_user, get_user, list_users

__all__ = [
    "Actor",
    "ApiKeyInfo",
    "AuditRecord",
    "Explanation",
    "GroupInfo",
    "HeldRole",
    "LinkError",
    "Message",
    "NewApiKey",
    "Page",
    "RoleInfo",
    "SelfService",
    "UserInfo",
    "activate_user",
    "add_member",
    "ask_reset",
    "confirm_registration",
    "create_api_key",
    "create_group",
    "create_permissions",
    "create_role",
    "create_user",
    "deactivate_user",
    "delete_group",
    "delete_permission",
    "delete_role",
    "delete_user",
    "end_tokens",
    "explain",
    "get_group",
    "get_role",
    "get_user",
    "grant_group_role",
    "grant_permission",
    "grant_permissions",
    "grant_role",
    "list_api_keys",
    "list_audit",
    "list_groups",
    "list_members",
    "list_permissions",
    "list_role_names",
    "list_roles",
    "list_user_permissions",
    "list_users",
    "register",
    "remove_member",
    "reset_password",
    "revoke_api_key",
    "set_password",
    "take_group_role",
    "take_permission",
    "take_permissions",
    "take_role",
    "update_role",
    "update_user",
]
