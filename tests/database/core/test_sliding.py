"""Logins whose tokens slide: only past half of the life, capped as a whole, ended as one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.errors import ConfigurationError, ExpiredTokenError, RevokedTokenError
from tests.managers import FakeClock, poll, quiet
from tests.rows import add_user

HOUR, DAY = 3600, 86_400
PASSWORD = "correct horse"


@dataclass
class Worker:
    """A manager whose tokens live an hour and whose logins slide for a day."""

    auth: AuthManager
    clock: FakeClock

    def slide(self, token: str) -> str | None:
        """What the token becomes now."""
        return self.auth.slide(self.auth.verify(token))


@pytest.fixture
async def token(settings: Settings, engine: AsyncEngine) -> str:
    """Of a login just now, at the time at which the workers' clocks stand."""
    async with AuthManager(quiet(settings)) as auth:
        hashed = await auth.hash_password(PASSWORD)
    async with engine.begin() as connection:
        await add_user(connection, "ada", password=hashed)
    async with worker_of(settings) as worker:
        return await worker.auth.login("ada", PASSWORD)


@asynccontextmanager
async def worker_of(settings: Settings) -> AsyncIterator[Worker]:
    """A worker as a context."""
    clock, long = FakeClock(), 100.0 * DAY
    sliding = {"sliding_seconds": DAY, "jwt_expiration_seconds": HOUR}
    ages = {"max_entry_age_seconds": long, "late_commit_horizon_seconds": long, "max_staleness_seconds": long}
    async with AuthManager(quiet(settings, **sliding, **ages), clock=clock.clock) as auth:
        yield Worker(auth, clock)


@pytest.fixture
async def worker(settings: Settings, token: str) -> AsyncIterator[Worker]:
    """The first worker."""
    async with worker_of(settings) as one:
        yield one


async def test_only_past_half_of_its_life(worker: Worker, token: str) -> None:
    """Before, the cookie stays as it is; then it lives an hour from now, under the login's own time."""
    worker.clock.advance(HOUR / 2 - 1)
    assert worker.slide(token) is None
    worker.clock.advance(2)
    renewed = worker.slide(token)
    assert renewed is not None
    before, after = worker.auth.verify(token), worker.auth.verify(renewed)
    assert after.expires_at == int(worker.clock.now) + HOUR
    assert (after.issued_at, after.login_id, after.user_id) == (before.issued_at, before.login_id, before.user_id)
    assert after.jti != before.jti


async def test_the_login_ends_after_a_day(worker: Worker, token: str) -> None:
    """However busy the browser is."""
    for _ in range(2 * DAY // HOUR):
        worker.clock.advance(HOUR / 2 + 1)
        if worker.clock.now >= worker.auth.verify(token).issued_at + DAY - HOUR:
            break
        token = worker.slide(token) or token
    last = worker.slide(token)
    assert last is not None
    assert worker.auth.verify(last).expires_at == worker.auth.verify(token).issued_at + DAY
    assert worker.slide(last) is None
    worker.clock.advance(HOUR + worker.auth.settings.jwt_leeway_seconds)
    with pytest.raises(ExpiredTokenError):
        worker.auth.verify(last)


async def test_logout_ends_every_token_of_the_login(worker: Worker, token: str, settings: Settings) -> None:
    """A copy of an older one as well, and one that another worker slid at the same time; here and there."""
    worker.clock.advance(HOUR * 0.6)
    renewed = worker.slide(token)
    assert renewed is not None
    async with worker_of(settings) as other:
        other.clock.advance(HOUR * 0.6)
        elsewhere = other.slide(token)
        assert elsewhere is not None
        await worker.auth.revoke_token(renewed)
        for one in (token, renewed, elsewhere):
            with pytest.raises(RevokedTokenError):
                worker.auth.verify(one)
        await poll(other.auth)
        for one in (token, renewed, elsewhere):
            with pytest.raises(RevokedTokenError):
                other.auth.verify(one)


async def test_a_cut_off_that_is_not_known_here_ends_it_too(worker: Worker, token: str, settings: Settings) -> None:
    """The token slides after another worker has ended all of the user's; once that is known, it counts for nothing."""
    worker.clock.advance(HOUR * 0.6)
    async with worker_of(settings) as other:
        other.clock.advance(HOUR * 0.5)
        user_id = other.auth.verify(token).user_id
        assert user_id is not None
        await other.auth.end_tokens(user_id)
    renewed = worker.slide(token)
    assert renewed is not None
    await poll(worker.auth)
    with pytest.raises(RevokedTokenError):
        worker.auth.verify(renewed)


async def test_other_tokens_do_not_slide(worker: Worker, token: str) -> None:
    """One for a machine, with a lifetime of its own, and one made without a login."""
    short = await worker.auth.login("ada", PASSWORD, lifetime_seconds=60)
    user_id = worker.auth.verify(token).user_id
    assert user_id is not None
    made = worker.auth.issue_token(user_id)
    worker.clock.advance(40)
    assert worker.slide(short) is None
    worker.clock.advance(HOUR * 0.9)
    assert worker.slide(made) is None


def test_two_ways_to_carry_a_login_on_are_one_too_many(settings: Settings) -> None:
    """And a login must not outlive the memory of cut-offs."""
    values = settings.model_dump(exclude_unset=True)
    with pytest.raises(ConfigurationError, match="choose one"):
        Settings(**values | {"refresh_tokens": True, "sliding_seconds": DAY})
    with pytest.raises(ConfigurationError, match="jwt_max_age_seconds"):
        Settings(**values | {"sliding_seconds": 365 * DAY})
