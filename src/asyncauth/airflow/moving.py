"""What of FAB's configuration has no equal here: `webserver_config.py`, read and never executed, and `[fab]`.

Anybody may have written anything into that file. Only assignments of literals, and of FAB's constants, are understood;
all else is named.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncauth.db.default_roles import ADMIN
from asyncauth.db.findings import Finding

_AUTH_TYPES = {
    "AUTH_OID": 0,
    "AUTH_DB": 1,
    "AUTH_LDAP": 2,
    "AUTH_REMOTE_USER": 3,
    "AUTH_OAUTH": 4,
    "AUTH_SAML": 5,
}
_LOOKS = re.compile(
    "ADDON_MANAGERS|APP_ICON|APP_NAME|APP_THEME|BABEL_[A-Z_]+|FAB_BASE_TEMPLATE|FAB_INDEX_VIEW|FAB_MENU|FAB_STATIC_[A-Z_]+"
    "|LANGUAGES|LOGO_LINK_TARGET_PATH"
)
"""How FAB's pages look: there are others here."""
_NO_FLASK = re.compile(
    "DEBUG|PERMANENT_SESSION_LIFETIME|PREFERRED_URL_SCHEME|RECAPTCHA_[A-Z_]+|SECRET_KEY|SESSION_[A-Z_]+|SQLALCHEMY_[A-Z_]+"
    "|WTF_CSRF_[A-Z_]+|FAB_ADD_SECURITY_[A-Z_]+_VIEW|FAB_API_MAX_PAGE_SIZE|FAB_CREATE_DB|FAB_UPDATE_PERMS"
)
"""Flask's sessions, forms and tables; our pages are safe from forged requests by themselves."""
_OTHER_TYPES = re.compile(
    "AUTH_LDAP_[A-Z_]+|AUTH_OAUTH_[A-Z_]+|AUTH_REMOTE_USER_[A-Z_]+|AUTH_ROLES_[A-Z_]+|OAUTH_PROVIDERS|SAML_[A-Z_]+"
)
"""Without effect where users log in with a password from the database."""
_ONLY_AS = {
    "AUTH_ROLE_ADMIN": (ADMIN, "rename that role, or ask for it"),
    "AUTH_USER_REGISTRATION": (False, "nobody registers alone here: administrators make users"),
    "AUTH_USER_REGISTRATION_ROLE": ("Public", "users who are made without roles get Public here"),
    "AUTH_API_LOGIN_ALLOW_MULTIPLE_PROVIDERS": (False, "/auth/api/v1/security/login does not exist here"),
    "AUTH_USERNAME_CI": (True, "names of users are found in any case here"),
    "FAB_ADD_SECURITY_VIEWS": (True, "the pages for users and roles are always there"),
}
_OPTIONS = {
    "AUTH_ROLE_PUBLIC": ("fab", "auth_role_public"),
    "FAB_PASSWORD_HASH_METHOD": ("asyncauth", "password_hash_method"),
}
"""Keys whose equal is an option, which has to say the same."""
_LIMITS = re.compile("AUTH_RATE_LIMITED|AUTH_RATE_LIMIT|RATELIMIT_[A-Z_]+")
_LIMITS_ADVICE = "failed logins are limited instead, by [asyncauth] login_failures_per_user and its siblings"
FAB_OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "cookie_secure": (("False",), "the cookie is Secure where [api] base_url begins with https or ssl_cert is set"),
    "cookie_samesite": (("Lax",), "the cookie is SameSite=Lax, as Airflow sets it"),
    "navbar_color": (("#fff",), "pages look different here"),
    "navbar_text_color": (("#51504f",), "pages look different here"),
    "navbar_hover_color": (("#eee",), "pages look different here"),
    "navbar_text_hover_color": (("#51504f",), "pages look different here"),
    "access_denied_message": (("Access is Denied",), "pages say it in their own words here"),
    "expose_hostname": (("False",), "no page shows it here"),
    "auth_rate_limited": (("True",), _LIMITS_ADVICE),
    "auth_rate_limit": (("5 per 40 second",), _LIMITS_ADVICE),
    "auth_backends": (
        ("airflow.providers.fab.auth_manager.api.auth.backend.session",),
        "they guard Flask's pages only; the REST API takes tokens, as before",
    ),
    "session_backend": (("database",), "there are no sessions on the server; `_token` is the only cookie"),
    "session_lifetime_minutes": (
        ("43200",),
        "a login ends with its token, see [api_auth] jwt_expiration_time and [asyncauth] sliding_seconds",
    ),
    "session_max_lifetime_minutes": (("0",), "say the same, in seconds, in [asyncauth] sliding_seconds"),
    "enable_proxy_fix": (("False",), "start the API server with --proxy-headers instead"),
    "cache_ttl": (("30",), "changes are seen at once; there is nothing to set"),
}
"""Options of `[fab]` without an equal: their default, and what holds instead."""


