"""A started manager's parts, and how they are put together."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from anyio import to_thread
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from asyncauth.api_keys import ApiKeys
from asyncauth.changes.consistency import Receipts
from asyncauth.changes.follower import Follower, read_position
from asyncauth.changes.postgres import Listener
from asyncauth.changes.upkeep import Upkeep
from asyncauth.clock import Clock
from asyncauth.db.engine import Database
from asyncauth.db.explain import MISSING_TABLES
from asyncauth.db.loader import Loader
from asyncauth.db.seed import seed
from asyncauth.db.state import State, look
from asyncauth.db.url import parse_url
from asyncauth.errors import ConfigurationError
from asyncauth.generation import Generation
from asyncauth.hasher import PasswordHasher
from asyncauth.login.refresh import Logins
from asyncauth.names import Names
from asyncauth.passwords import new_scheme
from asyncauth.settings import Settings
from asyncauth.tasks import BACKGROUND, Tasks
from asyncauth.tokens.cutoffs import Cutoffs
from asyncauth.tokens.foreign import LoadedKeys
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.keyset import KeyRing
from asyncauth.tokens.revoked import Revocations
from asyncauth.tokens.verify import Verifier
from asyncauth.users import Users

if TYPE_CHECKING:
    from asyncauth.changes.redis import RedisWaker
    from asyncauth.login.throttle import Throttle


class Waker(Protocol):
    """Something that wakes the follower."""

    listening: bool
    trouble: str | None

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """All parts of a started manager. They appear and go together, so nobody sees half of them."""

    settings: Settings
    now: Callable[[], float]
    """Seconds since the epoch."""
    elapsed: Callable[[], float]
    """Seconds on the clock that runs through suspension."""
    database: Database
    group_roles: bool
    """Whether roles of a user's groups count."""
    hasher: PasswordHasher
    keys: LoadedKeys
    issuer: Issuer
    verifier: Verifier
    receipts: Receipts
    generation: Generation
    revoked: Revocations
    cutoffs: Cutoffs
    users: Users
    api_keys: ApiKeys
    logins: Logins
    names: Names
    follower: Follower
    upkeep: Upkeep
    wakers: tuple[Waker, ...]
    """LISTEN on PostgreSQL, Redis where it is configured."""
    throttle: "Throttle | None"
    tasks: Tasks
    background: tuple[asyncio.Task[None], ...]


async def connect(settings: Settings, engine: AsyncEngine, keys: LoadedKeys, clock: Clock) -> Running:
    """Learn the present state of the database and begin to follow it.

    Raises:
        ConfigurationError: the database lacks tables, or a setting is wrong.
        DatabaseUnavailableError: it did not answer.
    """
    hasher, tasks, generation = _hasher(settings), Tasks(), Generation()
    database = Database(engine, timeout_seconds=settings.database_timeout_seconds)
    state = await _find_state(database, settings)
    group_roles = settings.group_roles if settings.group_roles is not None else not state.fab_version
    age_seconds = settings.max_entry_age_seconds
    loader = Loader(database, clock, group_roles=group_roles, max_entry_age_seconds=age_seconds)
    position = await read_position(database, clock.elapsed(), settings.late_commit_horizon_seconds)
    users = Users(loader, tasks, clock, settings, position, generation, coarse=database.dialect == "sqlite")
    revoked = Revocations(settings.issuers, settings.jwt_leeway_seconds, generation)
    cutoffs = Cutoffs(generation)
    api_keys = ApiKeys(database, users, cutoffs, tasks, clock, settings, generation)
    follower = Follower(database, users, api_keys, revoked, cutoffs, clock, settings, airflow=state.airflow_revocations)
    users.catch_up = follower.catch_up
    upkeep = Upkeep(database, follower, api_keys, clock, settings)
    await upkeep.check_triggers()
    await follower.begin()
    throttle = await _throttle(settings, clock, position.epoch)
    wakers = tuple(_wakers(engine, follower, position.epoch, settings))
    loops = [follower.run(tasks), upkeep.run(tasks), *(waker.run() for waker in wakers)]
    loops += [refresh.run(tasks) for refresh in keys.refreshes]
    return Running(
        settings=settings,
        now=clock.now,
        elapsed=clock.elapsed,
        database=database,
        group_roles=group_roles,
        hasher=hasher,
        keys=keys,
        issuer=_issuer(keys.ring, settings),
        verifier=_verifier(keys, settings),
        receipts=Receipts(keys.ring, clock.now),
        generation=generation,
        revoked=revoked,
        cutoffs=cutoffs,
        users=users,
        api_keys=api_keys,
        logins=Logins(database, settings.issuers, clock, settings),
        names=Names(users, database, tasks, settings),
        follower=follower,
        upkeep=upkeep,
        wakers=wakers,
        throttle=throttle,
        tasks=tasks,
        background=tuple(tasks.start(loop, BACKGROUND) for loop in loops),
    )


