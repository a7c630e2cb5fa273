"""AuthManager: composes the five steps and owns what runs in the background.

token text ──verify──▶ Claims ──not revoked──▶ user id ──look up / load──▶ User ──decide──▶ Decision
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio import Lock, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth.changes.consistency import covers
from asyncauth.clock import SYSTEM_CLOCK, Clock
from asyncauth.db import revocations
from asyncauth.db.engine import make_engine
from asyncauth.db.feed import read_mark
from asyncauth.db.find import get_user_id
from asyncauth.decide import allowed_resources, decide, filter_allowed
from asyncauth.errors import (
    ClosedError,
    ConfigurationError,
    ConsistencyTokenError,
    ExpiredTokenError,
    RevokedTokenError,
    StaleError,
)
from asyncauth.login.database import authenticate
from asyncauth.model import Claims, Decision, User, Written
from asyncauth.running import Running, connect
from asyncauth.settings import Settings
from asyncauth.status import Status, read_status
from asyncauth.tasks import run_to_end
from asyncauth.tokens.claims import parse_user_id
from asyncauth.tokens.foreign import load_all
from asyncauth.tokens.jwks import public_jwk

T = TypeVar("T")


class AuthManager:
    """Turns a token into an immutable User and answers what that user may do.

    Making one does no I/O; `async with` (or `start` and `close`) gives it life. It belongs to one event loop.

    Args:
        settings: None reads the environment.
        engine: the application's own engine, used and never disposed; None makes one from `settings.database_url`.
        clock: for tests.
    """

    def __init__(
        self, settings: Settings | None = None, *, engine: AsyncEngine | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.settings = settings if settings is not None else Settings()
        self._given_engine = engine
        self._now = clock.now
        self._elapsed = clock.elapsed
        self._clock = clock
        self._running: Running | None = None
        self._lifecycle = Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # ── life ──

    async def start(self) -> None:
        """Connect, learn the present state and follow changes. A second call does nothing; a failed or cancelled one
        leaves nothing behind.

        Raises:
            ConfigurationError: a setting, a key, a driver or the schema is wrong; the message says what to do.
            DatabaseUnavailableError: the database did not answer.
        """
        async with self._lifecycle:
            if self._running is None:
                self._running = await self._start()

    async def close(self) -> None:
        """Refuse new work, let what is under way end, stop. A second call does nothing."""
        async with self._lifecycle:
            running, self._running = self._running, None
            if running is not None:
                await run_to_end(self._end(running))

    async def _end(self, running: Running) -> None:
        for task in running.background:
            task.cancel()
        drain_seconds = self.settings.database_timeout_seconds + self.settings.password_queue_seconds
        await running.tasks.close(drain_seconds=drain_seconds)
        await self._dispose(running.database.engine)

    async def _start(self) -> Running:
        # Both read files: the key's, and the driver's modules.
        keys = await to_thread.run_sync(load_all, self.settings)
        engine = self._given_engine
        if engine is None:
            engine = await to_thread.run_sync(self._make_engine)
        try:
            return await connect(self.settings, engine, keys, self._clock)
        except BaseException:
            await run_to_end(self._dispose(engine))
            raise

    def _make_engine(self) -> AsyncEngine:
        settings = self.settings
        if settings.database_url is None:
            raise ConfigurationError("no database: set database_url (ASYNCAUTH_DATABASE_URL) or pass an engine")
        return make_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            timeout_seconds=settings.database_timeout_seconds,
        )

    async def _dispose(self, engine: AsyncEngine) -> None:
        if engine is not self._given_engine:
            await engine.dispose()

    @property
    def started(self) -> bool:
        """Whether it has been started and not closed since."""
        return self._running is not None

    def unready(self) -> str | None:
        """Why requests cannot be answered just now, in words; None: they can."""
        running = self._running
        if running is None:
            return "not started"
        if self._elapsed() < running.follower.proven_until:
            return None
        return running.follower.trouble or "memory is not proven current"

    def status(self) -> Status:
        """A moment's numbers, from memory."""
        return read_status(self._require_running(), self._elapsed())

    # ── who is it? ──

    def find_user_from_token(self, token: object) -> User | None:
        """The first three steps from memory alone: None means that the user has to be loaded, with
        `get_user_from_token`. For the loop's thread.

        Raises:
            TokenError: the token is refused (401).
            StaleError: memory is not proven current (503).
        """
        running = self._require_running()
        claims = self._admit(running, token)
        if claims.user_id is None:
            return running.names.find(claims, self._elapsed())
        return running.users.find(claims.user_id, self._elapsed())

    async def get_user_from_token(self, token: object, *, at_least: str | None = None) -> User:
        """Token → user. Waits only if the user is not in memory, or for a change that this worker does not know yet.

        Args:
            token: the signed token.
            at_least: the consistency token of a change that must be known first.

        Raises:
            ConsistencyTokenError: `at_least` is not one of ours, or ahead of the database (400).
            UnauthenticatedError: the token is refused, the user is gone or inactive (401).
            UnavailableError: it cannot be known just now (503).
        """
        running = self._require_running()
        claims = self._admit(running, token)
        if at_least is not None:
            await self._catch_up(running, at_least)
            self._admit(running, token)  # again: the change may be that this token was revoked
        user_id = claims.user_id
        elapsed = self._elapsed()
        user = running.users.find(user_id, elapsed) if user_id is not None else running.names.find(claims, elapsed)
        if user is None:
            user = await _get(running, claims)
            self._admit(running, token)  # again: the load took time
        return user

    def _admit(self, running: Running, token: object) -> Claims:
        claims = running.verifier.verify(token, self._now())
        self._require_proof(running)
        if claims in running.revoked:
            raise RevokedTokenError("the token was revoked")
        return claims

    async def _catch_up(self, running: Running, at_least: str) -> None:
        mark = running.receipts.read(at_least, running.users.position.epoch)
        if not covers(running.users.position, mark, running.database.dialect):
            await running.tasks.run(running.follower.catch_up(), "asyncauth catch up")
            if not covers(running.users.position, mark, running.database.dialect):
                raise ConsistencyTokenError("the consistency token is ahead of the database")

    async def deserialize_user(self, claims: Claims | Mapping[str, Any]) -> User:
        """Verified claims → user: the `sub` of a mapping is the user's id, as decimal digits.

        Raises:
            ClaimError, UserNotFoundError, UserInactiveError: 401.
            UnavailableError: 503.
        """
        if not isinstance(claims, Claims):
            return await self.get_user(parse_user_id(claims.get("sub")))
        running = self._require_running()
        self._require_proof(running)
        return await _get(running, claims)

    def serialize_user(self, user: User) -> dict[str, str]:
        """The claims that `deserialize_user` turns back into the user."""
        return {"sub": str(user.id)}

    async def get_user(self, user_id: int | None = None, *, username: str | None = None) -> User:
        """A user by id, or by name with one statement more; for jobs without a token.

        Raises:
            UserNotFoundError, UserInactiveError: 401.
            UnavailableError: 503.
        """
        running = self._require_running()
        if user_id is None:
            if username is None:
                raise TypeError("get_user needs a user_id or a username")
            user_id = await running.tasks.run(get_user_id(running.database, username), "asyncauth find user")
        self._require_proof(running)
        return await running.users.get(user_id)

    def current(self, user: User) -> User:
        """The same user as known now. From memory, without waiting, right in any thread: for long-lived holders, since
        a user in the hand is not a licence.

        Raises:
            StaleError: the user has changed or left memory and has to be loaded with `get_user`, or memory is not
                proven current.
        """
        running = self._require_running()
        self._require_proof(running)
        known = running.users.peek(user.id, self._elapsed())
        if known is None:
            raise StaleError("the user has changed or left memory: load it again with get_user")
        return known

    # ── tokens ──

    async def login(self, username: str, password: str) -> str:
        """User name (in any case) or e-mail, and password → a signed token.

        Raises:
            LoginError: wrong, unknown or inactive: never said which (401).
            BusyError: too many logins at once (503).
            DatabaseUnavailableError: 503.
        """
        running = self._require_running()
        user_id = await running.tasks.run(
            authenticate(running.database, running.hasher, username, password), "asyncauth login"
        )
        return running.issuer.issue(user_id, self._now())

    def issue_token(self, user_id: int) -> str:
        """A signed token for a user whose identity somebody else has established."""
        return self._require_running().issuer.issue(user_id, self._now())

    async def revoke_token(self, token: object) -> str | None:
        """End one token: here at once, on other workers within the bound. Doing it twice is no error, and neither is
        an expired token. Returns a consistency token; None if there was nothing to do.

        Raises:
            TokenError: not a token of ours.
            DatabaseUnavailableError: the revocation may not be stored; try again.
        """
        running = self._require_running()
        with contextlib.suppress(ExpiredTokenError):
            claims = running.verifier.verify(token, self._now())
            return await running.tasks.run(self._revoke(running, claims), "asyncauth revocation")
        return None

    async def _revoke(self, running: Running, claims: Claims) -> str:
        shared = running.state.airflow_revocations and running.revoked.fits_airflow(claims)
        insert = revocations.insert_airflow if shared else revocations.insert_own

        async def work(connection: AsyncConnection) -> None:
            await insert(connection, claims)

        written = await _write(running, work)
        if shared:
            running.revoked.airflow.add([(claims.jti, claims.expires_at)])
        else:
            running.revoked.own.add([(claims.token_id, claims.expires_at)])
        return written.token

    def public_keys(self) -> dict[str, Any]:
        """The JWK set with which others verify our tokens (RFC 7517 section 5). Empty if a secret signs them."""
        keys = self._require_running().keys.ring.keys
        found = (public_jwk(key) for key in (keys.keys if keys is not None else ()))
        return {"keys": [jwk for jwk in found if jwk is not None]}

    # ── may they? ──

    def decide(self, user: User, action: str, resource: str) -> Decision:
        """See `asyncauth.decide.decide`. Pure."""
        return decide(user, action, resource)

    def filter_allowed(self, user: User, action: str, resources: Iterable[str]) -> list[str]:
        """See `asyncauth.decide.filter_allowed`. Pure."""
        return filter_allowed(user, action, resources)

    def allowed_resources(self, user: User, action: str, prefix: str = "") -> frozenset[str]:
        """See `asyncauth.decide.allowed_resources`. Pure."""
        return allowed_resources(user, action, prefix)

    # ── changes ──

    async def hash_password(self, password: str) -> str:
        """A new hash for a password, made off the event loop. Raises BusyError."""
        return await self._require_running().hasher.make(password)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> Written[T]:
        """Run a use case in one transaction; this worker sees what it changed at once, others within the bound, or at
        once if they are shown the consistency token. A cancelled caller does not cut the transaction off.

        Raises:
            ChangeError: raised by `work`, or a unique constraint refused it; nothing was written.
            DatabaseUnavailableError: see `Database.write`.
        """
        running = self._require_running()
        return await running.tasks.run(_write(running, work), "asyncauth change")

    def _require_running(self) -> Running:
        running = self._running
        if running is None:
            raise ClosedError("the auth manager is not started or is closed")
        return running

    def _require_proof(self, running: Running) -> None:
        if self._elapsed() >= running.follower.proven_until:
            raise StaleError(running.follower.trouble or "memory is not proven current")


async def _get(running: Running, claims: Claims) -> User:
    user_id = claims.user_id
    return await (running.users.get(user_id) if user_id is not None else running.names.get(claims))


async def _write(running: Running, work: Callable[[AsyncConnection], Awaitable[T]]) -> Written[T]:
    async def transaction(connection: AsyncConnection) -> tuple[T, int]:
        return await work(connection), await read_mark(connection)

    value, mark = await running.database.write(transaction)
    await running.follower.see_own_write()
    return Written(value, running.receipts.issue(running.users.position.epoch, mark))
