"""asyncauth: may this caller do this action on this resource, now?"""

from asyncauth.bootstrap import (
    close_auth_manager,
    create_auth_manager,
    deserialize_user,
    get_auth_manager,
    serialize_user,
)
from asyncauth.errors import AuthError
from asyncauth.manager import AuthManager
from asyncauth.model import Claims, Decision, Permission, Role, TokenPair, User
from asyncauth.settings import Settings

__all__ = [
    "AuthError",
    "AuthManager",
    "Claims",
    "Decision",
    "Permission",
    "Role",
    "Settings",
    "TokenPair",
    "User",
    "close_auth_manager",
    "create_auth_manager",
    "deserialize_user",
    "get_auth_manager",
    "serialize_user",
]
