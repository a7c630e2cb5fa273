"""Tokens begin and end here: logins by password or by trust, pairs with a refresh token, revocation, cut-offs."""

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db import revocations
from asyncauth.db.cutoffs import LOGOUT, insert_cutoff, require_user
from asyncauth.db.feed import read_mark
from asyncauth.errors import (
    ClaimError,
    ConfigurationError,
    LoginError,
    RefreshReusedError,
    TooManyAttemptsError,
    UnauthenticatedError,
)
from asyncauth.login.database import Login, authenticate
from asyncauth.login.refresh import Continued
from asyncauth.model import Claims, TokenPair, Written, make_login_key
from asyncauth.running import Running
from asyncauth.tokens.refresh_tokens import is_refresh_token

security = logging.getLogger("asyncauth.security")
T = TypeVar("T")


async def write(running: Running, work: Callable[[AsyncConnection], Awaitable[T]]) -> Written[T]:
    """Run `work` in one transaction, and see its changes here before it returns. See `AuthManager.write`."""

    async def transaction(connection: AsyncConnection) -> tuple[T, int]:
        return await work(connection), await read_mark(connection)

    value, mark = await running.database.write(transaction)
    await running.follower.see_own_write()
    return Written(value, running.receipts.issue(running.users.position.epoch, mark))


# ── beginning ──


async def log_in(running: Running, check: Callable[[], Awaitable[Login]], lifetime_seconds: int | None) -> str:
    """See `AuthManager.login`."""
    login = await check()
    expires_at = None if lifetime_seconds is None else login.issued_at + lifetime_seconds
    slides = running.settings.sliding_seconds is not None and lifetime_seconds is None
    return running.issuer.issue(
        login.user_id,
        running.now(),
        issued_at=login.issued_at,
        expires_at=expires_at,
        login_id=uuid.uuid4().hex if slides else None,
    )


async def check_password(
    running: Running, username: str, password: str, address: str | None, *, throttled: bool = True
) -> Login:
    """Whose name and password these are. Noted in the log, without the name: many a password is typed in its place.

    Raises:
        LoginError, TooManyAttemptsError, BusyError, DatabaseUnavailableError: see `AuthManager.login`.
    """

    def check() -> Awaitable[Login]:
        return authenticate(running.database, running.hasher, username, password, running.now)

    throttle = running.throttle if throttled else None
    try:
        login = await (check() if throttle is None else throttle.guard(username, password, address, check))
    except (LoginError, TooManyAttemptsError) as error:
        security.info("a login from %r was refused: %s", address, error.code)
        raise
    security.info("user %d logged in from %r", login.user_id, address)
    return login


def slide(running: Running, claims: Claims) -> str | None:
    """See `AuthManager.slide`."""
    lifetime, longest = running.settings.jwt_expiration_seconds, running.settings.sliding_seconds
    if longest is None or claims.login_id is None or claims.user_id is None:
        return None
    now = running.now()
    ends_at = claims.issued_at + longest
    expires_at = min(int(now) + lifetime, ends_at)
    if claims.expires_at > now + lifetime / 2 or expires_at <= claims.expires_at:
        return None
    # The time of issue stays that of the login: a cut-off that is committed but not known here yet ends this one, too.
    return running.issuer.issue(
        claims.user_id, now, issued_at=claims.issued_at, login_id=claims.login_id, expires_at=expires_at
    )


async def log_in_pair(running: Running, username: str, password: str, address: str | None) -> TokenPair:
    """See `AuthManager.login_pair`."""
    require_refresh(running)
    login = await check_password(running, username, password, address)
    try:
        return await start_login(running, login.user_id, login.issued_at)
    except UnauthenticatedError:
        raise LoginError("the user was changed meanwhile") from None


async def start_login(running: Running, user_id: int, known_at: int | None) -> TokenPair:
    """A pair of tokens of a new login; see `Logins.start`."""
    require_refresh(running)
    return _pair(running, await running.logins.start(user_id, known_at))


