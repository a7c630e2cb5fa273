"""asyncauth.testing: the manager in memory, its users, tokens and clock."""

import asyncio
import dataclasses
import os
import subprocess
import sys
from contextlib import suppress

import anyio
import pytest

from asyncauth import AuthManager, Settings, admin, create_auth_manager, get_auth_manager
from asyncauth.clock import Clock
from asyncauth.decide import decide
from asyncauth.errors import (
    ClosedError,
    ConfigurationError,
    ExpiredTokenError,
    InvalidValueError,
    LoginError,
    RevokedTokenError,
    TakenError,
    UserNotFoundError,
)
from asyncauth.model import Permission
from asyncauth.testing import FakeClock, add_user, make_token, make_user, memory_auth_manager, memory_settings
from tests.leaks import no_connection_open, no_task_left

ETL = [("can_read", "DAG:etl")]


async def test_a_login_and_its_end() -> None:
    """A real manager; in the block it is the process's, afterwards there is none."""
    async with memory_auth_manager() as auth:
        assert get_auth_manager() is auth
        ada = await add_user(auth, "ada", password="correct horse", permissions=ETL)
        token = await auth.login("ada", "correct horse")
        assert await auth.get_user_from_token(token) == ada
        with pytest.raises(LoginError):
            await auth.login("ada", "wrong")
        await auth.revoke_token(token)
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(token)
        file = anyio.Path(str(auth.settings.database_url).partition(":///")[2])
        assert await file.exists()
    assert not await file.parent.exists()
    with pytest.raises(ClosedError):
        get_auth_manager()


async def test_a_token_expires_when_the_clock_says_so() -> None:
    """And nothing else does: memory stays current for a year."""
    clock = FakeClock()
    async with memory_auth_manager(clock=clock) as auth:
        await add_user(auth, "ada")
        short = await make_token(auth, "ada", lifetime_seconds=60)
        long = await make_token(auth, "ada")
        clock.advance(59 + auth.settings.jwt_leeway_seconds)
        await auth.get_user_from_token(short)
        clock.advance(2)
        with pytest.raises(ExpiredTokenError):
            await auth.get_user_from_token(short)
        assert (await auth.get_user_from_token(long)).username == "ada"


async def test_ends_that_the_database_dates() -> None:
    """A new password ends tokens, as long as the clock stands where it began."""
    leeway_seconds = 300  # of the database's clock, which goes on
    async with memory_auth_manager(clock=FakeClock(), jwt_leeway_seconds=leeway_seconds) as auth:
        await add_user(auth, "ada", password="correct horse")
        token = await make_token(auth, "ada")
        await admin.set_password(auth, username="ada", password="another horse")
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(token)
        await auth.get_user_from_token(await make_token(auth, "ada"))


async def test_two_managers_know_nothing_of_each_other() -> None:
    """The inner one is the process's until it ends."""
    async with memory_auth_manager() as outer:
        await add_user(outer, "ada")
        async with memory_auth_manager() as inner:
            assert get_auth_manager() is inner
            with pytest.raises(UserNotFoundError):
                await make_token(inner, "ada")
        assert get_auth_manager() is outer
        assert await create_auth_manager(outer.settings) is outer


async def test_nothing_is_left_after_an_error() -> None:
    """No task, no connection, no file, no manager."""
    urls: list[str] = []
    with no_connection_open(), no_task_left():
        with suppress(KeyError):
            async with memory_auth_manager() as auth:
                await add_user(auth, "ada", permissions=ETL)
                urls.append(str(auth.settings.database_url))
                raise KeyError
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as deadline, memory_auth_manager() as auth:
                urls.append(str(auth.settings.database_url))
                deadline.reschedule(0)  # now
                await asyncio.sleep(60)
    assert len(urls) == 2
    for url in urls:
        assert not await anyio.Path(url.partition(":///")[2]).parent.exists()
    with pytest.raises(ClosedError):
        get_auth_manager()


async def test_settings_and_class_of_ones_own() -> None:
    """Refresh tokens, say."""

    class Mine(AuthManager):
        pass

    async with memory_auth_manager(cls=Mine, refresh_tokens=True) as auth:
        assert type(auth) is Mine
        ada = await add_user(auth, "ada")
        pair = await auth.issue_pair(ada.id)
        assert (await auth.refresh(pair.refresh_token)).access_token != pair.access_token


