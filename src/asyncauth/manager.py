"""AuthManager: composes the five steps and owns what runs in the background.

token text ──verify──▶ Claims ──not revoked──▶ user id ──look up / load──▶ User ──decide──▶ Decision
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio import Lock, to_thread
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth.changes.poll import Poller
from asyncauth.clock import SYSTEM_CLOCK, Clock
from asyncauth.db import revocations
from asyncauth.db.change import Change
from asyncauth.db.engine import Database, make_engine
from asyncauth.db.find import get_user_id
from asyncauth.db.layout import read_layout
from asyncauth.db.loader import Loader
from asyncauth.db.stamps import bump
from asyncauth.decide import allowed_resources, decide, filter_allowed
from asyncauth.errors import ClosedError, ConfigurationError, ExpiredTokenError, RevokedTokenError, StaleError
from asyncauth.login.database import authenticate
from asyncauth.model import Claims, Decision, User
from asyncauth.passwords import PasswordHasher
from asyncauth.settings import Settings
from asyncauth.tasks import Tasks, run_to_end
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.keys import Key, load_key
from asyncauth.tokens.revoked import Revocations
from asyncauth.tokens.verify import Verifier, parse_user_id
from asyncauth.users import Users

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Running:
    """All parts of a started manager. They appear and go together, so nobody sees half of them."""

    database: Database
    airflow_revocations: bool
    hasher: PasswordHasher
    issuer: Issuer
    poller: Poller
    polling: asyncio.Task[None]
    revoked: Revocations
    tasks: Tasks
    users: Users
    verifier: Verifier


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
        self._running: _Running | None = None
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

    async def _end(self, running: _Running) -> None:
        running.polling.cancel()
        drain_seconds = self.settings.database_timeout_seconds + self.settings.password_queue_seconds
        await running.tasks.close(drain_seconds=drain_seconds)
        await self._dispose(running.database.engine)

    async def _start(self) -> _Running:
        # Both read files: the key's, and the driver's modules.
        key = await to_thread.run_sync(load_key, self.settings)
        engine = self._given_engine
        if engine is None:
            engine = await to_thread.run_sync(self._make_engine)
        try:
            return await self._connect(engine, key)
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

    async def _connect(self, engine: AsyncEngine, key: Key) -> _Running:
        settings, clock = self.settings, self._clock
        database = Database(engine, timeout_seconds=settings.database_timeout_seconds)
        layout = await database.read(read_layout)
        group_roles = settings.group_roles if settings.group_roles is not None else not layout.fab
        loader = Loader(database, clock, group_roles=group_roles, max_entry_age_seconds=settings.max_entry_age_seconds)
        tasks = Tasks()
        users = Users(loader, tasks, clock, settings)
        revoked = Revocations(settings.issuers, settings.jwt_leeway_seconds)
        poller = Poller(database, users, revoked, clock, settings, airflow=layout.airflow_revocations)
        await poller.poll()
        return _Running(
            database=database,
            airflow_revocations=layout.airflow_revocations,
            hasher=PasswordHasher(
                concurrency=settings.password_hash_concurrency,
                queue_size=settings.password_queue_size,
                queue_seconds=settings.password_queue_seconds,
            ),
            issuer=_issuer(key, settings),
            poller=poller,
            polling=tasks.start(poller.run(), "asyncauth poller"),
            revoked=revoked,
            tasks=tasks,
            users=users,
            verifier=_verifier(key, settings),
        )

    @property
    def started(self) -> bool:
        """Whether it has been started and not closed since."""
        return self._running is not None

    def unready(self) -> str | None:
        """Why requests cannot be answered just now, in words; None: they can."""
        running = self._running
        if running is None:
            return "not started"
        if self._elapsed() < running.poller.proven_until:
            return None
        return running.poller.trouble or "memory is not proven current"

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
        return running.users.find(claims.user_id, self._elapsed())

    async def get_user_from_token(self, token: object) -> User:
        """Token → user. Waits only if the user is not in memory.

        Raises:
            UnauthenticatedError: the token is refused, the user is gone or inactive (401).
            UnavailableError: it cannot be known just now (503).
        """
        running = self._require_running()
        claims = self._admit(running, token)
        user = running.users.find(claims.user_id, self._elapsed())
        if user is None:
            user = await running.users.get(claims.user_id)
            self._admit(running, token)  # again: the load took time
        return user

    def _admit(self, running: _Running, token: object) -> Claims:
        claims = running.verifier.verify(token, self._now())
        self._require_proof(running)
        if claims in running.revoked:
            raise RevokedTokenError("the token was revoked")
        return claims

    async def deserialize_user(self, claims: Claims | Mapping[str, Any]) -> User:
        """Verified claims → user: the `sub` of a mapping is the user's id, as decimal digits.

        Raises:
            ClaimError, UserNotFoundError, UserInactiveError: 401.
            UnavailableError: 503.
        """
        return await self.get_user(claims.user_id if isinstance(claims, Claims) else parse_user_id(claims.get("sub")))

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

    async def revoke_token(self, token: object) -> None:
        """End one token: here at once, on other workers within the bound. Doing it twice is no error, and neither is
        an expired token.

        Raises:
            TokenError: not a token of ours.
            DatabaseUnavailableError: the revocation may not be stored; try again.
        """
        running = self._require_running()
        with contextlib.suppress(ExpiredTokenError):
            claims = running.verifier.verify(token, self._now())
            await running.tasks.run(self._revoke(running, claims), "asyncauth revocation")

    async def _revoke(self, running: _Running, claims: Claims) -> None:
        shared = running.airflow_revocations and running.revoked.fits_airflow(claims)

        async def work(connection: AsyncConnection) -> None:
            await (revocations.insert_airflow if shared else revocations.insert_own)(connection, claims)

        await running.database.write(work)
        if shared:
            running.revoked.airflow.add([(claims.jti, claims.expires_at)])
        else:
            running.revoked.own.add([(claims.token_id, claims.expires_at)])

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

    async def write(self, work: Callable[[Change], Awaitable[T]]) -> T:
        """Run a use case in one transaction; this worker sees what it changed at once, others within the bound. A
        cancelled caller does not cut the transaction off.

        Raises:
            ChangeError: raised by `work`; nothing was written.
            DatabaseUnavailableError: see `Database.write`.
        """
        running = self._require_running()
        return await running.tasks.run(_write(running, work), "asyncauth change")

    def _require_running(self) -> _Running:
        running = self._running
        if running is None:
            raise ClosedError("the auth manager is not started or is closed")
        return running

    def _require_proof(self, running: _Running) -> None:
        if self._elapsed() >= running.poller.proven_until:
            raise StaleError(running.poller.trouble or "memory is not proven current")


async def _write(running: _Running, work: Callable[[Change], Awaitable[T]]) -> T:
    async def transaction(connection: AsyncConnection) -> tuple[T, Change]:
        change = Change(connection)
        result = await work(change)
        if change.tables:
            change.stamps = await bump(connection, change.tables)
        return result, change

    result, change = await running.database.write(transaction)
    if change.stamps is not None:
        running.users.observe(change.stamps)
    return result


def _issuer(key: Key, settings: Settings) -> Issuer:
    first_issuer = settings.issuers[0] if settings.issuers else None
    first_audience = settings.audiences[0] if settings.audiences else None
    return Issuer(key, first_issuer, first_audience, settings.jwt_expiration_seconds)


def _verifier(key: Key, settings: Settings) -> Verifier:
    return Verifier(
        key,
        issuers=settings.issuers,
        audiences=settings.audiences,
        leeway_seconds=settings.jwt_leeway_seconds,
        size=settings.token_cache_size,
        size_bytes=settings.token_cache_bytes,
    )
