"""Use cases that change users, roles and permissions: one transaction each, seen at once by the worker that wrote."""

from asyncauth.admin.permissions import grant_permission, take_permission
from asyncauth.admin.roles import create_role, grant_role, take_role
from asyncauth.admin.users import create_user

__all__ = ["create_role", "create_user", "grant_permission", "grant_role", "take_permission", "take_role"]
