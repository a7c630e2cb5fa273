"""Airflow's database URL → what the async driver understands. Parameters are translated, or refused by name.

Core takes the URL of the sync driver and puts the name of an async one into it: what libpq and MySQL clients call
`sslmode`, `options` or `ssl_ca` becomes a TypeError at the first connection.
"""

import shlex
import ssl
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, make_url

from asyncauth.db.url import parse_url
from asyncauth.errors import ConfigurationError

_DRIVERS = {"postgresql": "asyncpg", "mysql": "aiomysql", "mariadb": "aiomysql", "sqlite": "aiosqlite"}
_NOT_NEEDED = {
    # Every statement has a deadline here, and every line of its own a heartbeat.
    "postgresql": {
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "client_encoding",
        "fallback_application_name",
    },
    "mysql": {"connect_timeout", "read_timeout", "write_timeout", "binary_prefix"},
    "sqlite": {"timeout", "check_same_thread"},
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and with which arguments of the driver."""

    url: URL
    connect_args: dict[str, Any] = field(default_factory=dict)


def translate(sync_url: str) -> Target:
    """The URL of a sync driver → that of the async one. Reads certificates: not on the event loop.

    Raises:
        ConfigurationError: it names a parameter that cannot be translated.
    """
    url = make_url(sync_url)
    backend = {"postgres": "postgresql"}.get(url.get_backend_name(), url.get_backend_name())
    driver = _DRIVERS.get(backend)
    if driver is None:
        raise ConfigurationError(
            f"asyncauth does not know the database {backend}: PostgreSQL, MySQL, MariaDB or SQLite"
        )
    query = {name: _text(name, value) for name, value in url.query.items()}
    for name in _NOT_NEEDED.get("mysql" if backend == "mariadb" else backend, ()):
        query.pop(name, None)
    arguments: dict[str, Any] = {}
    if driver == "asyncpg":
        arguments = _postgresql(query)
    elif driver == "aiomysql":
        arguments = _mysql(query)
    renamed = url.set(drivername=f"{backend}+{driver}", query=query)
    return Target(parse_url(renamed.render_as_string(hide_password=False)), arguments)


def _text(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    raise ConfigurationError(f"sql_alchemy_conn names {name} more than once: write sql_alchemy_conn_async, too")


def _postgresql(query: dict[str, str]) -> dict[str, Any]:
    """Takes out of the query what asyncpg wants as arguments."""
    arguments: dict[str, Any] = {}
    server = _options(query.pop("options", ""))
    if (name := query.pop("application_name", None)) is not None:
        server["application_name"] = name
    if server:
        arguments["server_settings"] = server
    mode = query.pop("sslmode", None)
    files = {name: query.pop(name, None) for name in ("sslrootcert", "sslcert", "sslkey", "sslpassword")}
    if any(files.values()):
        arguments["ssl"] = _context(mode or "prefer", files)
    elif mode is not None:
        query["ssl"] = mode  # asyncpg knows libpq's words
    return arguments


def _options(text: str) -> dict[str, str]:
    """`-c name=value --name=value` (PostgreSQL documentation, section "Parameter Key Words", options)."""
    found: dict[str, str] = {}
    words = iter(shlex.split(text))
    for word in words:
        if word == "-c":
            word = next(words, "")
        elif word.startswith(("-c", "--")):
            word = word[2:]
        else:
            raise ConfigurationError(f"sql_alchemy_conn: options={word} cannot be translated for asyncpg")
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise ConfigurationError("sql_alchemy_conn: options must be of the form -c name=value")
        found[name.replace("-", "_")] = value
    return found


def _context(mode: str, files: dict[str, str | None]) -> ssl.SSLContext:
    """As libpq: a root certificate makes `require` verify it; only `verify-full` looks at the host's name."""
    root = files["sslrootcert"]
    context = ssl.create_default_context(cafile=None if root in {None, "system"} else root)
    if mode != "verify-full" and root != "system":
        context.check_hostname = False
        if root is None or mode in {"allow", "prefer"}:
            context.verify_mode = ssl.CERT_NONE
    if files["sslcert"] is not None:
        context.load_cert_chain(files["sslcert"], files["sslkey"], files["sslpassword"])
    return context


def _mysql(query: dict[str, str]) -> dict[str, Any]:
    names = (
        "ssl_ca",
        "ssl_cert",
        "ssl_key",
        "ssl_check_hostname",
        "ssl_verify_cert",
        "ssl_verify_identity",
        "ssl_mode",
    )
    given = {name: query.pop(name) for name in names if name in query}
    mode = given.get("ssl_mode", "").upper()
    if not given or mode == "DISABLED":
        return {}
    context = ssl.create_default_context(cafile=given.get("ssl_ca"))
    named = any(_is_true(given.get(name)) for name in ("ssl_check_hostname", "ssl_verify_identity"))
    context.check_hostname = named or mode == "VERIFY_IDENTITY"
    if "ssl_ca" not in given and not context.check_hostname and not _is_true(given.get("ssl_verify_cert")):
        context.verify_mode = ssl.CERT_NONE
    if "ssl_cert" in given:
        context.load_cert_chain(given["ssl_cert"], given.get("ssl_key"))
    return {"ssl": context}


def _is_true(text: str | None) -> bool:
    return text is not None and text.lower() in {"1", "true", "yes"}
