"""What a webserver_config.py would mean here. It is read and never run."""

from pathlib import Path

import pytest

from asyncauth.airflow.moving import judge_file, judge_options, read_config

DEFAULT = """
'''The file that FAB brings.'''
from __future__ import annotations
import os
from flask_appbuilder.const import AUTH_DB
basedir = os.path.abspath(os.path.dirname(__file__))
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None
AUTH_TYPE = AUTH_DB
"""


def judged(tmp_path: Path, text: str, **options: str) -> list[str]:
    """Why the file is refused."""
    path = tmp_path / "webserver_config.py"
    path.write_text(text)
    places = {("fab" if name == "auth_role_public" else "asyncauth", name): value for name, value in options.items()}
    return [finding.what for finding in judge_file(path, places) if not finding.ok]


def test_what_fab_brings_is_taken(tmp_path: Path) -> None:
    assert judged(tmp_path, DEFAULT) == []
    assert [finding.ok for finding in judge_file(tmp_path / "none", {})] == [True]


def test_nothing_is_run(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    text = f"import pathlib\npathlib.Path({str(path)!r}).touch()\nAUTH_TYPE = 1 + pathlib.Path({str(path)!r}).touch()\n"
    assert len(judged(tmp_path, text)) == 2
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("from flask_appbuilder.const import AUTH_OAUTH\nAUTH_TYPE = AUTH_OAUTH", "AUTH_TYPE is AUTH_OAUTH"),
        ("import flask_appbuilder.const as c\nAUTH_TYPE = c.AUTH_LDAP", "AUTH_TYPE is AUTH_LDAP"),
        ("AUTH_TYPE = 3", "AUTH_TYPE is AUTH_REMOTE_USER"),
        ("AUTH_TYPE: int = 5", "AUTH_TYPE is AUTH_SAML"),
        ("AUTH_TYPE = 'ldap'", "AUTH_TYPE is 'ldap'"),
        ("x = AUTH_LDAP\nAUTH_TYPE = x", "AUTH_TYPE is AUTH_LDAP"),
        ("AUTH_DB = 4\nAUTH_TYPE = AUTH_DB", "AUTH_TYPE is AUTH_OAUTH"),
        ("AUTH_USER_REGISTRATION = True", "AUTH_USER_REGISTRATION = True"),
        ("AUTH_USER_REGISTRATION_ROLE = 'Viewer'", "AUTH_USER_REGISTRATION_ROLE"),
        ("AUTH_ROLE_ADMIN = 'Boss'", "AUTH_ROLE_ADMIN = 'Boss'"),
        ("AUTH_ROLE_PUBLIC = 'Viewer'", "[fab] auth_role_public"),
        ("FAB_PASSWORD_HASH_METHOD = 'pbkdf2'", "[asyncauth] password_hash_method"),
        ("SECURITY_MANAGER_CLASS = Mine", "line 1: SECURITY_MANAGER_CLASS = …"),
        ("SECURITY_MANAGER_CLASS = 'x.Mine'", "SECURITY_MANAGER_CLASS has no equal"),
        ("FAB_ROLES = {}", "FAB_ROLES has no equal"),
        ("SOMETHING_NEW = 1", "SOMETHING_NEW has no equal"),
        ("import os\nAUTH_TYPE = int(os.environ['TYPE'])", "line 2: AUTH_TYPE = …: no literal"),
        ("if True:\n    AUTH_TYPE = 1", "line 1: if True:"),
        ("class Manager: ...", "class Manager:"),
        ("AUTH_TYPE, X = 1, 2", "this is code"),
        ("AUTH_ROLE_ADMIN = 'Admin'\nAUTH_ROLE_ADMIN += 's'", "line 2"),
        ("def", "cannot be read"),
        ("X = '\\0'\0", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    assert any(reason in what for what in judged(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "AUTH_ROLE_ADMIN = 'Admin'\nAUTH_USER_REGISTRATION = False\nAUTH_USER_REGISTRATION_ROLE = 'Public'",
        "AUTH_ROLE_PUBLIC = ''",
        "AUTH_ROLES_MAPPING = {'a': ['Admin']}\nAUTH_LDAP_SERVER = 'ldap://x'\nOAUTH_PROVIDERS = [f(x)]",
        "APP_THEME = 'cosmo.css'\nSECRET_KEY = open('key').read()\nRATELIMIT_ENABLED = False",
        "AUTH_TYPE = 4\nAUTH_TYPE = 1",
        "lower_case = whatever()",
    ],
)
def test_what_is_taken(tmp_path: Path, text: str) -> None:
    assert judged(tmp_path, text) == []


def test_an_option_that_says_the_same(tmp_path: Path) -> None:
    text = "AUTH_ROLE_PUBLIC = 'Viewer'\nFAB_PASSWORD_HASH_METHOD = 'pbkdf2'"
    assert judged(tmp_path, text, auth_role_public="Viewer", password_hash_method="pbkdf2") == []
    assert len(judged(tmp_path, text, auth_role_public="Op", password_hash_method="")) == 2


def test_values_are_never_shown(tmp_path: Path) -> None:
    text = "NEW_SECRET = 'a secret'\nOTHER = f('a secret')\nMORE += 'x'"
    config = read_config(text)
    assert config.values == {"NEW_SECRET": "a secret"}
    assert not any("a secret" in what for what in judged(tmp_path, text))


def test_options_of_fab() -> None:
    given = {"cookie_samesite": "Lax", "session_lifetime_minutes": "60", "update_fab_perms": "False"}
    found = list(judge_options(given))
    assert [finding.what for finding in found] == ["[fab] session_lifetime_minutes is not looked at"]
    assert found[0].ok
    assert "sliding_seconds" in found[0].advice
