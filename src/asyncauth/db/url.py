"""Database URLs, read once at the door. Nothing here connects, and no message ever quotes a URL or a password."""

import re
from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from asyncauth.errors import ConfigurationError

_ASYNC = {  # scheme: (module of the driver, what to install)
    "postgresql+asyncpg": ("asyncpg", "asyncauth[postgres]"),
    "postgresql+psycopg": ("psycopg", "asyncauth[psycopg]"),
    "mysql+aiomysql": ("aiomysql", "asyncauth[mysql]"),
    "mariadb+aiomysql": ("aiomysql", "asyncauth[mysql]"),
    "sqlite+aiosqlite": ("aiosqlite", "asyncauth[sqlite]"),
}
_SYNC = {
    "postgresql+psycopg2": ("psycopg2", "psycopg2-binary"),
    "mysql+pymysql": ("pymysql", "asyncauth[mysql]"),
    "mariadb+pymysql": ("pymysql", "asyncauth[mysql]"),
    "mysql+mysqldb": ("MySQLdb", "mysqlclient"),
    "mariadb+mysqldb": ("MySQLdb", "mysqlclient"),
    "sqlite+pysqlite": ("sqlite3", "a Python with sqlite3"),
}
_PREFERRED = {  # for a scheme that names no driver: the first that is installed, else what `_SUGGESTED` says
    "postgresql": ("postgresql+psycopg", "postgresql+asyncpg", "postgresql+psycopg2"),
    "mysql": ("mysql+pymysql", "mysql+mysqldb"),
    "mariadb": ("mariadb+pymysql", "mariadb+mysqldb"),
    "sqlite": ("sqlite+pysqlite",),
}
_ALIASES = {"postgres": "postgresql", "sqlite3": "sqlite"}
_SUGGESTED = {
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mariadb": "mariadb+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}

_PARAMETERS = {  # what the driver takes as text; anything else becomes a TypeError at the first connection
    "asyncpg": re.compile(
        "host|port|user|password|database|ssl|passfile|service|servicefile|target_session_attrs|krbsrvname|gsslib"
        "|command_timeout|prepared_statement_cache_size"
    ),
    "aiomysql": re.compile(
        "unix_socket|charset|sql_mode|read_default_file|read_default_group|use_unicode|client_flag|init_command"
        "|connect_timeout|local_infile|auth_plugin|program_name"
    ),
}
_OWN_ENGINE = "pass an engine of your own made with connect_args={}"
_INSTEAD = {
    "asyncpg": {
        "sslmode": "write ssl=… with the same value",
        "connect_timeout": "leave it out: ASYNCAUTH_DATABASE_TIMEOUT_SECONDS bounds every call",
        "timeout": "leave it out: ASYNCAUTH_DATABASE_TIMEOUT_SECONDS bounds every call",
        "application_name": _OWN_ENGINE.format("{'server_settings': {'application_name': …}}"),
        "options": _OWN_ENGINE.format("{'server_settings': {…}}"),
        "sslrootcert": _OWN_ENGINE.format("{'ssl': an ssl.SSLContext}"),
        "sslcert": _OWN_ENGINE.format("{'ssl': an ssl.SSLContext}"),
        "sslkey": _OWN_ENGINE.format("{'ssl': an ssl.SSLContext}"),
    },
    "aiomysql": {
        name: _OWN_ENGINE.format("{'ssl': an ssl.SSLContext}")
        for name in ("ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_capath", "ssl_cipher", "ssl_check_hostname")
    },
}


def parse_url(text: str, *, sync: bool = False) -> URL:
    """Read a database URL and refuse what could only fail later; `sync` accepts the schemes of sync drivers too.

    Raises:
        ConfigurationError: one sentence that says what to change.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError, TypeError):
        message = "the database URL cannot be read: write dialect+driver://user:password@host:port/database"
        raise ConfigurationError(message) from None
    url = _with_driver(url, sync=sync)
    _check_place(text, url)
    _check_parameters(url)
    return url


def is_async(url: URL) -> bool:
    """Whether the URL names an async driver."""
    return url.drivername in _ASYNC


def _with_driver(url: URL, *, sync: bool) -> URL:
    known = {**_ASYNC, **_SYNC} if sync else _ASYNC
    scheme = url.drivername
    for alias, dialect in _ALIASES.items():
        if scheme.split("+")[0] == alias:
            scheme = scheme.replace(alias, dialect, 1)
    if sync and scheme in _PREFERRED:
        candidates = _PREFERRED[scheme]
        scheme = next((name for name in candidates if find_spec(known[name][0])), _SUGGESTED[scheme])
    if scheme not in known:
        suggested = _SUGGESTED.get(scheme.split("+")[0])
        advice = f"write {suggested}://" if suggested else f"use one of {', '.join(f'{name}://' for name in _ASYNC)}"
        raise ConfigurationError(f"the database URL starts with {url.drivername}://, which cannot be used: {advice}")
    module, package = known[scheme]
    if find_spec(module) is None:
        raise ConfigurationError(f"the driver of {scheme}:// is missing: pip install '{package}'")
    return url.set(drivername=scheme)


def _check_place(text: str, url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        if url.host or url.username or url.password or url.port:
            raise ConfigurationError("an SQLite URL names no host: write three slashes and a path, four if absolute")
        return
    # More than one @ would put a part of the password into the host, and so into messages.
    if text.count("@") > 1:
        raise ConfigurationError(
            "the database URL holds more than one @: write %40 for any but the one before the host"
        )
    if not url.database and "database" not in url.query and url.get_backend_name() != "postgresql":
        raise ConfigurationError("the database URL names no database: write it after the host and a slash")


def _check_parameters(url: URL) -> None:
    driver = url.get_driver_name()
    if driver not in _PARAMETERS:
        return
    for name in url.query:
        if not _PARAMETERS[driver].fullmatch(name):
            advice = _INSTEAD[driver].get(name, "leave it out")
            raise ConfigurationError(
                f"the database URL has the parameter {name}, which {driver} does not take: {advice}"
            )
