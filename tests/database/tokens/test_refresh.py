"""Refresh tokens: each is good for once, a copy ends the login, and nothing that was ended lives on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import jwt
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth import AuthManager, Settings, TokenPair, passwords
from asyncauth.db.tables import cutoffs, logins, own, refresh_tokens, revocations, users
from asyncauth.errors import (
    AuthError,
    ClaimError,
    ConfigurationError,
    ExpiredTokenError,
    LoginError,
    RefreshReusedError,
    RefreshTokenError,
    RevokedTokenError,
    TokenError,
    UserInactiveError,
    UserNotFoundError,
)
from asyncauth.login import refresh as refreshing
from asyncauth.login.refresh import Logins
from asyncauth.passwords import Scheme, make
from tests.forge import NOW
from tests.managers import FakeClock, poll, quiet, running
from tests.rows import add_user
from tests.sharing import on_sqlite
from tests.statements import count_statements

PASSWORD = "correct horse"
ACCESS, IDLE, ABSOLUTE, GRACE = 300, 3600, 9000, 10


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", Scheme("scrypt:16:1:1", n=16, r=1, p=1))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With refresh tokens on."""
    return quiet(
        settings,
        refresh_tokens=True,
        jwt_expiration_seconds=ACCESS,
        refresh_expiration_seconds=IDLE,
        login_expiration_seconds=ABSOLUTE,
        refresh_grace_seconds=GRACE,
        jwt_leeway_seconds=0,
    )


@pytest.fixture
def clock() -> FakeClock:
    """Of all workers."""
    return FakeClock()


@pytest.fixture
async def auth(settings: Settings, clock: FakeClock) -> AsyncIterator[AuthManager]:
    """A worker."""
    async with AuthManager(settings, clock=clock.clock) as manager:
        yield manager


@pytest.fixture
async def other(settings: Settings, clock: FakeClock) -> AsyncIterator[AuthManager]:
    """Another worker on the same database."""
    async with AuthManager(settings, clock=clock.clock) as manager:
        yield manager


@pytest.fixture
async def ada(engine: AsyncEngine) -> int:
    """Somebody with a password."""
    stored = await asyncio.to_thread(make, PASSWORD)
    async with engine.begin() as connection:
        return await add_user(connection, password=stored)


@pytest.fixture
async def pair(auth: AuthManager, ada: int) -> TokenPair:
    """The first pair of a login."""
    return await auth.login_pair("ada", PASSWORD)


def claims_of(pair: TokenPair) -> dict[str, Any]:
    """What the access token says."""
    claims: dict[str, Any] = jwt.decode(pair.access_token, options={"verify_signature": False})
    return claims


async def accepts(auth: AuthManager, pair: TokenPair) -> bool:
    """Whether the access token is accepted."""
    try:
        await auth.get_user_from_token(pair.access_token)
    except RevokedTokenError:
        return False
    return True


async def refused(work: Awaitable[object]) -> type[AuthError]:
    """Why."""
    with pytest.raises(AuthError) as caught:
        await work
    return type(caught.value)


async def count(engine: AsyncEngine, *conditions: Any) -> int:
    """How many refresh tokens there are of which this is true."""
    async with engine.connect() as connection:
        return len((await connection.execute(select(refresh_tokens.c.hash).where(*conditions))).all())


@on_sqlite
async def test_a_login_is_carried_on(auth: AuthManager, other: AuthManager, ada: int, clock: FakeClock) -> None:
    """Pair after pair on any worker, each with the same `sid`; the numbers in a pair are those of its tokens."""
    pair = await auth.login_pair("ADA", PASSWORD)
    first = claims_of(pair)
    for number in range(1, 4):
        assert (await auth.get_user_from_token(pair.access_token)).id == ada
        assert (pair.access_expires_at, pair.refresh_expires_at) == (claims_of(pair)["exp"], clock.now + IDLE)
        clock.advance(100)
        for worker in (auth, other):
            await poll(worker)
        pair = await (auth, other)[number % 2].refresh(pair.refresh_token)
        claims = claims_of(pair)
        assert (claims["sid"], claims["sub"], claims["iat"]) == (first["sid"], str(ada), NOW + number * 100)
        assert claims["exp"] == NOW + number * 100 + ACCESS
    assert claims_of(await auth.issue_pair(ada))["sid"] != first["sid"]


async def test_a_refresh_sends_few(auth: AuthManager, pair: TokenPair) -> None:
    """Whose token, the login, the token, the user, the cut-offs, spent, the next one: one statement each."""
    with count_statements() as statements:
        await auth.refresh(pair.refresh_token)
    assert len(statements) == 7


