"""Airflow runs on asyncauth: `[core] auth_manager = asyncauth.airflow.AsyncAuthManager`.

Nothing of Airflow is imported before one of the names is asked for: Airflow reads the description of this provider from
`provider.py` while it is being imported itself.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncauth.airflow.manager import AsyncAuthManager, AsyncFabAuthManager

__all__ = ["AsyncAuthManager", "AsyncFabAuthManager"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from asyncauth.airflow import manager

    return getattr(manager, name)