@dataclass(slots=True)
class Config:
    """What a `webserver_config.py` says, as far as that can be known without running it."""

    values: dict[str, Any] = field(default_factory=dict)
    """Keys whose values are literals."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Keys whose values are not: what stands there."""
    code: list[str] = field(default_factory=list)
    """Statements that are no assignments, which could do anything."""


def read_config(text: str) -> Config:
    """Read the file. Executes nothing.

    Raises:
        SyntaxError: it is not Python.
    """
    config, names = Config(), dict(_AUTH_TYPES)
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Import | ast.ImportFrom) or _is_docstring(statement):
            continue
        targets = _targets(statement)
        if targets is None:
            config.code.append(f"line {statement.lineno}: {_first_line(statement)}")
            continue
        _assign(config, names, targets, statement)
    return config


def _assign(config: Config, names: dict[str, Any], targets: list[str], statement: Any) -> None:
    known, value = True, None
    try:
        value = _literal(statement.value, names)
    except ValueError:
        known = False
    for target in targets:
        names.pop(target, None)
        config.values.pop(target, None)
        config.unknown.pop(target, None)
        if known:
            names[target] = value
        if target.isupper():  # Flask takes these only
            if known:
                config.values[target] = value
            else:
                config.unknown[target] = f"line {statement.lineno}: {_first_line(statement)}"


def _targets(statement: ast.stmt) -> list[str] | None:
    if isinstance(statement, ast.Assign):
        found = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        found = [statement.target]
    else:
        return None
    return (
        [one.id for one in found if isinstance(one, ast.Name)]
        if all(isinstance(one, ast.Name) for one in found)
        else None
    )


def _literal(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Raises ValueError if it is none."""
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.Attribute) and node.attr in _AUTH_TYPES:
        return _AUTH_TYPES[node.attr]
    try:
        return ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _first_line(statement: ast.stmt) -> str:
    line = ast.unparse(statement).splitlines()[0]
    name, equals, _ = line.partition(" = ")
    return f"{name} = …" if equals else line  # values may be secrets


# ── what it means ──


def judge_file(path: Path, options: Mapping[tuple[str, str], str]) -> Iterator[Finding]:
    """What the file would mean here. `options`: of Airflow's configuration, by section and name."""
    try:
        config = read_config(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield Finding(ok=True, what=f"there is no {path}: FAB's defaults hold, passwords in the database")
        return
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError) as error:
        yield Finding(ok=False, what=f"{path} cannot be read: {error}", advice="correct it or take it away")
        return
    yield Finding(ok=True, what=f"{path} was read, not executed")
    for what in config.code:
        yield Finding(ok=False, what=f"{path.name}, {what}: this is code, which was not run", advice="see what it sets")
    for name, what in config.unknown.items():
        if not _is_harmless(name):
            yield Finding(ok=False, what=f"{path.name}, {what}: no literal", advice="write the value itself")
    for name, value in sorted(config.values.items()):
        yield from _judge(name, value, options)


def _is_harmless(name: str) -> bool:
    return any(one.fullmatch(name) for one in (_LOOKS, _NO_FLASK, _LIMITS, _OTHER_TYPES))


def _judge(name: str, value: Any, options: Mapping[tuple[str, str], str]) -> Iterator[Finding]:
    if name == "AUTH_TYPE":
        yield _judge_type(value)
    elif name in _OPTIONS:
        section, option = _OPTIONS[name]
        if value and options.get((section, option)) != str(value):
            advice = f"set [{section}] {option} = {value}"
            yield Finding(ok=False, what=f"{name} has its equal in [{section}] {option}", advice=advice)
    elif name in _ONLY_AS:
        wanted, advice = _ONLY_AS[name]
        if value != wanted:
            yield Finding(ok=False, what=f"{name} = {value!r} has no equal here", advice=advice)
    elif _LIMITS.fullmatch(name):
        yield Finding(ok=True, what=f"{name} is not looked at", advice=_LIMITS_ADVICE)
    elif _LOOKS.fullmatch(name):
        yield Finding(ok=True, what=f"{name} is not looked at", advice="pages look different here")
    elif not _is_harmless(name):
        yield Finding(ok=False, what=f"{name} has no equal here", advice="take it away, or stay with FAB")


def _judge_type(value: Any) -> Finding:
    if value == _AUTH_TYPES["AUTH_DB"]:
        return Finding(ok=True, what="AUTH_TYPE is AUTH_DB: passwords in the database")
    name = next((name for name, number in _AUTH_TYPES.items() if number == value), repr(value))
    advice = "stay with FAB: asyncauth logs users in with passwords from the database only"
    return Finding(ok=False, what=f"AUTH_TYPE is {name}", advice=advice)


def judge_options(given: Mapping[str, str]) -> Iterator[Finding]:
    """What options of `[fab]` would mean here. `given`: their values."""
    for name, value in sorted(given.items()):
        defaults, advice = FAB_OPTIONS.get(name, ((value,), ""))
        if value not in defaults:
            yield Finding(ok=True, what=f"[fab] {name} is not looked at", advice=advice)