async def test_of_two_at_once_one_wins_and_the_other_is_let_off_once(
    auth: AuthManager, other: AuthManager, pair: TokenPair, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both transactions have begun before either locks anything. Who comes a third time ends the login."""
    barrier = asyncio.Barrier(2)
    lock = refreshing._lock_login

    async def together(connection: AsyncConnection, login_id: str) -> Any:
        if connection.dialect.name != "sqlite":  # whose transactions begin one after the other
            await barrier.wait()
        return await lock(connection, login_id)

    monkeypatch.setattr(refreshing, "_lock_login", together)
    one, two = await asyncio.gather(*(worker.refresh(pair.refresh_token) for worker in (auth, other)))
    monkeypatch.undo()
    assert one.refresh_token != two.refresh_token
    assert claims_of(one)["sid"] == claims_of(two)["sid"] == claims_of(pair)["sid"]
    assert await count(engine, refresh_tokens.c.spent_at.is_not(None), refresh_tokens.c.graced_at.is_not(None)) == 1
    assert await count(engine) == 3
    one, two = await auth.refresh(one.refresh_token), await other.refresh(two.refresh_token)
    assert await refused(auth.refresh(pair.refresh_token)) is RefreshReusedError
    for left in (one, two):
        assert await refused(other.refresh(left.refresh_token)) is RevokedTokenError


@pytest.mark.parametrize("grace", [0, GRACE])
async def test_of_many_at_once_one_wins(settings: Settings, clock: FakeClock, ada: int, grace: int) -> None:
    """However many come: with a grace two get something, without one only the winner, and then the login is over."""
    settings = settings.model_copy(update={"refresh_grace_seconds": grace})
    async with AuthManager(settings, clock=clock.clock) as one, AuthManager(settings, clock=clock.clock) as two:
        pair = await one.login_pair("ada", PASSWORD)
        many = (worker.refresh(pair.refresh_token) for _ in range(3) for worker in (one, two))
        results = await asyncio.gather(*many, return_exceptions=True)
        won = [result for result in results if isinstance(result, TokenPair)]
        assert len(won) == (2 if grace else 1)
        kinds = [type(result) for result in results if not isinstance(result, TokenPair)]
        assert kinds.count(RefreshReusedError) == 1
        assert set(kinds) == {RefreshReusedError, RevokedTokenError}
        for worker in (one, two):
            await poll(worker)
            for left in (pair, *won):
                assert not await accepts(worker, left)
                assert await refused(worker.refresh(left.refresh_token)) is RevokedTokenError


@pytest.mark.parametrize(("passed", "let_off"), [(0, True), (GRACE - 1, True), (GRACE, False), (GRACE + 500, False)])
@on_sqlite
async def test_the_very_second_in_which_the_grace_ends(
    auth: AuthManager, pair: TokenPair, clock: FakeClock, passed: int, let_off: bool
) -> None:
    """Counted from when the token was spent."""
    await auth.refresh(pair.refresh_token)
    clock.advance(passed)
    if let_off:
        assert (await auth.refresh(pair.refresh_token)).refresh_token != pair.refresh_token
    assert await refused(auth.refresh(pair.refresh_token)) is RefreshReusedError


async def test_reuse_ends_the_login_everywhere(
    auth: AuthManager, other: AuthManager, pair: TokenPair, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With its access tokens: here at once, on the other worker with the next poll; another login lives on. Logged."""
    another = await auth.login_pair("ada", PASSWORD)
    second = await auth.refresh(pair.refresh_token)
    clock.advance(GRACE)
    for worker in (auth, other):
        await poll(worker)
        assert await accepts(worker, pair)
        assert await accepts(worker, second)
    with caplog.at_level(logging.WARNING, "asyncauth.security"):
        assert await refused(auth.refresh(pair.refresh_token)) is RefreshReusedError
    (record,) = [one for one in caplog.records if one.name == "asyncauth.security"]
    assert claims_of(pair)["sid"] in record.getMessage()
    for worker in (auth, other):
        if worker is other:
            assert await accepts(other, second)
            await poll(other)
        assert not await accepts(worker, pair)
        assert not await accepts(worker, second)
        assert await accepts(worker, another)
        assert await refused(worker.refresh(second.refresh_token)) is RevokedTokenError
        assert await refused(worker.refresh(pair.refresh_token)) is RevokedTokenError
    assert await auth.refresh(another.refresh_token)


async def test_ending_a_login(auth: AuthManager, other: AuthManager, ada: int) -> None:
    """With any of its tokens or its claims, twice too; other logins live on, and a new worker knows."""
    for way in ("refresh", "spent", "access", "claims"):
        pair, another = [await auth.login_pair("ada", PASSWORD) for _ in range(2)]
        second = await auth.refresh(pair.refresh_token)
        claims = running(auth).verifier.verify(pair.access_token, NOW)
        token: object = {
            "refresh": second.refresh_token,
            "spent": pair.refresh_token,
            "access": second.access_token,
            "claims": claims,
        }[way]
        receipt = await auth.end_login(token)
        assert receipt is not None
        assert await auth.end_login(token) is None
        assert await refused(other.get_user_from_token(pair.access_token, at_least=receipt)) is RevokedTokenError
        for worker in (auth, other):
            assert not await accepts(worker, pair)
            assert not await accepts(worker, second)
            assert await accepts(worker, another)
            assert await refused(worker.refresh(second.refresh_token)) is RevokedTokenError
    with pytest.raises(ClaimError):
        await auth.end_login(auth.issue_token(ada))
    for bad in (None, "", "rt_", "rt_" + "x" * 43, "x.y.z"):
        with pytest.raises(TokenError):
            await auth.end_login(bad)
    async with AuthManager(auth.settings, clock=auth._clock) as new:
        assert not await accepts(new, second)


@on_sqlite
async def test_an_expired_access_token_ends_its_login(auth: AuthManager, pair: TokenPair, clock: FakeClock) -> None:
    """Who logs out late does log out: the refresh token would still be good."""
    clock.advance(ACCESS + 1)
    assert await refused(auth.get_user_from_token(pair.access_token)) is ExpiredTokenError
    assert await auth.end_login(pair.access_token)
    assert await refused(auth.refresh(pair.refresh_token)) is RevokedTokenError


async def test_ending_and_refreshing_at_once_leaves_nothing_alive(
    auth: AuthManager, other: AuthManager, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two comes first, when both have begun before either locks anything."""
    lock = refreshing._lock_login
    for number in range(12):
        pair = await auth.login_pair("ada", PASSWORD)
        barrier = asyncio.Barrier(2)

        async def together(connection: AsyncConnection, login_id: str, barrier: asyncio.Barrier = barrier) -> Any:
            if connection.dialect.name != "sqlite":
                await barrier.wait()
            return await lock(connection, login_id)

        monkeypatch.setattr(refreshing, "_lock_login", together)
        ending, refresh = auth.end_login(pair.refresh_token), other.refresh(pair.refresh_token)
        both = (ending, refresh) if number % 2 else (refresh, ending)
        results = await asyncio.gather(*both, return_exceptions=True)
        monkeypatch.undo()
        assert not [one for one in results if isinstance(one, Exception) and not isinstance(one, RevokedTokenError)]
        got = [one for one in results if isinstance(one, TokenPair)]
        for worker in (auth, other):
            await poll(worker)
            for left in (pair, *got):
                assert not await accepts(worker, left)
                assert await refused(worker.refresh(left.refresh_token)) is RevokedTokenError


@on_sqlite
async def test_the_very_second_of_the_idle_expiry(auth: AuthManager, ada: int, clock: FakeClock) -> None:
    """Counted anew with each refresh."""
    pair = await auth.login_pair("ada", PASSWORD)
    clock.advance(IDLE - 1)
    pair = await auth.refresh(pair.refresh_token)
    assert pair.refresh_expires_at == int(clock.now) + IDLE
    clock.now = float(pair.refresh_expires_at)
    for _ in range(2):
        assert await refused(auth.refresh(pair.refresh_token)) is ExpiredTokenError
    clock.now -= 1
    assert await auth.refresh(pair.refresh_token)


@on_sqlite
async def test_the_very_second_of_the_absolute_expiry(auth: AuthManager, ada: int, clock: FakeClock) -> None:
    """However often it was refreshed; no token of the login outlives it."""
    pair = await auth.login_pair("ada", PASSWORD)
    for passed in (3000, 6000, ABSOLUTE - 1):
        clock.now = NOW + passed
        pair = await auth.refresh(pair.refresh_token)
        assert pair.refresh_expires_at == min(NOW + passed + IDLE, NOW + ABSOLUTE)
        assert pair.access_expires_at == min(NOW + passed + ACCESS, NOW + ABSOLUTE)
    assert (await auth.get_user_from_token(pair.access_token)).id == ada
    clock.now = NOW + ABSOLUTE
    assert await refused(auth.refresh(pair.refresh_token)) is ExpiredTokenError
    assert await refused(auth.get_user_from_token(pair.access_token)) is ExpiredTokenError


@on_sqlite
async def test_an_ended_login_stays_ended_as_long_as_its_tokens_live(
    auth: AuthManager, pair: TokenPair, clock: FakeClock
) -> None:
    """The revocation is kept until the last access token has expired."""
    await auth.end_login(pair.refresh_token)
    for passed in (1, ACCESS - 1):
        clock.now = NOW + passed
        await poll(auth)
        assert not await accepts(auth, pair)
    async with running(auth).database.engine.connect() as connection:
        assert (await connection.scalars(select(revocations.c.exp))).one() == NOW + ABSOLUTE


async def cut_off(connection: AsyncConnection, user_id: int, at: int) -> None:
    """As the triggers do."""
    own_id = {} if connection.dialect.name == "postgresql" else {"id": at}
    await connection.execute(insert(cutoffs).values(user_id=user_id, at=at, reason="logout", **own_id))


@pytest.mark.parametrize("at", [NOW - 1, NOW, NOW + 5])
async def test_a_cut_off_ends_logins(auth: AuthManager, engine: AsyncEngine, ada: int, at: int) -> None:
    """Those begun at it or before, without this worker having heard of it; a new login in the same second lives."""
    pair = await auth.issue_pair(ada)
    async with engine.begin() as connection:
        await cut_off(connection, ada, at)
    if at < NOW:
        assert await auth.refresh(pair.refresh_token)
        return
    assert await refused(auth.refresh(pair.refresh_token)) is RevokedTokenError
    running(auth).cutoffs.add([(ada, at, "logout")])
    new = await auth.issue_pair(ada)
    assert claims_of(new)["iat"] == at + 1
    new = await auth.refresh(new.refresh_token)
    assert (claims_of(new)["iat"], claims_of(new)["nbf"]) == (at + 1, NOW)


async def test_a_cut_off_that_is_under_way_is_waited_for(
    auth: AuthManager, engine: AsyncEngine, ada: int, pair: TokenPair
) -> None:
    """Somebody changes the user and has not committed yet: a refresh sees what comes of it."""
    async with engine.connect() as connection:
        await connection.execute(update(users).where(users.c.id == ada).values(first_name="new"))
        await cut_off(connection, ada, NOW)
        work = asyncio.create_task(auth.refresh(pair.refresh_token))
        await asyncio.sleep(0.1)
        assert not work.done()
        await connection.commit()
        assert await refused(work) is RevokedTokenError


async def test_logging_out_everywhere_waits_for_a_refresh(
    auth: AuthManager,
    other: AuthManager,
    ada: int,
    pair: TokenPair,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its time is that of after the wait: what was issued meanwhile, in a later second, is ended with the rest."""
    reached, go = asyncio.Event(), asyncio.Event()
    latest = refreshing._latest_cutoff

    async def slowly(connection: AsyncConnection, user_id: int) -> int:
        found = await latest(connection, user_id)
        reached.set()
        await go.wait()
        return found

    monkeypatch.setattr(refreshing, "_latest_cutoff", slowly)
    refresh = asyncio.create_task(auth.refresh(pair.refresh_token))
    await reached.wait()
    ending = asyncio.create_task(other.end_tokens(ada))
    await asyncio.sleep(0.2)
    clock.advance(1)
    go.set()
    issued = await refresh
    await ending
    monkeypatch.undo()
    for worker in (auth, other):
        await poll(worker)
        assert not await accepts(worker, issued)
        assert await refused(worker.refresh(issued.refresh_token)) is RevokedTokenError


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE ab_user SET active = false", UserInactiveError),
        ("UPDATE ab_user SET active = NULL", UserInactiveError),
        ("DELETE FROM ab_user", UserNotFoundError),
    ],
)
@on_sqlite
async def test_who_is_gone_refreshes_nothing(
    auth: AuthManager, engine: AsyncEngine, ada: int, pair: TokenPair, statement: str, expected: type[AuthError]
) -> None:
    """Whoever changed it, without this worker having heard of it. The token is not spent by that."""
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    assert await refused(auth.refresh(pair.refresh_token)) is expected
    assert await refused(auth.issue_pair(ada)) is expected
    assert await count(engine, refresh_tokens.c.spent_at.is_not(None)) == 0


