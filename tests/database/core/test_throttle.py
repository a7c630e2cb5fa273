"""Limits of failed logins, through the manager."""

from typing import Any

import pytest

from asyncauth import AuthManager, Settings, passwords
from asyncauth.errors import AuthError, ConfigurationError
from asyncauth.passwords import Scheme
from tests.managers import quiet
from tests.rows import add_user, through
from tests.statements import count_statements

PASSWORD = "correct horse"
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)
STORED = f"scrypt:16:1:1$salt${CHEAP.compute(PASSWORD.encode(), 'salt')}"

pytestmark = pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "mysql+aiomysql"], indirect=True)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With limits."""
    return quiet(settings, login_failures_per_user=3, login_failures_per_address=5, refresh_tokens=True)


async def outcome(auth: AuthManager, username: str, password: str, **arguments: Any) -> str:
    """The code of the error, or "in"."""
    try:
        await auth.login(username, password, **arguments)
    except AuthError as error:
        return error.code
    return "in"


@pytest.fixture
async def ada(auth: AuthManager) -> int:
    """A user with a password."""
    return await through(auth, lambda connection: add_user(connection, "ada", password=STORED))


async def test_unknown_users_are_counted_like_known_ones(auth: AuthManager, ada: int) -> None:
    """Nobody learns from the limits who exists."""
    for name in ("ada", "nobody"):
        ended = [await outcome(auth, name, "wrong", address=f"192.0.2.{ada}") for _ in range(3)]
        assert ended == ["login_refused"] * 3
        assert await outcome(auth, name, PASSWORD) == "too_many_attempts"
        ada += 1


async def test_over_the_limit_no_password_is_looked_at(auth: AuthManager, ada: int) -> None:
    for _ in range(3):
        await outcome(auth, "ada", "wrong")
    with count_statements() as statements:
        assert await outcome(auth, "ada", PASSWORD) == "too_many_attempts"
    assert statements == []


async def test_pairs_of_tokens_are_limited_as_well(auth: AuthManager, ada: int) -> None:
    for number in range(5):
        await outcome(auth, f"user{number}", "wrong", address="192.0.2.1")
    with pytest.raises(AuthError) as caught:
        await auth.login_pair("ada", PASSWORD, address="192.0.2.1")
    assert caught.value.status == 429
    assert (await auth.login_pair("ada", PASSWORD, address="192.0.2.2")).access_token


async def test_without_limits_nothing_is_refused(settings: Settings, ada: int) -> None:
    unlimited = settings.model_copy(update={"login_failures_per_user": None, "login_failures_per_address": 0})
    async with AuthManager(unlimited) as auth:
        assert {await outcome(auth, "ada", "wrong", address="192.0.2.1") for _ in range(20)} == {"login_refused"}


async def test_what_is_missing_is_said_at_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asyncauth.login.throttle", None)
    with pytest.raises(ConfigurationError, match=r"asyncauth\[throttle\]"):
        await AuthManager(settings).start()
