"""asyncauth: may this caller do this action on this resource, now?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_HOMES = {
    **dict.fromkeys(__all__, "bootstrap"),
    **dict.fromkeys(("Claims", "Decision", "Permission", "Role", "TokenPair", "User"), "model"),
    "AuthError": "errors",
    "AuthManager": "manager",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    """A public name, from where it is at home. Loaded when it is asked for: each `airflow` command and each task of
    Airflow reads `asyncauth.airflow.provider`, and must not load a manager with SQLAlchemy for that."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
