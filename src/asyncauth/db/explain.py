"""What an operator is told when the database refuses: one sentence, without SQL, parameters or password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError, StatementError

from asyncauth.errors import AuthError, ConfigurationError

MISSING_TABLES = "the database has no asyncauth tables: run asyncauth db upgrade"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of failure and how each driver shows it."""

    sentence: str
    state: str = ""
    """SQLSTATE of PostgreSQL, a regular expression."""
    numbers: frozenset[int] = frozenset()
    """Error numbers of MariaDB and MySQL."""
    text: str = "$^"
    """Of drivers that bring neither, as SQLite's and, while connecting, psycopg; a regular expression."""


_TLS = _Kind(
    "the TLS handshake with {place} failed: check the server's certificate and the TLS parameters of the URL",
    numbers=frozenset({2026}),
    text="SSL",
)
_UNREACHABLE = _Kind(
    "cannot reach {place}: check that it runs there and that the address in the URL is right",
    state="08...|57P0.",
    numbers=frozenset({1927, 2002, 2003, 2005, 2006, 2013, 2055}),
    text="connection (to server|failed|timeout|is closed)|closed the connection|could not translate|failed to resolve",
)
_KINDS = (
    _Kind(
        "{place} refuses the user {user}: check name and password in the URL and the server's access rules",
        state="28P01|28000",
        numbers=frozenset({1045, 1130, 1698}),
        text='authentication failed|no pg_hba.conf entry|role "[^"]*" does not exist|no password supplied',
    ),
    _Kind(
        "{place} does not exist: create it or correct its name in the URL",
        state="3D000",
        numbers=frozenset({1049}),
        text='database "[^"]*" does not exist',
    ),
    _Kind(
        "{place} lets the user {user} connect, but not do this: grant the account the missing rights",
        state="42501",
        numbers=frozenset({1044, 1142, 1227, 1370}),
        text="permission denied|readonly database",
    ),
    _Kind(MISSING_TABLES, state="42P01", numbers=frozenset({1146}), text="no such table"),
    _Kind(
        "the tables are not of the version that this asyncauth expects: run asyncauth db check",
        state="42703",
        numbers=frozenset({1054}),
        text="no such column",
    ),
    _Kind(
        "{place} has no free connection: raise the server's limit or lower ASYNCAUTH_DATABASE_POOL_SIZE",
        state="53300",
        numbers=frozenset({1040, 1203, 1226}),
        text="too many (clients|connections)|remaining connection slots",
    ),
    _Kind(
        "{place} is locked by another process: try again",
        state="55P03",
        numbers=frozenset({1205}),
        text="database is locked",
    ),
    _Kind("{place} cannot be opened: check that its directory exists and may be written", text="unable to open"),
    _Kind("{place} is not an SQLite database: correct the path in the URL", text="file is not a database"),
    _Kind(
        "the database URL has a parameter that its driver does not take: remove it",
        text="unexpected keyword argument|invalid keyword argument|invalid connection option|invalid URI query",
    ),
    _Kind("psycopg finds no libpq: pip install 'asyncauth[psycopg]'", text="no pq wrapper available"),
    _TLS,
    _UNREACHABLE,
)


def explain(error: BaseException, url: URL) -> str | None:
    """The sentence for an error met while connecting to or using `url`; None if the error is of no known kind."""
    for cause in _causes(error):
        kind = _kind(cause)
        if kind is not None:
            return kind.sentence.format(place=_place(url), user=url.username or "(none named)")
    return None


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn errors of the database and the way to it into a `ConfigurationError` of one sentence; others pass."""
    try:
        yield
    except AuthError:
        raise
    except Exception as error:
        sentence = explain(error, url)
        if sentence is not None:
            raise ConfigurationError(sentence) from None
        if not isinstance(error, SQLAlchemyError):
            raise
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlstate", None) or next((arg for arg in cause.args if isinstance(arg, int)), "")
        # Not in the driver's own words: they quote values.
        message = f"{_place(url)} refused a statement ({type(cause).__name__} {code}".rstrip() + ")"
        raise ConfigurationError(message) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if not isinstance(error, StatementError):  # its text holds the statement, which must not be searched
            yield error
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _kind(error: BaseException) -> _Kind | None:
    if isinstance(error, OSError):
        return _TLS if "SSL" in str(error) else _UNREACHABLE
    if error.args and isinstance(error.args[0], int):  # before the state, which PyMySQL brings too: it says less
        return next((kind for kind in _KINDS if error.args[0] in kind.numbers), None)
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state:
        return next((kind for kind in _KINDS if re.fullmatch(kind.state, state)), None)
    text = str(error)
    return next((kind for kind in _KINDS if re.search(kind.text, text, re.IGNORECASE)), None)


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the SQLite file {url.database}"
    port = f":{url.port}" if url.port else ""
    return f"the database {url.database or url.username} at {url.host or 'localhost'}{port}"