def _hasher(settings: Settings) -> PasswordHasher:
    return PasswordHasher(
        concurrency=settings.password_hash_concurrency,
        queue_size=settings.password_queue_size,
        queue_seconds=settings.password_queue_seconds,
        scheme=None if settings.password_hash_method is None else new_scheme(settings.password_hash_method),
    )


async def _find_state(database: Database, settings: Settings) -> State:
    """What stands in the database; seeds it, if that is wanted."""
    state = await database.read(_read_state)
    if state.missing or state.own_missing:
        raise ConfigurationError(MISSING_TABLES)
    if settings.seed_at_start:
        await seed(database.engine, settings.custom_roles)
    return state


async def _read_state(session: AsyncSession) -> State:
    return await (await session.connection()).run_sync(look)


def _wakers(engine: AsyncEngine, follower: Follower, epoch: str, settings: Settings) -> Iterator[Waker]:
    timeout_seconds = settings.database_timeout_seconds
    if engine.dialect.name == "postgresql" and settings.listen:
        if settings.listen_url is not None:
            engine = create_async_engine(parse_url(settings.listen_url), poolclass=NullPool, hide_parameters=True)
        yield Listener(engine, follower.wake, timeout_seconds=timeout_seconds)
    if settings.redis_url is not None:
        waker = _redis(settings.redis_url, epoch, follower.wake, timeout_seconds)
        follower.announce = waker.publish
        yield waker


def _redis(url: str, epoch: str, wake: Callable[[], None], timeout_seconds: float) -> "RedisWaker":
    try:
        from asyncauth.changes.redis import RedisWaker
    except ImportError:
        raise ConfigurationError("redis_url is set and redis is missing: pip install 'asyncauth[redis]'") from None
    try:
        return RedisWaker(url, epoch, wake, timeout_seconds=timeout_seconds)
    except ValueError:
        message = "redis_url cannot be read: write redis://host:port, rediss://… or unix://…"
        raise ConfigurationError(message) from None


async def _throttle(settings: Settings, clock: Clock, epoch: str) -> "Throttle | None":
    limits = (settings.login_failures_per_user, settings.login_failures_per_address, settings.login_failures_in_all)
    if not any(limits):
        return None
    make = await to_thread.run_sync(_import_throttle)  # the library reads files when it is imported
    return make(settings, clock, epoch)


def _import_throttle() -> "Callable[[Settings, Clock, str], Throttle]":
    try:
        from asyncauth.login.throttle import make_throttle
    except ImportError:
        message = "logins are limited and the library for it is missing: pip install 'asyncauth[throttle]'"
        raise ConfigurationError(message) from None
    return make_throttle


def _issuer(ring: KeyRing, settings: Settings) -> Issuer:
    first_issuer = settings.issuers[0] if settings.issuers else None
    first_audience = settings.audiences[0] if settings.audiences else None
    return Issuer(ring, first_issuer, first_audience, settings.jwt_expiration_seconds)


def _verifier(keys: LoadedKeys, settings: Settings) -> Verifier:
    return Verifier(
        keys.ring,
        issuers=settings.issuers,
        audiences=settings.audiences,
        leeway_seconds=settings.jwt_leeway_seconds,
        max_age_seconds=settings.jwt_max_age_seconds,
        size=settings.token_cache_size,
        size_bytes=settings.token_cache_bytes,
        trusted=keys.trusted,
    )
