"""Which `mysqld` is MySQL's: Debian's is MariaDB's, under the same name."""

import os
from pathlib import Path

import pytest

from tests.servers import mysql
from tests.servers.find import ServerError

ORACLE = "/usr/sbin/mysqld  Ver 8.4.6 for Linux on x86_64 (MySQL Community Server - GPL)"
DEBIAN = "/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))"
MARIADB = "mysqld  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)"
BROKEN = "mysqld: error while loading shared libraries"


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    mysql.find_mysqld.cache_clear()
    monkeypatch.delenv(mysql.VARIABLE, raising=False)


def program(folder: Path, answer: str) -> str:
    """A `mysqld` that says this of its version."""
    folder.mkdir()
    path = folder / "mysqld"
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("said", "version"), [(ORACLE, (8, 4)), (DEBIAN, (9, 7)), (MARIADB, None), (BROKEN, None)])
def test_what_the_version_says(said: str, version: tuple[int, int] | None) -> None:
    assert mysql.mysql_version(said) == version


def test_mariadb_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "a", MARIADB)
    ours = program(tmp_path / "b", ORACLE)
    monkeypatch.setattr(mysql, "FOLDERS", (f"{tmp_path}/b",))
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{os.environ['PATH']}")
    assert mysql.find_mysqld() == ours


def test_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "a", MARIADB)
    monkeypatch.setattr(mysql, "FOLDERS", ())
    monkeypatch.setenv("PATH", f"{tmp_path}/a:/bin")
    assert mysql.find_mysqld() is None


def test_one_that_is_named_has_to_be_mysql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mysql.VARIABLE, program(tmp_path / "a", MARIADB))
    with pytest.raises(ServerError, match="ASYNCAUTH_TEST_MYSQL has to name"):
        mysql.find_mysqld()
