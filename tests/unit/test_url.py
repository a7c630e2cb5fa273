"""Database URLs: what is taken, and the one sentence for what is not."""

import asyncio
import ssl

import pytest
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from asyncauth.db import url as module
from asyncauth.db.explain import explain, explained
from asyncauth.db.url import is_async, parse_url
from asyncauth.errors import AuthError, ConfigurationError, StaleError

ASYNC = (
    "postgresql+asyncpg://ada:secret@db.example:5432/auth?ssl=require",
    "postgresql+psycopg://ada:secret@db.example/auth?application_name=x&connect_timeout=3&sslmode=require",
    "mysql+aiomysql://ada:secret@db.example/auth?charset=utf8mb4",
    "mariadb+aiomysql://ada:secret@db.example/auth",
    "sqlite+aiosqlite:///auth.db",
)
PLACE = URL.create("postgresql+asyncpg", "ada", "secret", "db.example", 5432, "auth")


def refusal(text: object, *, sync: bool = False) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(text, sync=sync)  # type: ignore[arg-type]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    message = str(caught.value)
    assert "secret" not in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("text", ASYNC)
@pytest.mark.parametrize("sync", [False, True])
def test_async_urls_are_taken(text: str, sync: bool) -> None:
    url = parse_url(text, sync=sync)
    assert url.render_as_string(hide_password=False) == text
    assert is_async(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2"),
        ("mysql+pymysql://h/d", "mysql+pymysql"),
        ("mysql://h/d", "mysql+pymysql"),
        ("mariadb://h/d", "mariadb+pymysql"),
        ("sqlite:///d", "sqlite+pysqlite"),
        ("sqlite3:///d", "sqlite+pysqlite"),
    ],
)
def test_sync_urls_are_taken_where_allowed(text: str, expected: str) -> None:
    url = parse_url(text, sync=True)
    assert url.drivername == expected
    assert not is_async(url)
    assert "cannot be used: write" in refusal(text)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_scheme_without_driver_takes_the_first_that_is_installed(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse_url(f"{scheme}://h/d", sync=True).drivername == "postgresql+psycopg"
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "psycopg" else object())
    assert parse_url(f"{scheme}://h/d", sync=True).drivername == "postgresql+asyncpg"
    assert refusal(f"{scheme}://h/d").endswith("write postgresql+asyncpg://")
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"driver of postgresql\+asyncpg:// is missing.*asyncauth\[postgres\]"):
        parse_url(f"{scheme}://h/d", sync=True)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("postgresql://ada:secret@h/d", "write postgresql+asyncpg://"),
        ("postgresql+psycopg2://ada:secret@h/d", "write postgresql+asyncpg://"),
        ("mysql://ada:secret@h/d", "write mysql+aiomysql://"),
        ("mysql+asyncmy://ada:secret@h/d", "write mysql+aiomysql://"),
        ("mariadb://ada:secret@h/d", "write mariadb+aiomysql://"),
        ("sqlite:///secret.db", "write sqlite+aiosqlite://"),
        ("oracle://ada:secret@h/d", "use one of postgresql+asyncpg://, postgresql+psycopg://, mysql+aiomysql://"),
    ],
)
def test_a_wrong_scheme_is_told_the_right_one(text: str, advice: str) -> None:
    assert advice in refusal(text)


@pytest.mark.parametrize("text", ["", "secret", "postgresql+asyncpg//ada:secret@h", "http:/secret", None, 7, b"secret"])
def test_what_is_no_url_is_told_the_form(text: object) -> None:
    assert refusal(text).endswith("write dialect+driver://user:password@host:port/database")


@pytest.mark.parametrize("port", ["abc", "secret", "54 32"])
def test_what_is_no_port_is_told_the_form(port: str) -> None:
    assert "cannot be read" in refusal(f"postgresql+asyncpg://ada:secret@h:{port}/d")


