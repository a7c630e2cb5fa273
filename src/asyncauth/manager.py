"""AuthManager: composes the five steps and owns what runs in the background.

token text ──verify──▶ Claims ──not revoked──▶ user id ──look up / load──▶ User ──decide──▶ Decision
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio import Lock, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from asyncauth import admission, sessions
from asyncauth.clock import SYSTEM_CLOCK, Clock
from asyncauth.db.engine import make_engine
from asyncauth.db.find import get_user_id
from asyncauth.decide import allowed_resources, decide, filter_allowed
from asyncauth.errors import AuthError, ClosedError, ConfigurationError, ForbiddenError
from asyncauth.model import Claims, Decision, Role, TokenPair, User, Written
from asyncauth.running import Running, connect
from asyncauth.settings import Settings
from asyncauth.status import Status, read_status
from asyncauth.tasks import run_to_end
from asyncauth.tokens.foreign import load_all
from asyncauth.tokens.jwks import public_jwk
from asyncauth.tokens.seals import Seals

T = TypeVar("T")
_WAYS = ("recall_user", "find_user_from_token", "get_user_from_token")
"""From a token to its user, the shortest first: whoever asks goes on to the next where one says nothing."""


class AuthManager:
    """Turns a token into an immutable User and answers what that user may do.

    Making one does no I/O; `async with` (or `start` and `close`) gives it life. It belongs to one event loop.

    Args:
        settings: None reads the environment.
        engine: the application's own engine, used and never disposed; None makes one from `settings.database_url`.
        clock: for tests.

    A class derived from this one may ask more of a token, in a `get_user_from_token` of its own: every request then
    gets there.
    """

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        own = [way for way in _WAYS if way in vars(cls)]
        for shorter in _WAYS[: _WAYS.index(own[-1])] if own else ():
            if shorter not in own:  # or what this class asks of a token would be passed by
                setattr(cls, shorter, _say_nothing)

    def __init__(
        self, settings: Settings | None = None, *, engine: AsyncEngine | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.settings: Settings = settings if settings is not None else Settings()
        self._given_engine = engine
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
            engine = await to_thread.run_sync(self.make_engine)
        try:
            return await connect(self.settings, engine, keys, self._clock)
        except BaseException:
            await run_to_end(self._dispose(engine))
            raise

    def make_engine(self) -> AsyncEngine:
        """The engine of a manager that was given none, called in a thread at its start; for classes derived from this.

        Raises:
            ConfigurationError: the URL is missing or cannot be used.
        """
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
        if running.elapsed() < running.follower.proven_until:
            return None
        return running.follower.trouble or "memory is not proven current"

    def status(self) -> Status:
        """A moment's numbers, from memory."""
        running = self._require_running()
        return read_status(running, running.elapsed())

    # ── who is it? ──

    def find_user_from_token(self, token: object) -> User | None:
        """The first three steps from memory alone: None means that the user has to be loaded, with
        `get_user_from_token`. For the loop's thread. A token here and there is a signed one or an API key.

        Raises:
            TokenError: the token is refused (401).
            StaleError: memory is not proven current (503).
        """
        user = self.recall_user(token) if type(token) is str else None
        return admission.find_user(self._require_running(), token) if user is None else user

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
        if at_least is None:
            user = self.recall_user(token) if type(token) is str else None
            if user is None:
                user = admission.find_user(self._require_running(), token)
            if user is not None:
                return user
        return await admission.get_user(self._require_running(), token, at_least)

    def recall_user(self, token: str) -> User | None:
        """`find_user_from_token` in a fraction of the time, where it has found the user before and would find the same
        now. None says nothing, and it never refuses: ask one of those. For the loop's thread.

        Times, revocation and user are checked on this use, too. The token's times and the lease are compared with the
        clocks. That no revocation, cut-off or change of a user or role became known since is one comparison: what
        brings one ends the generation. That no key has gone: the token would not be remembered. And the user comes from
        memory by its id, where one that may have changed is no more.
        """
        running = self._running
        if running is None:
            return None
        seen = running.verifier.seen.get(token)
        if seen is None or seen.generation != running.generation.number or not seen.begins <= running.now() < seen.ends:
            return None
        elapsed = running.elapsed()
        if elapsed >= seen.until or elapsed >= running.follower.proven_until:
            return None
        users = running.users
        in_memory = users.cache.values
        user = in_memory.get(seen.user_id)
        if user is not None:
            in_memory.move_to_end(seen.user_id)
            users.hits += 1
        return user

    def verify(self, token: object) -> Claims:
        """A signed token that counts now → its claims, from memory: its signature holds, it is neither expired nor
        revoked. Whether its user exists is not asked.

        Raises:
            TokenError: the token is refused (401).
            StaleError: memory is not proven current (503).
        """
        return admission.admit(self._require_running(), token)

    async def deserialize_user(self, claims: Claims | Mapping[str, Any]) -> User:
        """Verified claims → user: the `sub` of a mapping is the user's id, as decimal digits.

        Raises:
            ClaimError, RevokedTokenError, UserNotFoundError, UserInactiveError: 401.
            UnavailableError: 503.
        """
        return await admission.get_user_of_claims(self._require_running(), claims)

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
        admission.require_proof(running)
        return await running.users.get(user_id)

    async def get_role(self, name: str) -> Role:
        """A role by its exact name; from memory, where it stays current, or by one load.

        Raises:
            UnknownRoleError: there is none.
            UnavailableError: 503.
        """
        running = self._require_running()
        role = self.find_role(name)
        return role if role is not None else await running.users.get_role(name)

    def find_role(self, name: str) -> Role | None:
        """The same from memory alone, without waiting, right in any thread. None: it has to be loaded.

        Raises:
            StaleError: memory is not proven current.
        """
        running = self._require_running()
        admission.require_proof(running)
        return running.users.find_role(name, running.elapsed())

    def current(self, user: User) -> User:
        """The same user as known now. From memory, without waiting, right in any thread: for long-lived holders, since
        a user in the hand is not a licence.

        Raises:
            TokenError: the user came with an API key that is revoked or expired.
            StaleError: the user has changed or left memory and has to be loaded with `load_current`, or memory is not
                proven current.
        """
        return admission.find_current(self._require_running(), user)

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
        self,
        username: str,
        password: str,
        address: str | None = None,
        *,
        lifetime_seconds: int | None = None,
        throttled: bool = True,
    ) -> str:
        """User name (in any case) or e-mail, and password → a signed token.

        Args:
            username: the name or the e-mail.
            password: the password.
            address: where the login comes from, for the limits of failed logins (`login_failures_…` in the settings):
                the peer's address, or what a proxy that you run says. Never what a client can write itself.
            lifetime_seconds: of the token; None: `jwt_expiration_seconds`.
            throttled: whether those limits hold, and a failure counts.

        Raises:
            LoginError: wrong, unknown or inactive: never said which (401).
            TooManyAttemptsError: too many logins have failed (429).
            BusyError: too many logins at once (503).
            DatabaseUnavailableError: 503.
        """
        running = self._require_running()
        check = partial(sessions.check_password, running, username, password, address, throttled=throttled)
        work = sessions.log_in(running, check, lifetime_seconds)
        return await running.tasks.run(work, "asyncauth login")

    def issue_token(self, user_id: int, *, lifetime_seconds: int | None = None) -> str:
        """A signed token for a user whose identity somebody else has established. `lifetime_seconds`: None:
        `jwt_expiration_seconds`."""
        running = self._require_running()
        now = running.now()
        issued_at = running.cutoffs.issue_time(user_id, now)
        expires_at = None if lifetime_seconds is None else issued_at + lifetime_seconds
        return running.issuer.issue(user_id, now, issued_at=issued_at, expires_at=expires_at)

    async def end_tokens(self, user_id: int) -> str:
        """Log a user out everywhere: tokens issued until now are refused, here at once, on other workers within the
        bound. Returns a consistency token.

        Raises:
            NotFoundError: there is no such user.
            DatabaseUnavailableError: it may not be stored; try again.
        """
        running = self._require_running()
        return await running.tasks.run(sessions.end_tokens(running, user_id), "asyncauth logout everywhere")

    def slide(self, claims: Claims) -> str | None:
        """The token to go on with, of the same login, where `sliding_seconds` is set: None before half of the token's
        life is over, when the login ends with it anyway, or if it came from no login that slides. `claims`: of a token
        that has just been admitted."""
        return sessions.slide(self._require_running(), claims)

    async def login_pair(self, username: str, password: str, address: str | None = None) -> TokenPair:
        """As `login`, for an access token and a refresh token: `refresh` gives the next pair, until the login ends.

        Raises:
            ConfigurationError: refresh tokens are off.
            LoginError: wrong, unknown or inactive: never said which (401).
            TooManyAttemptsError: too many logins have failed (429).
            BusyError: too many logins at once (503).
            DatabaseUnavailableError: 503.
        """
        running = self._require_running()
        sessions.require_refresh(running)
        work = sessions.log_in_pair(running, username, password, address)
        return await running.tasks.run(work, "asyncauth login")

    async def issue_pair(self, user_id: int) -> TokenPair:
        """A pair of tokens for a user whose identity somebody else has established.

        Raises:
            ConfigurationError: refresh tokens are off.
            UserNotFoundError, UserInactiveError: 401.
            DatabaseUnavailableError: 503.
        """
        running = self._require_running()
        sessions.require_refresh(running)
        return await running.tasks.run(sessions.start_login(running, user_id, None), "asyncauth start of a login")

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
        running = self._require_running()
        sessions.require_refresh(running)
        return await running.tasks.run(sessions.refresh(running, refresh_token), "asyncauth refresh")

    async def end_login(self, token: object) -> str | None:
        """End a login with all its tokens: here at once, on other workers within the bound. Doing it twice is no error.
        Returns a consistency token; None if there was nothing to do.

        Args:
            token: any refresh token of the login, spent or not; or an access token of it, expired or not; or the claims
                of one.

        Raises:
            TokenError: not a token of ours, or of no login (401).
            DatabaseUnavailableError: the login may not be ended; try again.
        """
        running = self._require_running()
        return await running.tasks.run(sessions.end_login(running, token), "asyncauth logout")

    async def revoke_token(self, token: object) -> str | None:
        """End one token, or with `sliding_seconds` its whole login: here at once, on other workers within the bound.
        Doing it twice is no error, and neither is an expired token, or one that is not valid yet. Returns a consistency
        token; None if there was nothing to do.

        Raises:
            TokenError: not a token of ours.
            DatabaseUnavailableError: the revocation may not be stored; try again.
        """
        running = self._require_running()
        return await running.tasks.run(sessions.revoke(running, token), "asyncauth revocation")

    def public_keys(self) -> dict[str, Any]:
        """The JWK set with which others verify our tokens (RFC 7517 section 5). Empty if a secret signs them."""
        keys = self._require_running().keys.ring.keys
        found = (public_jwk(key) for key in (keys.keys if keys is not None else ()))
        return {"keys": [jwk for jwk in found if jwk is not None]}

    def make_seals(self, purpose: bytes) -> Seals:
        """Proofs of one purpose that every worker with our keys makes and checks: for forms and links."""
        return Seals(self._require_running().keys.ring, self._clock.now, purpose)

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
        return self._clock.now()

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> Written[T]:
        """Run a use case in one transaction; this worker sees what it changed at once, others within the bound, or at
        once if they are shown the consistency token. A cancelled caller does not cut the transaction off.

        Raises:
            ChangeError: raised by `work`, or a unique constraint refused it; nothing was written.
            DatabaseUnavailableError: see `Database.write`.
        """
        running = self._require_running()
        return await running.tasks.run(sessions.write(running, work), "asyncauth change")

    def _require_running(self) -> Running:
        running = self._running
        if running is None:
            raise ClosedError("the auth manager is not started or is closed")
        return running


def _say_nothing(_manager: AuthManager, _token: object) -> None:
    """In place of a shorter way."""
