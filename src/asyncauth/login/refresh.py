"""Logins that refresh tokens carry on (RFC 6749 section 6, RFC 9700 section 4.14).

A refresh token is spent by its use and gives the next one. If a spent one comes again, somebody has a copy: the login
is ended, with everything that came from it. Only the loser of two concurrent refreshes is let off, within the grace,
once.

INVARIANT: every transaction locks the row of the login first. So ending it and refreshing it come one after the other,
and so do two refreshes.
"""

import asyncio
import logging
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.clock import Clock
from asyncauth.db.engine import Database
from asyncauth.db.revocations import insert_login
from asyncauth.db.tables import cutoffs, logins, refresh_tokens, users
from asyncauth.errors import (
    AuthError,
    DatabaseUnavailableError,
    ExpiredTokenError,
    RefreshTokenError,
    RevokedTokenError,
    UserInactiveError,
    UserNotFoundError,
)
from asyncauth.model import make_login_key
from asyncauth.settings import Settings
from asyncauth.tokens.refresh_tokens import hash_refresh_token, make_refresh_token

security = logging.getLogger("asyncauth.security")
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Continued:
    """A login that lives, and its newest refresh token. Times in seconds since the epoch."""

    login_id: str
    user_id: int
    issued_at: int
    """Of what is issued now."""
    ends_at: int
    """When the login ends whatever happens."""
    refresh_token: str = field(repr=False)
    refresh_expires_at: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A login that is over."""

    keys: tuple[tuple[str, str], ...]
    """What stands for all its access tokens among the revoked: one for each issuer."""
    until: int
    """When the last of them has expired."""


class Logins:
    """Starts, continues and ends logins.

    Args:
        issuers: all whose access tokens the logins may have given; empty: they carry none.
    """

    def __init__(self, database: Database, issuers: tuple[str, ...], clock: Clock, settings: Settings) -> None:
        self._database = database
        self.issuers = issuers or ("",)
        self._clock = clock
        self._idle_seconds = settings.refresh_expiration_seconds
        self._absolute_seconds = settings.login_expiration_seconds
        self._timeout_seconds = 2 * settings.database_timeout_seconds
        self._turns = asyncio.Semaphore(settings.max_concurrent_loads)
        self._grace_seconds = settings.refresh_grace_seconds
        # A day at least: the setting may have been longer when the last access tokens were issued.
        self._access_seconds = max(settings.jwt_expiration_seconds, _DAY_SECONDS)

    async def start(self, user_id: int, known_at: int | None = None) -> Continued:
        """A new login.

        Args:
            user_id: of whom.
            known_at: when the identity was established: whatever cuts the user off then or later ends this, too. None:
                it is still certain.

        Raises:
            UserNotFoundError, UserInactiveError: meanwhile.
            RevokedTokenError: the user was cut off meanwhile.
            DatabaseUnavailableError: see `Database.write`.
        """

        async def work(connection: AsyncConnection) -> Continued:
            await _require_active(connection, user_id)
            cut_off_at = await _latest_cutoff(connection, user_id)
            # The very second of a cut-off is refused: what is issued in it belongs to the next.
            started_at = max(int(self._clock.now()), cut_off_at + 1) if known_at is None else known_at
            _require_later(started_at, cut_off_at)
            login_id, ends_at = uuid.uuid4().hex, started_at + self._absolute_seconds
            row = {"id": login_id, "user_id": user_id, "started_at": started_at, "expires_at": ends_at}
            await connection.execute(insert(logins).values(row))
            return await self._continue(connection, login_id, user_id, started_at, ends_at)

        return await self._database.write(work)

    async def find_login_id(self, token: object) -> str:
        """To which login a refresh token belongs, whatever its state.

        Raises:
            RefreshTokenError: it is none of ours (any more).
            DatabaseUnavailableError: see `Database.ask`.
        """
        statement = select(refresh_tokens.c.login_id).where(refresh_tokens.c.hash == hash_refresh_token(token))
        rows = await self._database.ask(statement)
        if not rows:
            raise RefreshTokenError("the refresh token is unknown")
        login_id: str = rows[0].login_id
        return login_id

    async def refresh(self, token: object) -> Continued | Ended:
        """Spend a refresh token for the next one; `Ended` if it had been spent before.

        Raises:
            TokenError: it is unknown, expired, or its login is over.
            UserNotFoundError, UserInactiveError: 401.
            DatabaseUnavailableError: see `Database.write`. If the token was spent all the same, it can be used once
                more within the grace.
        """
        hash_ = hash_refresh_token(token)
        try:
            # A flood of them leaves connections to others.
            async with asyncio.timeout(self._timeout_seconds), self._turns:
                # Apart from the transaction: a token that is made up locks nothing, and on MariaDB a plain read before
                # the locking ones would fix what they may see.
                login_id = await self.find_login_id(token)
                return await self._database.write(lambda connection: self._refresh(connection, login_id, hash_))
        except TimeoutError:
            message = "the database gave no answer in time, or too many refreshes wait for it"
            raise DatabaseUnavailableError(message) from None

    async def _refresh(self, connection: AsyncConnection, login_id: str, hash_: str) -> Continued | Ended:
        login = await _lock_login(connection, login_id)
        mine = refresh_tokens.c.hash == hash_
        token = (await connection.execute(select(refresh_tokens).where(mine).with_for_update())).one_or_none()
        now = self._clock.now()  # now that nobody else changes them
        if login is None or token is None:
            raise RefreshTokenError("the refresh token is unknown")
        if refusal := _find_end(login, now):
            raise refusal
        spent: dict[str, int] = {}
        if token.spent_at is None:
            if token.expires_at <= now:
                raise ExpiredTokenError("the refresh token was not used for too long")
            spent["spent_at"] = int(now)
        elif token.graced_at is None and now < token.spent_at + self._grace_seconds:
            spent["graced_at"] = int(now)
        else:
            security.warning("a spent refresh token came again: login %s of user %d ends", login.id, login.user_id)
            return await self._end(connection, login, now)
        await _require_active(connection, login.user_id)
        _require_later(login.started_at, await _latest_cutoff(connection, login.user_id))
        await connection.execute(update(refresh_tokens).where(mine).values(spent))
        return await self._continue(connection, login.id, login.user_id, login.started_at, login.expires_at)

    async def end_in(self, connection: AsyncConnection, login_id: str) -> Ended | None:
        """End a login with all its tokens, as part of a transaction; None: it is over already, or gone."""
        login = await _lock_login(connection, login_id)
        if login is None or login.ended_at is not None:
            return None
        return await self._end(connection, login, self._clock.now())

    async def _end(self, connection: AsyncConnection, login: "Row[Any]", now: float) -> Ended:
        await connection.execute(update(logins).where(logins.c.id == login.id).values(ended_at=int(now)))
        until = min(login.expires_at, int(now) + self._access_seconds)
        for issuer in self.issuers:
            await insert_login(connection, issuer, login.id, until)
        return Ended(tuple(make_login_key(issuer, login.id) for issuer in self.issuers), until)

    async def _continue(
        self, connection: AsyncConnection, login_id: str, user_id: int, started_at: int, ends_at: int
    ) -> Continued:
        token, issued_at = make_refresh_token(), max(int(self._clock.now()), started_at)
        expires_at = min(issued_at + self._idle_seconds, ends_at)
        row = {"hash": hash_refresh_token(token), "login_id": login_id, "expires_at": expires_at}
        await connection.execute(insert(refresh_tokens).values(row))
        return Continued(login_id, user_id, issued_at, ends_at, token, expires_at)


def _find_end(login: "Row[Any]", now: float) -> AuthError | None:
    if login.ended_at is not None:
        return RevokedTokenError("the login was ended")
    if login.expires_at <= now:
        return ExpiredTokenError("the login has expired")
    return None


def _require_later(started_at: int, cut_off_at: int) -> None:
    if started_at <= cut_off_at:
        raise RevokedTokenError("the user's logins were ended")


async def _lock_login(connection: AsyncConnection, login_id: str) -> "Row[Any] | None":
    # SQLite has no such lock: there a transaction that may write has the database for itself.
    return (await connection.execute(select(logins).where(logins.c.id == login_id).with_for_update())).one_or_none()


async def _require_active(connection: AsyncConnection, user_id: int) -> None:
    """Who changes the user at this moment is waited for, and whoever comes later has to wait: a cut-off either is seen
    here, or is set after what is issued now."""
    statement = select(users.c.active).where(users.c.id == user_id).with_for_update(read=True)
    found = (await connection.execute(statement)).one_or_none()
    if found is None:
        raise UserNotFoundError(f"user {user_id} does not exist")
    if found.active is not True:
        raise UserInactiveError(f"user {user_id} is inactive")


async def _latest_cutoff(connection: AsyncConnection, user_id: int) -> int:
    """Not from memory, which may lag; -1: none."""
    latest = await connection.scalar(select(func.max(cutoffs.c.at)).where(cutoffs.c.user_id == user_id))
    return -1 if latest is None else int(latest)
