"""What Airflow is told of asyncauth: the entry point `apache_airflow_provider`.

Every `airflow` command and every task reads it, so it imports nothing but the standard library.
"""

from typing import Any

FAB_PROVIDER = "apache-airflow-providers-fab"
_SECTION = """\
Settings of asyncauth. Those that Airflow has already are taken from there: the database from `[database]`, tokens from
`[api_auth]`, paths and cookies from `[api]`, `auth_role_public`, `update_fab_perms` and `custom_roles` from `[fab]`.
An option that is not set has the default of asyncauth, which docs/airflow.md lists.
"""
OPTIONS: dict[str, tuple[str, str]] = {
    "jwt_max_age_seconds": ("integer", "A token issued longer ago is refused as expired, whatever it says itself."),
    "jwt_keys_path": ("string", "File of keys that rotate, kept by `asyncauth keys`; it signs, `[api_auth]` verifies."),
    "jwt_keys_refresh_seconds": ("float", "How often that file is read anew."),
    "jwt_trusted_issuers": ("string", "Whose tokens are taken beside our own: a list in JSON."),
    "sliding_seconds": (
        "integer",
        "For how long at most a login in a browser is carried on while it is used. Not set: it ends with its token.",
    ),
    "refresh_tokens": ("boolean", "Whether logins may be carried on with refresh tokens."),
    "refresh_expiration_seconds": ("integer", "How long a refresh token can be used."),
    "login_expiration_seconds": ("integer", "How long a login can be carried on, however often it is refreshed."),
    "refresh_grace_seconds": (
        "integer",
        "For how long the loser of two concurrent refreshes with one token gets, once, a pair of its own.",
    ),
    "api_key_secret": (
        "string",
        "Under which the secrets of API keys are hashed, at least 32 bytes; the same on every worker. Not set: none.",
    ),
    "api_key_former_secrets": ("string", "Under which keys were hashed before, with commas between; still accepted."),
    "api_key_cache_size": ("integer", "API keys kept in memory."),
    "token_cache_size": ("integer", "Verified tokens remembered until they expire."),
    "token_cache_bytes": ("integer", "The same in bytes of token text."),
    "user_cache_size": ("integer", "Users kept in memory."),
    "role_cache_size": ("integer", "Roles kept in memory."),
    "poll_interval_seconds": ("float", "How often one small query asks the database what changed."),
    "late_commit_horizon_seconds": (
        "float",
        "MariaDB and MySQL: how long a change that was noted but not yet committed is waited for.",
    ),
    "trigger_check_seconds": ("float", "How often it is looked whether the triggers on the `ab_*` tables stand."),
    "change_retention_seconds": ("float", "How long records of the change log are kept."),
    "listen": ("boolean", "PostgreSQL: whether to keep a connection that LISTENs; else changes are polled for."),
    "listen_url": (
        "string",
        "PostgreSQL: where to LISTEN if Airflow's database URL goes through a pooler that cannot (PgBouncer).",
    ),
    "redis_url": ("string", "Redis as a wake-up where the database cannot push changes, and for counting logins."),
    "max_staleness_seconds": (
        "float",
        "How long memory is trusted after the last proof that it is current; then requests are answered 503.",
    ),
    "max_entry_age_seconds": ("float", "How long a user or a role lives in memory whatever the polling says."),
    "database_timeout_seconds": ("float", "Deadline of every use of the database."),
    "database_pool_size": ("integer", "Connections at most that asyncauth keeps for itself in each worker."),
    "max_concurrent_loads": ("integer", "Users loaded from the database at the same time."),
    "group_roles": (
        "boolean",
        "Whether roles of a user's groups count. Not set: not in a database that the FAB provider manages.",
    ),
    "admin_role": ("string", "The role whose last active holder can be neither deleted, demoted nor switched off."),
    "password_hash_method": ("string", "How new passwords are hashed, as werkzeug writes it."),
    "password_hash_concurrency": ("integer", "Password hashes computed at the same time, 32 MiB and one core each."),
    "password_queue_size": ("integer", "Logins that may wait for one of these places; one more is answered 503."),
    "password_queue_seconds": ("float", "How long a login may wait; then 503."),
    "login_failures_per_user": (
        "integer",
        "Failed logins for one user name within `login_failure_window_seconds`; more are answered 429.",
    ),
    "login_failures_per_address": ("integer", "The same for one address."),
    "login_failures_in_all": ("integer", "The same for all together."),
    "login_failure_window_seconds": ("integer", "How long failures count, from the first on."),
    "known_address_seconds": ("integer", "How long it is remembered that an address has logged a user in."),
    "known_address_size": ("integer", "So many pairs of user and address are remembered in memory."),
}
"""Settings of `asyncauth.Settings` that are set in `[asyncauth]`: type and description."""
SENSITIVE = ("api_key_secret", "api_key_former_secrets", "listen_url", "redis_url")
EXTRA_OPTIONS: dict[str, tuple[str, str]] = {
    "dag_sync_interval_seconds": (
        "float",
        "How often the API server looks for Dags whose `access_control` changed (default 30); 0: never.",
    ),
    "gc_freeze": (
        "boolean",
        "Whether garbage collections leave out what the API server has loaded at its start (default false).",
    ),
}
"""Options that only Airflow needs."""


def get_provider_info() -> dict[str, Any]:
    """What Airflow's ProvidersManager asks for."""
    return {
        "package-name": "asyncauth",
        "name": "asyncauth",
        "description": "Async-native auth manager on the tables of Flask AppBuilder.",
        "auth-managers": ["asyncauth.airflow.AsyncAuthManager", "asyncauth.airflow.AsyncFabAuthManager"],
        "db-managers": ["asyncauth.airflow.db_manager.AsyncAuthDBManager"],
        "cli": ["asyncauth.airflow.commands.get_commands"],
        "config": {"asyncauth": {"description": _SECTION, "options": dict(_options())}},
    }


def _options() -> Any:
    for name, (kind, description) in {**OPTIONS, **EXTRA_OPTIONS}.items():
        option = {"description": description, "version_added": "0.1.0", "type": kind, "example": None, "default": None}
        yield name, option | ({"sensitive": True} if name in SENSITIVE else {})
