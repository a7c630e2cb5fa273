"""Settings: where they come from, what is refused, and that nothing secret is ever shown."""

from pathlib import Path
from typing import Any

import pytest

from asyncauth import Settings
from asyncauth.errors import ConfigurationError

NAMED: dict[str, Any] = {"jwt_issuer": "here", "jwt_audience": "us"}
CANARY = "canary-5d41402abc4b2a76"


def refused(**values: Any) -> str:
    """The message with which these settings are refused."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(**values)
    return str(caught.value)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ASYNCAUTH_` and the name in capitals; an empty variable is none."""
    for name, value in {
        "DATABASE_URL": "sqlite+aiosqlite:///a.db",
        "JWT_ISSUER": " here , there ",
        "JWT_AUDIENCE": "us",
        "POLL_INTERVAL_SECONDS": "0.5",
        "GROUP_ROLES": "false",
        "JWT_SECRET": "",
    }.items():
        monkeypatch.setenv(f"ASYNCAUTH_{name}", value)
    settings = Settings()
    assert settings.database_url == "sqlite+aiosqlite:///a.db"
    assert settings.issuers == ("here", "there")
    assert settings.audiences == ("us",)
    assert settings.poll_interval_seconds == 0.5
    assert settings.group_roles is False
    assert settings.jwt_secret is None


def test_a_file_holds_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`…_FILE` names a file with the value, without the white space around it; the variable itself goes before it."""
    path = tmp_path / "secret"
    path.write_text(f"{CANARY}\n")
    monkeypatch.setenv("ASYNCAUTH_JWT_SECRET_FILE", str(path))
    assert Settings(**NAMED).jwt_secret == CANARY
    monkeypatch.setenv("ASYNCAUTH_JWT_SECRET", "from the environment")
    assert Settings(**NAMED).jwt_secret == "from the environment"
    assert Settings(jwt_secret="from code", **NAMED).jwt_secret == "from code"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    """A secret's file that is missing or no text is one sentence that names the variable."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("ASYNCAUTH_JWT_SECRET_FILE", str(path))
    assert "ASYNCAUTH_JWT_SECRET_FILE names a file that cannot be read" in refused(**NAMED)


@pytest.mark.parametrize("name", ["issuer", "audience"])
@pytest.mark.parametrize("value", [None, "", " , ", (), ("", " ")])
def test_issuer_and_audience_have_to_be_said(name: str, value: object) -> None:
    """Leaving one out is refused, with a message that says what to write, unless it is left out in so many words."""
    values = {**NAMED, f"jwt_{name}": value}
    message = refused(**values)
    assert f"jwt_{name}" in message
    assert f"jwt_allow_any_{name}" in message
    allowed = Settings(**values, **{f"jwt_allow_any_{name}": True})
    assert getattr(allowed, f"{name}s") == ()


@pytest.mark.parametrize("name", ["issuer", "audience"])
def test_issuer_and_audience_cannot_be_both_set_and_open(name: str) -> None:
    """To name one and to accept any contradict each other."""
    assert "choose one" in refused(**NAMED, **{f"jwt_allow_any_{name}": True})


def test_several_issuers() -> None:
    """A tuple, or commas in a text; a tuple's texts are taken as they are."""
    assert Settings(jwt_issuer="a,b", jwt_audience="us").issuers == ("a", "b")
    assert Settings(jwt_issuer=("a,b", "c"), jwt_audience="us").issuers == ("a,b", "c")


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"jwt_secret": "a", "jwt_private_key_path": Path("b")}, "not both"),
        ({"poll_interval_seconds": 10, "max_staleness_seconds": 10}, "longer than poll_interval_seconds"),
        ({"poll_interval_seconds": 0}, "poll_interval_seconds"),
        ({"max_staleness_seconds": float("inf")}, "max_staleness_seconds"),
        ({"max_staleness_seconds": float("nan")}, "max_staleness_seconds"),
        ({"database_timeout_seconds": -1}, "database_timeout_seconds"),
        ({"user_cache_size": 0}, "user_cache_size"),
        ({"jwt_leeway_seconds": 301}, "jwt_leeway_seconds"),
        ({"jwt_max_age_seconds": 3600}, "jwt_max_age_seconds must be at least jwt_expiration_seconds"),
        ({"jwt_leeway_seconds": -1}, "jwt_leeway_seconds"),
        ({"jwt_issuer": "é" * 128}, "jwt_issuer is longer than 255 bytes"),
        ({"jwt_issuer": ("here", "x" * 256)}, "jwt_issuer is longer than 255 bytes"),
        ({"jwt_issuer": "a\0"}, "not printable"),
        ({"jwt_expiration_seconds": 0}, "jwt_expiration_seconds"),
        ({"password_queue_size": -1}, "password_queue_size"),
        ({"group_roles": "perhaps"}, "group_roles"),
        ({"jwt_secrets": CANARY}, "jwt_secrets"),
        ({"database_url": 5}, "database_url"),
    ],
)
def test_values_that_are_refused(values: dict[str, Any], part: str) -> None:
    """A value out of range, of the wrong type, unknown, or against another is one line that names it."""
    message = refused(**(NAMED | values))
    assert part in message
    assert "\n" not in message


def test_settings_do_not_change() -> None:
    """They are read once."""
    settings = Settings(**NAMED)
    with pytest.raises(Exception, match="frozen"):
        settings.jwt_issuer = "there"


def test_equal_settings_are_equal() -> None:
    """The guarded instance tells by this whether it is asked for the same manager."""
    assert Settings(**NAMED) == Settings(**NAMED)
    assert Settings(**NAMED) != Settings(**NAMED, user_cache_size=5)


def test_secrets_are_not_shown() -> None:
    """Neither the text of settings nor the text of a refusal holds a secret or a database password."""
    url = f"sqlite+aiosqlite://user:{CANARY}@host/a"
    settings = Settings(jwt_secret=CANARY, database_url=url, **NAMED)
    assert CANARY not in f"{settings!r} {settings}"
    for values in (
        {"jwt_secret": CANARY, "jwt_private_key_path": Path("b")},
        {"jwt_secret": [CANARY]},
        {"jwt_secret": {"a": CANARY}},
        {"database_url": CANARY.encode() + b"\xff"},
        {"jwt_secret": CANARY, "database_url": url, "user_cache_size": CANARY},
        {"unknown": CANARY},
    ):
        with pytest.raises(ConfigurationError) as caught:
            Settings(**NAMED, **values)
        assert CANARY not in f"{caught.value!r} {caught.value}"