@pytest.mark.parametrize("text", ["postgresql+asyncpg://ada:x@secret@h/d", "mysql+aiomysql://ada:x@se/cret@h/d"])
def test_a_password_with_an_at_sign_must_be_escaped(text: str) -> None:
    assert "write %40" in refusal(text)
    assert parse_url("postgresql+asyncpg://ada:se%40cret@h/d").password == "se@cret"


def test_places_that_cannot_be() -> None:
    assert "names no database" in refusal("mysql+aiomysql://ada:secret@h")
    assert "names no database" in refusal("mysql+aiomysql://ada:secret@h/")
    assert "three slashes" in refusal("sqlite+aiosqlite://auth.db")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sslmode", "write ssl="),
        ("connect_timeout", "ASYNCAUTH_DATABASE_TIMEOUT_SECONDS"),
        ("application_name", "server_settings"),
        ("options", "server_settings"),
        ("sslrootcert", "ssl.SSLContext"),
        ("statement_cache_size", "leave it out"),
        ("sslpassword", "leave it out"),
    ],
)
def test_libpq_parameters_are_refused_by_name_for_asyncpg(name: str, advice: str) -> None:
    message = refusal(f"postgresql+asyncpg://ada:secret@h/d?ssl=require&{name}=secret")
    assert f"the parameter {name}, which asyncpg does not take" in message
    assert advice in message


def test_tls_parameters_are_refused_by_name_for_aiomysql() -> None:
    assert "ssl.SSLContext" in refusal("mysql+aiomysql://ada:secret@h/d?ssl_ca=secret")


@pytest.mark.parametrize(
    ("text", "missing", "package"),
    [
        (ASYNC[0], "asyncpg", "asyncauth[postgres]"),
        (ASYNC[1], "psycopg", "asyncauth[psycopg]"),
        (ASYNC[2], "aiomysql", "asyncauth[mysql]"),
        (ASYNC[4], "aiosqlite", "asyncauth[sqlite]"),
    ],
)
def test_a_missing_driver_is_named_with_what_to_install(
    text: str, missing: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else object())
    assert refusal(text).endswith(f"is missing: pip install '{package}'")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 5432)"),
        TimeoutError(),
        OSError("Multiple exceptions"),
    ],
)
def test_the_network_is_explained(error: OSError) -> None:
    assert explain(error, PLACE) == (
        "cannot reach the database auth at db.example:5432: "
        "check that it runs there and that the address in the URL is right"
    )


def test_tls_is_explained() -> None:
    for error in (ssl.SSLError(1, "[SSL] certificate verify failed"), ConnectionError("rejected SSL upgrade")):
        assert str(explain(error, PLACE)).startswith(
            "the TLS handshake with the database auth at db.example:5432 failed"
        )


def test_the_text_of_a_statement_is_not_searched() -> None:
    # Its parameters could hold anything; only what the driver says counts.
    error = OperationalError("SELECT 'no such table'", {"a": "permission denied"}, Exception("odd"))
    assert explain(error, PLACE) is None


def test_what_is_of_no_known_kind_passes() -> None:
    with pytest.raises(ZeroDivisionError), explained(PLACE):
        raise ZeroDivisionError
    with pytest.raises(asyncio.CancelledError), explained(PLACE):
        raise asyncio.CancelledError


def test_what_the_database_says_beyond_that_is_not_quoted() -> None:
    odd = OperationalError("INSERT …", {"hash": "secret"}, Exception(4711, "Key (hash)=(secret) exists"))
    with pytest.raises(ConfigurationError) as caught, explained(PLACE):
        raise odd
    assert str(caught.value) == "the database auth at db.example:5432 refused a statement (Exception 4711)"
    assert caught.value.__cause__ is odd


def test_our_own_errors_pass() -> None:
    with pytest.raises(AuthError) as caught, explained(PLACE):
        raise StaleError("permission denied")
    assert type(caught.value) is StaleError


def test_a_chain_of_errors_that_bites_its_tail_ends() -> None:
    first, second = ValueError("odd"), ValueError("odd")
    first.__cause__, second.__cause__ = second, first
    assert explain(first, PLACE) is None