async def refresh(running: Running, token: object) -> TokenPair:
    """See `AuthManager.refresh`."""
    require_refresh(running)
    outcome = await running.logins.refresh(token)
    if isinstance(outcome, Continued):
        return _pair(running, outcome)
    running.revoked.own.add((key, outcome.until) for key in outcome.keys)
    await running.follower.see_own_write()
    raise RefreshReusedError("a spent refresh token came again; its login was ended")


def require_refresh(running: Running) -> None:
    """Raises ConfigurationError: refresh tokens are off."""
    if not running.settings.refresh_tokens:
        raise ConfigurationError("refresh tokens are off: set refresh_tokens (ASYNCAUTH_REFRESH_TOKENS)")


def _pair(running: Running, login: Continued) -> TokenPair:
    expires_at = min(login.issued_at + running.settings.jwt_expiration_seconds, login.ends_at)
    access_token = running.issuer.issue(
        login.user_id, running.now(), issued_at=login.issued_at, login_id=login.login_id, expires_at=expires_at
    )
    return TokenPair(access_token, login.refresh_token, expires_at, login.refresh_expires_at)


# ── end ──


async def end_tokens(running: Running, user_id: int) -> str:
    """See `AuthManager.end_tokens`."""

    async def work(connection: AsyncConnection) -> int:
        await require_user(connection, user_id)
        return await insert_cutoff(connection, user_id, int(running.now()), LOGOUT)

    written = await write(running, work)
    running.cutoffs.add([(user_id, written.value, LOGOUT)])
    return written.token


async def end_login(running: Running, token: object) -> str | None:
    """See `AuthManager.end_login`."""
    if is_refresh_token(token):
        login_id: str | None = await running.logins.find_login_id(token)
    else:
        claims = token if isinstance(token, Claims) else running.verifier.read(token)  # expired: its login goes on
        login_id = claims.login_id if (claims.issuer or "") in running.logins.issuers else None
    if login_id is None:
        raise ClaimError("the token belongs to no login that could be ended: it carries no sid")
    ended_id = login_id
    written = await write(running, lambda connection: running.logins.end_in(connection, ended_id))
    if written.value is None:
        return None
    until = written.value.until
    running.revoked.own.add((key, until) for key in written.value.keys)
    return written.token


async def revoke(running: Running, token: object) -> str | None:
    """See `AuthManager.revoke_token`."""
    claims = running.verifier.read(token)
    if running.verifier.is_over(claims, running.now()):
        return None
    if running.settings.sliding_seconds is not None and claims.login_id is not None:
        return await _revoke_sliding(running, claims, claims.login_id, running.settings.sliding_seconds)
    return await _revoke_one(running, claims)


async def _revoke_one(running: Running, claims: Claims) -> str:
    shared = running.follower.airflow and running.revoked.fits_airflow(claims)
    insert = revocations.insert_airflow if shared else revocations.insert_own

    async def work(connection: AsyncConnection) -> None:
        await insert(connection, claims)

    written = await write(running, work)
    if shared:
        running.revoked.airflow.add([(claims.jti, claims.expires_at)])
    else:
        running.revoked.own.add([(claims.token_id, claims.expires_at)])
    return written.token


async def _revoke_sliding(running: Running, claims: Claims, login_id: str, sliding_seconds: int) -> str:
    """All tokens that slid from one login end together, or a copy of an older one would outlive the logout.

    So does a copy that another worker slides at this moment: it carries the same login."""
    # The token itself may live longer than the present setting allows new ones to.
    until = max(claims.expires_at, claims.issued_at + sliding_seconds)
    keys = [make_login_key(issuer, login_id) for issuer in running.logins.issuers]

    async def work(connection: AsyncConnection) -> None:
        for issuer, _ in keys:
            await revocations.insert_login(connection, issuer, login_id, until)

    written = await write(running, work)
    running.revoked.own.add((key, until) for key in keys)
    return written.token
