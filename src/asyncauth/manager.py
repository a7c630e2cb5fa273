"""AuthManager: composes the five steps and owns what runs in the background.

token text ──verify──▶ Claims ──not revoked──▶ user id ──look up / load──▶ User ──decide──▶ Decision
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio import Lock, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from asyncauth.changes.consistency import covers
from asyncauth.clock import SYSTEM_CLOCK, Clock
from asyncauth.db import revocations
from asyncauth.db.cutoffs import LOGOUT, insert_cutoff, require_user
from asyncauth.db.engine import make_engine
from asyncauth.db.feed import read_mark
from asyncauth.db.find import get_user_id
from asyncauth.decide import allowed_resources, decide, filter_allowed
from asyncauth.errors import (
    AuthError,
    ClaimError,
    ClosedError,
    ConfigurationError,
    ConsistencyTokenError,
    ExpiredTokenError,
    ForbiddenError,
    LoginError,
    RefreshReusedError,
    RevokedTokenError,
    StaleError,
    TokenError,
    UnauthenticatedError,
)
from asyncauth.login.database import Login, authenticate
from asyncauth.login.refresh import Continued
from asyncauth.model import Claims, Decision, TokenPair, User, Written
from asyncauth.running import Running, connect
from asyncauth.settings import Settings
from asyncauth.status import Status, read_status
from asyncauth.tasks import run_to_end
from asyncauth.tokens.api_keys import is_api_key
from asyncauth.tokens.claims import parse_user_id
from asyncauth.tokens.foreign import load_all
from asyncauth.tokens.jwks import public_jwk
from asyncauth.tokens.refresh_tokens import is_refresh_token
from asyncauth.tokens.seals import Seals

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
        with contextlib.suppress(AuthError):
            await running.api_keys.note_uses()
        drain_seconds = self.settings.database_timeout_seconds + self.settings.password_queue_seconds
        await running.tasks.close(drain_seconds=drain_seconds)
        if running.throttle is not None:
            await running.throttle.close()
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
        `get_user_from_token`. For the loop's thread. A token here and there is a signed one or an API key.

        Raises:
            TokenError: the token is refused (401).
            StaleError: memory is not proven current (503).
        """
        running = self._require_running()
        try:
            claims = self._admit(running, token)
        except TokenError:  # this way round it costs signed tokens nothing
            if not is_api_key(token):
                raise
        else:
            if claims.user_id is None:
                return _find_foreign(running, claims, self._elapsed())
            return running.users.find(claims.user_id, self._elapsed())
        self._require_proof(running)
        return running.api_keys.find_user(token)

    async def get_user_from_token(self, token: object, *, at_least: str | None = None) -> User:
        """Token → user. Waits only if the user is not in memory, or for a change that this worker does not know yet.

        Args:
            token: the signed token, or an API key: then the user is narrowed to the key's scope.
            at_least: the consistency token of a change that must be known first.

        Raises:
            ConsistencyTokenError: `at_least` is not one of ours, or ahead of the database (400).
            UnauthenticatedError: the token is refused, the user is gone or inactive (401).
            UnavailableError: it cannot be known just now (503).
        """
        running = self._require_running()
        key = None
        try:
            claims = self._admit(running, token)
        except TokenError:
            if not is_api_key(token):
                raise
            key = token
        if key is not None:
            return await self._get_user_of_key(running, key, at_least)
        if at_least is not None:
            await self._catch_up(running, at_least)
            self._admit(running, token)  # again: the change may be that this token was revoked
        if claims.user_id is None:
            return await self._get_foreign(running, token, claims)
        user = running.users.find(claims.user_id, self._elapsed())
        if user is None:
            user = await running.users.get(claims.user_id)
            self._admit(running, token)  # again: the load took time
        return user

    async def _get_foreign(self, running: Running, token: object, claims: Claims) -> User:
        user = _find_foreign(running, claims, self._elapsed())
        if user is None:
            user = await running.names.get(claims)
            self._admit(running, token)
            _refuse_ended(running, claims, user.id)
        return user

    async def _get_user_of_key(self, running: Running, text: str, at_least: str | None) -> User:
        self._require_proof(running)
        user = await running.api_keys.get_user(text)
        if at_least is not None:  # judged only once its sender is known
            await self._catch_up(running, at_least)
            user = await running.api_keys.get_user(text)
        self._require_proof(running)  # again: the load took time
        return user

    def _admit(self, running: Running, token: object) -> Claims:
        claims = running.verifier.verify(token, self._now())
        self._require_proof(running)
        if claims in running.revoked:
            raise RevokedTokenError("the token was revoked")
        _refuse_ended(running, claims, claims.user_id)
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
            ClaimError, RevokedTokenError, UserNotFoundError, UserInactiveError: 401.
            UnavailableError: 503.
        """
        if not isinstance(claims, Claims):
            return await self.get_user(parse_user_id(claims.get("sub")))
        running = self._require_running()
        self._require_proof(running)
        if claims.user_id is None:
            user = await running.names.get(claims)
        else:
            user = await running.users.get(claims.user_id)
        if claims in running.revoked:
            raise RevokedTokenError("the token was revoked")
        _refuse_ended(running, claims, user.id)
        return user

    def serialize_user(self, user: User) -> dict[str, str]:
        """The claims that `deserialize_user` turns back into the user.

        Raises:
            ForbiddenError: the user came with an API key. A token made of this would not be narrowed to its scope, and
                would outlive it.
        """
        if user.api_key_id is not None:
            raise ForbiddenError("who came with an API key gets no other token")
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
            TokenError: the user came with an API key that is revoked or expired.
            StaleError: the user has changed or left memory and has to be loaded with `load_current`, or memory is not
                proven current.
        """
        running = self._require_running()
        self._require_proof(running)
        known = running.users.peek(user.id, self._elapsed())
        if known is None:
            raise StaleError("the user has changed or left memory: load it again with load_current")
        return known if user.api_key_id is None else running.api_keys.current(user.api_key_id, known)

    async def load_current(self, user: User) -> User:
        """As `current`, loading what is not in memory. Unlike `get_user` it narrows who came with an API key.

        Raises:
            TokenError: the API key is revoked or expired.
            UserNotFoundError, UserInactiveError: 401.
            UnavailableError: 503.
        """
        running = self._require_running()
        known = await self.get_user(user.id)
        if user.api_key_id is None:
            return known
        await running.api_keys.load(user.api_key_id)
        return self.current(user)

    # ── tokens ──

    async def login(
        self, username: str, password: str, address: str | None = None, *, lifetime_seconds: int | None = None
    ) -> str:
        """User name (in any case) or e-mail, and password → a signed token.

        Args:
            username: the name or the e-mail.
            password: the password.
            address: where the login comes from, for the limits of failed logins (`login_failures_…` in the settings):
                the peer's address, or what a proxy that you run says. Never what a client can write itself.
            lifetime_seconds: of the token; None: `jwt_expiration_seconds`.

        Raises:
            LoginError: wrong, unknown or inactive: never said which (401).
            TooManyAttemptsError: too many logins have failed (429).
            BusyError: too many logins at once (503).
            DatabaseUnavailableError: 503.
        """
        running = self._require_running()
        login = await running.tasks.run(self._log_in(running, username, password, address), "asyncauth login")
        expires_at = None if lifetime_seconds is None else login.issued_at + lifetime_seconds
        return running.issuer.issue(login.user_id, self._now(), issued_at=login.issued_at, expires_at=expires_at)

    async def _log_in(self, running: Running, username: str, password: str, address: str | None) -> Login:
        def check() -> Awaitable[Login]:
            return authenticate(running.database, running.hasher, username, password, self._now)

        if running.throttle is None:
            return await check()
        return await running.throttle.guard(username, password, address, check)

    def issue_token(self, user_id: int) -> str:
        """A signed token for a user whose identity somebody else has established."""
        running, now = self._require_running(), self._now()
        return running.issuer.issue(user_id, now, issued_at=running.cutoffs.issue_time(user_id, now))

    async def end_tokens(self, user_id: int) -> str:
        """Log a user out everywhere: tokens issued until now are refused, here at once, on other workers within the
        bound. Returns a consistency token.

        Raises:
            NotFoundError: there is no such user.
            DatabaseUnavailableError: it may not be stored; try again.
        """

        async def work(connection: AsyncConnection) -> int:
            await require_user(connection, user_id)
            return await insert_cutoff(connection, user_id, int(self._now()), LOGOUT)

        running = self._require_running()
        written = await self.write(work)
        running.cutoffs.add([(user_id, written.value, LOGOUT)])
        return written.token

    async def login_pair(self, username: str, password: str, address: str | None = None) -> TokenPair:
        """As `login`, for an access token and a refresh token: `refresh` gives the next pair, until the login ends.

        Raises:
            ConfigurationError: refresh tokens are off.
            LoginError: wrong, unknown or inactive: never said which (401).
            TooManyAttemptsError: too many logins have failed (429).
            BusyError: too many logins at once (503).
            DatabaseUnavailableError: 503.
        """
        running = self._require_refresh()
        login = await running.tasks.run(self._log_in(running, username, password, address), "asyncauth login")
        try:
            return await self._start_login(running, login.user_id, login.issued_at)
        except UnauthenticatedError:
            raise LoginError("the user was changed meanwhile") from None

    async def issue_pair(self, user_id: int) -> TokenPair:
        """A pair of tokens for a user whose identity somebody else has established.

        Raises:
            ConfigurationError: refresh tokens are off.
            UserNotFoundError, UserInactiveError: 401.
            DatabaseUnavailableError: 503.
        """
        return await self._start_login(self._require_refresh(), user_id, None)

    async def refresh(self, refresh_token: object) -> TokenPair:
        """Spend a refresh token for a new pair of tokens of the same login. If the answer gets lost, the same token can
        be used once more within `refresh_grace_seconds`; used again later, it ends the login.

        Raises:
            ConfigurationError: refresh tokens are off.
            RefreshReusedError: it had been spent: its login is ended, here at once, elsewhere within the bound (401).
            TokenError: it is unknown or expired, or its login is over (401).
            UserNotFoundError, UserInactiveError: 401.
            DatabaseUnavailableError: 503; try again with the same token.
        """
        running = self._require_refresh()
        return await running.tasks.run(self._refresh(running, refresh_token), "asyncauth refresh")

    async def end_login(self, token: object) -> str | None:
        """End a login with all its tokens: here at once, on other workers within the bound. Doing it twice is no error.
        Returns a consistency token; None if there was nothing to do.

        Args:
            token: any refresh token of the login, spent or not; or an access token of it; or the claims of one.

        Raises:
            TokenError: not a token of ours, or of no login (401).
            DatabaseUnavailableError: the login may not be ended; try again.
        """
        running = self._require_running()
        return await running.tasks.run(self._end_login(running, token), "asyncauth logout")

    def _require_refresh(self) -> Running:
        if not self.settings.refresh_tokens:
            raise ConfigurationError("refresh tokens are off: set refresh_tokens (ASYNCAUTH_REFRESH_TOKENS)")
        return self._require_running()

    async def _start_login(self, running: Running, user_id: int, known_at: int | None) -> TokenPair:
        work = running.logins.start(user_id, known_at)
        return self._pair(running, await running.tasks.run(work, "asyncauth start of a login"))

    async def _refresh(self, running: Running, token: object) -> TokenPair:
        outcome = await running.logins.refresh(token)
        if isinstance(outcome, Continued):
            return self._pair(running, outcome)
        running.revoked.own.add((key, outcome.until) for key in outcome.keys)
        await running.follower.see_own_write()
        raise RefreshReusedError("a spent refresh token came again; its login was ended")

    def _pair(self, running: Running, login: Continued) -> TokenPair:
        expires_at = min(login.issued_at + self.settings.jwt_expiration_seconds, login.ends_at)
        access_token = running.issuer.issue(
            login.user_id, self._now(), issued_at=login.issued_at, login_id=login.login_id, expires_at=expires_at
        )
        return TokenPair(access_token, login.refresh_token, expires_at, login.refresh_expires_at)

    async def _end_login(self, running: Running, token: object) -> str | None:
        if is_refresh_token(token):
            login_id: str | None = await running.logins.find_login_id(token)
        else:
            claims = token if isinstance(token, Claims) else running.verifier.verify(token, self._now())
            login_id = claims.login_id if (claims.issuer or "") in running.logins.issuers else None
        if login_id is None:
            raise ClaimError("the token belongs to no login that could be ended: it carries no sid")
        ended_id = login_id
        written = await _write(running, lambda connection: running.logins.end_in(connection, ended_id))
        if written.value is None:
            return None
        until = written.value.until
        running.revoked.own.add((key, until) for key in written.value.keys)
        return written.token

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
        shared = running.follower.airflow and running.revoked.fits_airflow(claims)
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

    def make_seals(self, purpose: bytes) -> Seals:
        """Proofs of one purpose that every worker with our keys makes and checks: for forms and links."""
        return Seals(self._require_running().keys.ring, self._now, purpose)

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

    async def check_password(self, stored: str | None, password: str) -> bool:
        """Whether a stored hash is of this password, found out off the event loop. Raises BusyError."""
        return await self._require_running().hasher.check(stored, password)

    async def read(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run a use case that changes nothing, in one snapshot.

        Raises:
            ChangeError: raised by `work`.
            DatabaseUnavailableError: see `Database.read`.
        """
        running = self._require_running()
        return await running.tasks.run(running.database.read(work), "asyncauth question")

    @property
    def group_roles(self) -> bool:
        """Whether roles of a user's groups count, in this database."""
        return self._require_running().group_roles

    def now(self) -> float:
        """What time it is: seconds since the epoch, by the clock that the manager was given."""
        return self._now()

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


def _find_foreign(running: Running, claims: Claims, elapsed: float) -> User | None:
    user = running.names.find(claims, elapsed)
    if user is not None:
        _refuse_ended(running, claims, user.id)
    return user


def _refuse_ended(running: Running, claims: Claims, user_id: int | None) -> None:
    cutoff = running.cutoffs.find(user_id)
    if cutoff is not None and claims.issued_at <= cutoff:
        raise RevokedTokenError("the user's tokens were ended")


async def _write(running: Running, work: Callable[[AsyncConnection], Awaitable[T]]) -> Written[T]:
    async def transaction(connection: AsyncConnection) -> tuple[T, int]:
        return await work(connection), await read_mark(connection)

    value, mark = await running.database.write(transaction)
    await running.follower.see_own_write()
    return Written(value, running.receipts.issue(running.users.position.epoch, mark))
