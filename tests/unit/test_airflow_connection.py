"""Airflow's sync database URL → what the async driver understands."""

import ssl
from typing import Any

import pytest

from asyncauth.airflow.connection import translate
from asyncauth.errors import ConfigurationError

PG = "postgresql+psycopg2://airflow:s%40crt@db.example/airflow"
MYSQL = "mysql+mysqldb://airflow:secret@db.example/airflow"


def read(url: str) -> tuple[str, dict[str, Any]]:
    """The URL with its password, and the arguments."""
    target = translate(url)
    return target.url.render_as_string(hide_password=False), target.connect_args


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PG, "postgresql+asyncpg://airflow:s%40crt@db.example/airflow"),
        ("postgres://db.example/airflow", "postgresql+asyncpg://db.example/airflow"),
        (MYSQL, "mysql+aiomysql://airflow:secret@db.example/airflow"),
        ("mariadb+pymysql://db.example/airflow", "mariadb+aiomysql://db.example/airflow"),
        ("sqlite:////var/lib/airflow.db", "sqlite+aiosqlite:////var/lib/airflow.db"),
    ],
)
def test_the_driver_changes_and_nothing_else(given: str, expected: str) -> None:
    """User, password, host and database stay."""
    assert read(given) == (expected, {})


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-full"])
def test_sslmode_is_called_ssl(mode: str) -> None:
    """asyncpg knows libpq's words under another name."""
    assert read(f"{PG}?sslmode={mode}")[0].endswith(f"?ssl={mode}")


def test_what_the_server_is_told() -> None:
    """`options` in its three spellings, and the application's name."""
    url = f"{PG}?application_name=api&options=-c%20search_path%3Daf%20-cwork_mem%3D8MB%20--lock-timeout%3D5s"
    expected = {"search_path": "af", "work_mem": "8MB", "lock_timeout": "5s", "application_name": "api"}
    assert read(url)[1] == {"server_settings": expected}


def test_what_is_not_needed_is_left_out() -> None:
    """Our deadlines and heartbeats stand for these."""
    assert read(f"{PG}?connect_timeout=5&keepalives=1&keepalives_idle=30") == read(PG)
    assert read(f"{MYSQL}?connect_timeout=5&charset=utf8mb4")[0].endswith("?charset=utf8mb4")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"{PG}?channel_binding=require", "channel_binding"),
        (f"{PG}?options=-d", "options=-d"),
        (f"{PG}?options=-c%20alone", "-c name=value"),
        (f"{MYSQL}?compress=1", "compress"),
        ("mssql+pyodbc://db.example/airflow", "mssql"),
        (f"{PG}?sslmode=require&sslmode=disable", "sslmode"),
    ],
)
def test_the_rest_is_refused_by_name(url: str, named: str) -> None:
    """Never a TypeError at the first connection, and no message holds the password."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        translate(url)
    assert "s@crt" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "verified", "named"),
    [("require", True, False), ("verify-ca", True, False), ("verify-full", True, True), ("prefer", False, False)],
)
def test_a_root_certificate_is_used_as_libpq_uses_it(mode: str, verified: bool, named: bool) -> None:
    """With one, `require` verifies as well; only `verify-full` looks at the name."""
    root = ssl.get_default_verify_paths().openssl_cafile
    context = read(f"{PG}?sslmode={mode}&sslrootcert={root}")[1]["ssl"]
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (verified, named)


def test_mysql_with_a_certificate() -> None:
    """`ssl_ca` means that it is verified."""
    root = ssl.get_default_verify_paths().openssl_cafile
    context = read(f"{MYSQL}?ssl_ca={root}")[1]["ssl"]
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (True, False)
    assert read(f"{MYSQL}?ssl_ca={root}&ssl_check_hostname=true")[1]["ssl"].check_hostname
