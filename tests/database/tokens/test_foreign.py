"""Users by the names that a foreign issuer gives them: exact, current, and nobody's id."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import delete, update

from asyncauth import AuthManager, Settings
from asyncauth.db.tables import users
from asyncauth.errors import RevokedTokenError, UserInactiveError, UserNotFoundError
from asyncauth.tokens.jwks import public_jwk
from tests.conftest import NAME, SECRET
from tests.idp import Idp
from tests.managers import poll, quiet
from tests.rows import add_user, through
from tests.sharing import on_sqlite
from tests.statements import count_statements

IDP = Idp()


def trusting(settings: Settings, path: Path, **changes: Any) -> Settings:
    """Settings that trust it, with its keys in a file."""
    described = IDP.describe(jwks_url=None, jwks_path=path, **changes)
    whole = Settings(jwt_secret=SECRET, jwt_issuer=NAME, jwt_audience=NAME, jwt_trusted_issuers=(described,))
    return quiet(settings, jwt_trusted_issuers=whole.jwt_trusted_issuers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of its keys."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public_jwk(key) for key in IDP.keys]}))
    return path


@pytest.fixture
async def auth(settings: Settings, path: Path) -> AsyncIterator[AuthManager]:
    """A manager that takes its tokens, by user name."""
    async with AuthManager(trusting(settings, path)) as manager:
        yield manager


async def add(auth: AuthManager, username: str, **values: Any) -> int:
    """A user."""
    return await through(auth, lambda connection: add_user(connection, username, **values))


async def change(auth: AuthManager, user_id: int, **values: Any) -> None:
    """Change a user's row."""
    await auth.write(lambda connection: connection.execute(update(users).where(users.c.id == user_id).values(values)))
    await poll(auth)


@on_sqlite
async def test_no_statement_when_warm(auth: AuthManager) -> None:
    """One more than by id when cold, none from then on, and the same user as by id."""
    user_id = await add(auth, "ada")
    await auth.get_user(user_id)
    token = IDP.issue("ada")
    assert auth.find_user_from_token(token) is None
    with count_statements() as statements:
        user = await auth.get_user_from_token(token)
    assert (user.id, len(statements)) == (user_id, 1)
    with count_statements() as statements:
        assert await auth.get_user_from_token(token) is user
        assert auth.find_user_from_token(token) is user
        assert auth.find_user_from_token(IDP.issue("ada")) is user  # another token of the same name
    assert not statements


@on_sqlite
async def test_digits_are_a_name(auth: AuthManager) -> None:
    """Their `1` is nobody here, until somebody is called so; and that is still not our user 1."""
    first = await add(auth, "ada")
    with pytest.raises(UserNotFoundError):
        await auth.get_user_from_token(IDP.issue(str(first)))
    second = await add(auth, str(first))
    assert (await auth.get_user_from_token(IDP.issue(str(first)))).id == second != first


@pytest.mark.parametrize(
    "name", ["Ada", "ADA", "ádá", "ada ", " ada", "a\u0300da", "\uff41da", "ad", "ada%", "x" * 512]
)
async def test_names_that_only_look_alike(auth: AuthManager, name: str) -> None:
    """To the letter, whatever the database's collation holds for the same: two people of the issuer are never one."""
    await add(auth, "ada")
    with pytest.raises(UserNotFoundError):
        await auth.get_user_from_token(IDP.issue(name))


async def test_a_name_that_moves_on(auth: AuthManager) -> None:
    """After ada is renamed the name is nobody's; then it is that of who has it next, and never of who had it."""
    first = await add(auth, "ada")
    token = IDP.issue("ada")
    assert (await auth.get_user_from_token(token)).id == first
    await change(auth, first, username="lovelace")
    assert auth.find_user_from_token(token) is None
    with pytest.raises(UserNotFoundError):
        await auth.get_user_from_token(token)
    second = await add(auth, "ada", email="another@example.org")
    assert (await auth.get_user_from_token(token)).id == second
    assert (await auth.get_user_from_token(IDP.issue("lovelace"))).id == first


async def test_two_names_change_places(auth: AuthManager) -> None:
    """Both hints are wrong then, and both users in memory: each token finds the one who has its name now."""
    first, second = await add(auth, "ada"), await add(auth, "bob")
    tokens = IDP.issue("ada"), IDP.issue("bob")
    assert [(await auth.get_user_from_token(token)).id for token in tokens] == [first, second]
    await change(auth, first, username="x")
    await change(auth, second, username="ada")
    await change(auth, first, username="bob")
    await auth.get_user(first)
    await auth.get_user(second)
    assert [auth.find_user_from_token(token) for token in tokens] == [None, None]
    assert [(await auth.get_user_from_token(token)).id for token in tokens] == [second, first]


@on_sqlite
async def test_who_is_gone_or_inactive(auth: AuthManager) -> None:
    """As with tokens of our own."""
    user_id = await add(auth, "ada")
    token = IDP.issue("ada")
    await auth.get_user_from_token(token)
    await change(auth, user_id, active=False)
    with pytest.raises(UserInactiveError):
        await auth.get_user_from_token(token)
    await auth.write(lambda connection: connection.execute(delete(users).where(users.c.id == user_id)))
    await poll(auth)
    with pytest.raises(UserNotFoundError):
        await auth.get_user_from_token(token)


async def test_by_email(settings: Settings, path: Path) -> None:
    """To the letter as well, and only if the issuer has verified it."""
    async with AuthManager(trusting(settings, path, matches="email", claim="email")) as auth:
        user_id = await add(auth, "ada", email="ada@example.org")
        for email, found in (("ada@example.org", True), ("Ada@example.org", False), ("ada", False)):
            token = IDP.issue("1", email=email, email_verified=True)
            if found:
                assert (await auth.get_user_from_token(token)).id == user_id
            else:
                with pytest.raises(UserNotFoundError):
                    await auth.get_user_from_token(token)


@on_sqlite
async def test_a_foreign_token_is_revoked(auth: AuthManager) -> None:
    """By its issuer and id: a token of the same id of ours is another."""
    await add(auth, "ada")
    token, other = IDP.issue("ada", jti="ab12"), IDP.issue("ada", jti="ab13")
    await auth.get_user_from_token(token)
    await auth.revoke_token(token)
    with pytest.raises(RevokedTokenError):
        auth.find_user_from_token(token)
    assert auth.find_user_from_token(other) is not None


@on_sqlite
async def test_many_at_once_ask_for_few_at_a_time(auth: AuthManager) -> None:
    """First requests of fifty people wait for their turn; none fails."""
    names = [f"user{number}" for number in range(50)]
    for name in names:
        await add(auth, name)
    found: list[str] = []

    async def ask(name: str) -> None:
        found.append((await auth.get_user_from_token(IDP.issue(name))).username)

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(ask, name)
    assert sorted(found) == sorted(names)