async def test_a_refresh_whose_caller_leaves_can_be_repeated(
    auth: AuthManager, pair: TokenPair, engine: AsyncEngine
) -> None:
    """It goes on to its end; the same token is let off once, so nobody is thrown out for a lost connection."""
    task = asyncio.create_task(auth.refresh(pair.refresh_token))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await auth.refresh(pair.refresh_token)


MALFORMED = [None, 7, b"rt_" + b"x" * 43, "", "rt_", "rt_" + "x" * 42, "rt_" + "x" * 44, "RT_" + "x" * 43, "x" * 46]
MALFORMED += ["rt_" + "x" * 43 + "\n", " rt_" + "x" * 43, *("rt_" + "x" * 42 + end for end in "=.é\0\ud800")]


@on_sqlite
async def test_malformed_tokens(auth: AuthManager, pair: TokenPair) -> None:
    """Refused without a question to the database; one that is made up costs one; an access token is none."""
    with count_statements() as statements:
        for token in [*MALFORMED, "rt_" + "x" * 1_000_000, pair.access_token]:
            assert await refused(auth.refresh(token)) is RefreshTokenError
    assert statements == []
    with count_statements() as statements:
        assert await refused(auth.refresh("rt_" + "x" * 43)) is RefreshTokenError
    assert len(statements) == 1
    assert await refused(auth.get_user_from_token(pair.refresh_token)) is not None