def test_a_setting_that_is_wrong() -> None:
    """Is refused as anywhere."""
    with pytest.raises(ConfigurationError, match="jwt_expiration_seconds"), memory_settings(jwt_expiration_seconds=0):
        pass  # pragma: no cover


def test_settings_of_the_machine_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And come back after the block."""
    monkeypatch.setenv("ASYNCAUTH_JWT_PRIVATE_KEY_PATH", "/nowhere")
    with memory_settings(export=True, jwt_issuer=("one", "two"), group_roles=False) as settings:
        assert settings.jwt_private_key_path is None
        assert "ASYNCAUTH_JWT_PRIVATE_KEY_PATH" not in os.environ
        read = Settings()
        assert read.issuers == ("one", "two")
        assert dataclasses.asdict(_Values(read)) == dataclasses.asdict(_Values(settings))
    assert {name for name in os.environ if name.startswith("ASYNCAUTH_JWT")} == {"ASYNCAUTH_JWT_PRIVATE_KEY_PATH"}
    with memory_settings():
        assert os.environ["ASYNCAUTH_JWT_PRIVATE_KEY_PATH"] == "/nowhere"


@dataclasses.dataclass
class _Values:
    """What two settings of different classes can be compared by."""

    values: object

    def __post_init__(self) -> None:
        assert isinstance(self.values, Settings)
        values = self.values.model_dump(exclude={"jwt_issuer"})
        self.values = values


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named; `as_user` needs it not."""
    code = (
        "import sys; sys.modules['aiosqlite'] = None\n"
        "from asyncauth.testing import as_user, make_user, memory_settings\n"
        "with memory_settings(): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigurationError: a manager in memory needs aiosqlite: pip install 'asyncauth[sqlite]'" in done.stderr


# ── users ──


def test_made_up_users() -> None:
    """Hold what is said, and are the same for the same words."""
    user = make_user("ada", permissions=ETL, roles={"Viewer": [("can_edit", "DAG:etl")], "Public": []})
    assert [role.name for role in user.roles] == ["Viewer", "Public", "role of ada"]
    assert user.roles[2].permissions == {Permission("can_read", "DAG:etl")}
    assert decide(user, "can_edit", "DAG:etl").role == "Viewer"
    assert not decide(user, "can_delete", "DAG:etl")
    assert user == make_user("ada", permissions=iter(ETL), roles={"Viewer": [("can_edit", "DAG:etl")], "Public": []})
    assert make_user("ada", roles=["Viewer"]).roles[0].keys == frozenset()
    assert make_user("ada").id != make_user("grace").id
    assert (make_user("ada", user_id=7).id, make_user("ada").email) == (7, "ada@example.com")


def test_made_up_users_that_no_database_could_hold() -> None:
    """Nor is a name taken for a list of letters."""
    with pytest.raises(InvalidValueError):
        make_user("ada", permissions=[("can_read\0DAG:etl", "x")])
    with pytest.raises(TypeError, match="'Viewer'"):
        make_user("ada", roles="Viewer")


async def test_users_in_the_database_hold_the_same() -> None:
    """Roles are made once, and keep what they hold."""
    async with memory_auth_manager() as auth:
        roles = {"Viewer": [("can_edit", "DAG:etl")]}
        ada = await add_user(auth, "ada", permissions=ETL, roles=roles)
        grace = await add_user(auth, "grace", roles=["Viewer"])
        made = make_user("ada", permissions=ETL, roles=roles)
        assert {role.name: role.keys for role in ada.roles} == {role.name: role.keys for role in made.roles}
        assert auth.decide(grace, "can_edit", "DAG:etl")
        with pytest.raises(TakenError):
            await add_user(auth, "ada")


# ── the clock ──


def test_the_clock_stands_still() -> None:
    """It is a Clock, starts at the real time, and never goes back."""
    clock, other = FakeClock(1_000.0), FakeClock()
    assert isinstance(clock, Clock)
    assert (clock.now(), clock.elapsed()) == (1_000.0, 0.0)
    clock.advance(0.5)
    assert (clock.now(), clock.elapsed()) == (1_000.5, 0.5)
    assert abs(other.now() - Clock().now()) < 60
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
