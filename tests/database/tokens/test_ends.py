"""What ends logins and API keys, by the triggers themselves and the clock on the wall: whoever writes."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, admin
from asyncauth.db.tables import users
from asyncauth.errors import AuthError, RevokedTokenError, UserInactiveError, UserNotFoundError
from tests.managers import poll, quiet, running
from tests.rows import add_user


@pytest.fixture
async def auth(settings: Settings) -> AsyncIterator[AuthManager]:
    """A worker with refresh tokens and API keys."""
    async with AuthManager(quiet(settings, refresh_tokens=True, api_key_secret="a secret of the tests " * 2)) as made:
        yield made


@pytest.fixture
async def ada(engine: AsyncEngine) -> int:
    """Somebody."""
    async with engine.begin() as connection:
        return await add_user(connection, password="hash")


async def refused(auth: AuthManager, refresh_token: str) -> type[AuthError]:
    """Why a refresh is refused."""
    with pytest.raises(AuthError) as caught:
        await auth.refresh(refresh_token)
    return type(caught.value)


@pytest.mark.parametrize(
    ("statement", "expected", "key_lives"),
    [
        ("UPDATE ab_user SET password = 'another'", RevokedTokenError, True),
        ("UPDATE ab_user SET active = false", UserInactiveError, False),
        ("DELETE FROM ab_user", UserNotFoundError, False),
    ],
)
async def test_a_change_of_the_user(
    auth: AuthManager, engine: AsyncEngine, ada: int, statement: str, expected: type[AuthError], key_lives: bool
) -> None:
    """A new password ends logins and leaves machines alone; who is switched off or gone has neither."""
    key = (await admin.create_api_key(auth, username="ada", name="nightly")).value
    pair = await auth.issue_pair(ada)
    pair = await auth.refresh(pair.refresh_token)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    assert await refused(auth, pair.refresh_token) is expected
    await poll(auth)
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(pair.access_token)
    if key_lives:
        assert (await auth.get_user_from_token(key.text)).id == ada
    else:
        with pytest.raises(AuthError):
            await auth.get_user_from_token(key.text)
    if expected is RevokedTokenError:
        assert await auth.refresh((await auth.issue_pair(ada)).refresh_token)
    elif expected is UserInactiveError:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE ab_user SET active = true"))
        await poll(auth)
        assert await refused(auth, pair.refresh_token) is RevokedTokenError
        assert (await auth.get_user_from_token(key.text)).id == ada


async def test_logging_out_everywhere(auth: AuthManager, ada: int) -> None:
    """Ends every login, and no key; who logs in again at once is in."""
    key = (await admin.create_api_key(auth, username="ada", name="nightly")).value
    pairs = [await auth.issue_pair(ada) for _ in range(2)]
    await auth.end_tokens(ada)
    for pair in pairs:
        assert await refused(auth, pair.refresh_token) is RevokedTokenError
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(pair.access_token)
    assert (await auth.get_user_from_token(key.text)).id == ada
    new = await auth.issue_pair(ada)
    for _ in range(2):
        assert (await auth.get_user_from_token(new.access_token)).id == ada
        new = await auth.refresh(new.refresh_token)


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_the_next_user_of_an_id_inherits_nothing(auth: AuthManager, engine: AsyncEngine, ada: int) -> None:
    """SQLite gives the id of a deleted user again."""
    key = (await admin.create_api_key(auth, username="ada", name="nightly")).value
    pair = await auth.issue_pair(ada)
    await auth.get_user_from_token(key.text)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM ab_user"))
        assert await add_user(connection, "eve") == ada
    await poll(auth)
    assert await refused(auth, pair.refresh_token) is RevokedTokenError
    for token in (key.text, pair.access_token):
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(token)
    mine = (await admin.create_api_key(auth, username="eve", name="hers")).value
    assert (await auth.get_user_from_token(mine.text)).username == "eve"
    async with engine.connect() as connection:
        assert (await connection.scalars(select(users.c.username))).all() == ["eve"]
    assert running(auth).cutoffs.deleted(ada) > 0