@on_sqlite
async def test_off_by_default(settings: Settings, pair: TokenPair, ada: int) -> None:
    """It says what to set; ending a login works all the same."""
    async with AuthManager(settings.model_copy(update={"refresh_tokens": False})) as off:
        for work in (off.refresh(pair.refresh_token), off.issue_pair(ada), off.login_pair("ada", PASSWORD)):
            with pytest.raises(ConfigurationError, match="refresh_tokens"):
                await work
        assert await off.end_login(pair.refresh_token)


@on_sqlite
async def test_a_wrong_password_starts_nothing(auth: AuthManager, engine: AsyncEngine, ada: int) -> None:
    """As `login`."""
    assert await refused(auth.login_pair("ada", "wrong")) is LoginError
    async with engine.connect() as connection:
        assert (await connection.execute(select(logins))).all() == []


@on_sqlite
async def test_a_user_who_is_changed_during_the_login(
    auth: AuthManager, engine: AsyncEngine, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check of the password and the start of the login: refused like a wrong password, nothing starts."""
    start = Logins.start

    async def late(logins_: Logins, user_id: int, known_at: int | None = None) -> Any:
        async with engine.begin() as connection:
            await cut_off(connection, ada, NOW)
        return await start(logins_, user_id, known_at)

    monkeypatch.setattr(Logins, "start", late)
    assert await refused(auth.login_pair("ada", PASSWORD)) is LoginError
    assert await count(engine) == 0


@on_sqlite
async def test_a_flood_of_made_up_tokens_is_bounded(auth: AuthManager, settings: Settings) -> None:
    """Few are asked for at the same time, and none takes the lock of a writer."""
    database = running(auth).database
    ask, asking, most = database.ask, 0, 0

    async def watched(*arguments: Any) -> Any:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        try:
            return await ask(*arguments)
        finally:
            asking -= 1

    database.ask = watched  # type: ignore[method-assign, assignment]
    flood = [auth.refresh(f"rt_{number:043}") for number in range(100)]
    refusals = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(error) for error in refusals} == {RefreshTokenError}
    assert most == settings.max_concurrent_loads


async def test_a_token_stands_nowhere(
    settings: Settings,
    clock: FakeClock,
    engine: AsyncEngine,
    ada: int,
    all_logs: pytest.LogCaptureFixture,
) -> None:
    """Neither in the database, nor in logs, errors, or the text of anything."""
    texts: list[str] = []

    def note(value: object) -> None:
        texts.append(repr(value))

    async with AuthManager(settings, clock=clock.clock) as auth:
        first = await auth.login_pair("ada", PASSWORD)
        second = await auth.refresh(first.refresh_token)
        note(await running(auth).logins.refresh(second.refresh_token))
        note(first)
        clock.advance(GRACE)
        for _ in range(2):
            with pytest.raises(AuthError) as caught:
                await auth.refresh(first.refresh_token)
            note(caught.value)
        async with engine.connect() as connection:
            for table in own.sorted_tables:
                note((await connection.execute(select(table))).all())
    texts.append(all_logs.text)
    for pair in (first, second):
        for token in (pair.refresh_token, pair.access_token.rpartition(".")[2]):
            assert all(token.removeprefix("rt_") not in one for one in texts)
