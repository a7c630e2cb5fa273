"""A real manager on a database of its own, that no server has to run for."""

import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anyio import CancelScope, to_thread
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import NullPool, create_engine

from asyncauth.bootstrap import lend_auth_manager
from asyncauth.clock import SYSTEM_CLOCK, Clock
from asyncauth.db.migrate import upgrade_with
from asyncauth.errors import ConfigurationError
from asyncauth.manager import AuthManager
from asyncauth.settings import Settings

_PREFIX = "ASYNCAUTH_"
_YEAR_SECONDS = 365 * 86_400.0
_NAME = "asyncauth-testing"


class _MadeUp(Settings):
    """Settings that nothing on the machine has a say in."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes all of them by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@contextmanager
def memory_settings(*, export: bool = False, **changes: Any) -> Iterator[Settings]:
    """Settings for a new database, migrated and empty, on SQLite in a temporary folder that goes with the block.

        with memory_settings(export=True), TestClient(app) as client:  # the lifespan awaits create_auth_manager()
            ...

    The signing key is made up. Memory counts as current for a year, so that a `FakeClock` that is advanced does not
    make everything 503. Settings of the machine (`ASYNCAUTH_…`) are left out.

    Args:
        export: put them into the environment as well, for the block: there `create_auth_manager()` finds them.
        changes: settings that are to be others: `refresh_tokens=True`, `api_key_secret="…"`.

    Raises:
        ConfigurationError: the extra `sqlite` is missing, or a setting is wrong.
    """
    if find_spec("aiosqlite") is None:
        raise ConfigurationError("a manager in memory needs aiosqlite: pip install 'asyncauth[sqlite]'")
    with tempfile.TemporaryDirectory(prefix="asyncauth-") as folder:
        path = Path(folder) / "auth.db"
        path.write_bytes(_make_database())
        made_up: dict[str, Any] = {
            "database_url": f"sqlite+aiosqlite:///{path}",
            "jwt_secret": secrets.token_urlsafe(64),
            "jwt_issuer": _NAME,
            "jwt_audience": _NAME,
            "database_timeout_seconds": 30.0,
            "max_staleness_seconds": _YEAR_SECONDS,
        }
        settings = _MadeUp(**made_up | changes)
        with _exported(_environment(settings) if export else None):
            yield settings


@asynccontextmanager
async def memory_auth_manager(
    *, clock: Clock = SYSTEM_CLOCK, cls: type[AuthManager] = AuthManager, **changes: Any
) -> AsyncIterator[AuthManager]:
    """A started manager on such a database; in the block `get_auth_manager()` gives it on this event loop, too.

        async with memory_auth_manager() as auth:
            await add_user(auth, "ada", password="correct horse")
            token = await auth.login("ada", "correct horse")

    Args:
        clock: a `FakeClock`, for what expires.
        cls: a class of your own, derived from AuthManager.
        changes: settings that are to be others, as for `memory_settings`.

    Raises:
        ConfigurationError: see `memory_settings`.
    """
    folder = memory_settings(**changes)
    settings = await to_thread.run_sync(folder.__enter__)
    try:
        async with cls(settings, clock=clock) as auth, lend_auth_manager(auth):
            yield auth
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(folder.__exit__, None, None, None)


@cache
def _make_database() -> bytes:
    """An SQLite file with our tables; made once in a process, as migrating takes a moment."""
    with tempfile.TemporaryDirectory(prefix="asyncauth-") as folder:
        path = Path(folder) / "auth.db"
        engine = create_engine(f"sqlite+pysqlite:///{path}", poolclass=NullPool)
        with engine.connect() as connection:
            upgrade_with(connection)
        return path.read_bytes()


def _environment(settings: Settings) -> dict[str, str]:
    values = settings.model_dump(mode="json", include=settings.model_fields_set)
    return {f"{_PREFIX}{name.upper()}": _text(value) for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def _exported(values: Mapping[str, str] | None) -> Iterator[None]:
    if values is None:
        yield
        return
    ours = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_PREFIX)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(_PREFIX)]:
            del os.environ[name]
        os.environ.update(ours)
