"""Airflow's configuration → ours: nothing has to be said twice."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from airflow import settings as airflow_settings
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.tokens import get_signing_key
from airflow.configuration import conf
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.airflow.connection import Target, translate
from asyncauth.airflow.provider import OPTIONS
from asyncauth.db.engine import connect_args, engine_args, prepare_connections
from asyncauth.db.url import parse_url
from asyncauth.errors import ConfigurationError
from asyncauth.settings import Settings

SECTION = "asyncauth"
PAGE_LIMITS = {"login_failures_per_user": 10, "login_failures_per_address": 10, "login_failures_in_all": 1000}
"""Of failed logins within five minutes on the login page, where `[asyncauth]` says nothing. FAB's page has a limit,
too; its token routes have none."""
_DAG_SYNC_SECONDS = 30.0
_IN_JSON = {"custom_roles", "jwt_trusted_issuers"}


def read_settings() -> Settings:
    """What Airflow's configuration says.

    Raises:
        ConfigurationError: a value cannot be used; the message names it.
    """
    return Settings(**PAGE_LIMITS | _tokens() | _fab() | _own())


def tokens_are_limited() -> bool:
    """Whether `[asyncauth]` asks for limits of failed logins, which then hold for `/auth/token` as well."""
    return any(_get(SECTION, name) is not None for name in PAGE_LIMITS)


def dag_sync_seconds() -> float:
    """How often the API server looks for DAGs whose `access_control` changed; 0: never."""
    return float(conf.getfloat(SECTION, "dag_sync_interval_seconds", fallback=_DAG_SYNC_SECONDS))


def wants_gc_freeze() -> bool:
    """Whether what is in memory after the start is taken out of garbage collection."""
    return bool(conf.getboolean(SECTION, "gc_freeze", fallback=False))


def public_role() -> str | None:
    """The role of whoever has not logged in; None: they have to."""
    return _get("fab", "auth_role_public")


def _tokens() -> dict[str, Any]:
    if _get("api_auth", "trusted_jwks_url") is not None:
        raise ConfigurationError(
            "[api_auth] trusted_jwks_url has no equal in asyncauth: put the keys into [asyncauth] jwt_keys_path"
        )
    issuer = _get("api_auth", "jwt_issuer")
    algorithms = (_get("api_auth", "jwt_algorithm") or "GUESS").split(",")
    key_path = _get("api_auth", "jwt_private_key_path")
    key = {"jwt_private_key_path": Path(key_path)} if key_path else {"jwt_secret": _secret()}
    return {
        **key,
        "jwt_allow_weak_secret": True,  # that of a new installation has 24 characters
        "jwt_algorithm": None if algorithms[0] == "GUESS" else algorithms[0].strip(),
        "jwt_kid": _get("api_auth", "jwt_kid"),
        "jwt_issuer": issuer,
        "jwt_allow_any_issuer": issuer is None,
        # As core does it, with the commas in it.
        "jwt_audience": (BaseAuthManager._get_jwt_audience(),),
        "jwt_leeway_seconds": conf.getint("api_auth", "jwt_leeway"),
        "jwt_expiration_seconds": conf.getint("api_auth", "jwt_expiration_time"),
        "jwt_cli_expiration_seconds": conf.getint("api_auth", "jwt_cli_expiration_time"),
    }


def _secret() -> str:
    secret: str | bytes = get_signing_key("api_auth", "jwt_secret")
    return secret.decode() if isinstance(secret, bytes) else secret


def _fab() -> dict[str, Any]:
    found: dict[str, Any] = {"seed_at_start": conf.getboolean("fab", "update_fab_perms", fallback=True)}
    if (roles := _get("fab", "custom_roles")) is not None:
        found["custom_roles"] = _read_json("[fab] custom_roles", roles)
    return found


def _own() -> dict[str, Any]:
    given = {name: _get(SECTION, name) for name in OPTIONS}
    return {
        name: _read_json(f"[{SECTION}] {name}", text) if name in _IN_JSON else text
        for name, text in given.items()
        if text is not None
    }


def _get(section: str, option: str) -> str | None:
    """None: not set, or empty."""
    value = conf.get(section, option, fallback=None)
    return value or None


def _read_json(what: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigurationError(f"{what} is not JSON") from None


def make_airflow_engine(settings: Settings) -> AsyncEngine:
    """An engine of our own made as Airflow makes its: through `create_async_metadata_engine`, which operators replace
    where passwords rotate. Reads certificates and the driver's modules: not on the event loop.

    Raises:
        ConfigurationError: the URL cannot be used with an async driver; the message names the parameter.
    """
    target = _find_target()
    seconds = settings.database_timeout_seconds
    # One connection more, which listens.
    options = engine_args(target.url, pool_size=settings.database_pool_size + 1, timeout_seconds=seconds)
    arguments = connect_args(target.url.get_driver_name(), seconds) | target.connect_args
    if conf.has_option("database", "sql_alchemy_connect_args_async"):
        arguments |= conf.getimport("database", "sql_alchemy_connect_args_async")
    make = partial(airflow_settings.create_async_metadata_engine, engine_args=options, connect_args=arguments)
    engine: AsyncEngine = make(target.url.render_as_string(hide_password=False))
    prepare_connections(engine, *_choose_schema(engine.dialect.name))
    return engine


def _find_target() -> Target:
    """`sql_alchemy_conn_async` if it is set, else what `sql_alchemy_conn` becomes."""
    given = _get("database", "sql_alchemy_conn_async")
    if given is not None:
        return Target(parse_url(given))
    return translate(conf.get("database", "sql_alchemy_conn"))


def _choose_schema(dialect: str) -> list[str]:
    schema = (conf.get("database", "sql_alchemy_schema", fallback="") or "").strip()
    if not schema or dialect == "sqlite":
        return []
    if dialect == "postgresql":
        return ['SET search_path TO "{}"'.format(schema.replace('"', '""'))]
    return ["USE `{}`".format(schema.replace("`", "``"))]
