"""Slowing down who guesses passwords, without locking out whom the passwords belong to.

Failed logins are counted, and nothing else: per user name, per address and in all. Whoever is over a limit is refused
before a password is looked at, the right one too, and so learns nothing. A user is what was typed, in small letters,
whether such a user exists or not; the e-mail counts apart from the name.

An attacker can use up the limit of a user's name. So an address that has logged this user in before has a counter of
its own in place of it (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"); and if there are too many
failures in all, it has to wait a little where others are refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond

from asyncauth.clock import Clock
from asyncauth.errors import ConfigurationError, LoginError, TooManyAttemptsError
from asyncauth.login.counts import Counts, Shared
from asyncauth.passwords import is_usable
from asyncauth.settings import Settings

T = TypeVar("T")
SLOW_SECONDS = 1.0
"""How long a known address waits while there are too many failures in all."""
_COUNTERS = 100_000
"""Of failures, in memory: more than can fail within a window, as each failure takes a hash of a password."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login, and the counters that refuse it: limits and keys."""

    counters: tuple[tuple[RateLimitItem, str], ...]
    pair: str | None
    """Names the user and the address together; None: no address was given."""
    known: bool
    """Whether this address has logged this user in before."""


class Throttle:
    """Counts failed logins and refuses further ones. See above for who is refused when.

    Args:
        settings: the limits; those that are None do not hold.
        shared: Redis, if workers count together.
    """

    def __init__(self, settings: Settings, clock: Clock, shared: Shared | None = None) -> None:
        window = settings.login_failure_window_seconds
        self._window_seconds = window
        self._per_user = _limit(settings.login_failures_per_user, window)
        self._per_address = _limit(settings.login_failures_per_address, window)
        self._in_all = _limit(settings.login_failures_in_all, window)
        self._known_once = RateLimitItemPerSecond(1, settings.known_address_seconds, "known")
        self._failures = Counts(_COUNTERS, clock, shared)
        self._known = Counts(settings.known_address_size, clock, shared)
        self._shared = shared
        self._now = clock.now

    async def guard(self, username: str, password: str, address: str | None, check: Callable[[], Awaitable[T]]) -> T:
        """Run `check`, and count if it raises LoginError.

        A limit that is reached while `check` runs holds for it, too: whoever tries many passwords at once gains
        nothing, and is not told whether one of them was right.

        Raises:
            TooManyAttemptsError: over a limit (429).
        """
        if not isinstance(username, str) or not isinstance(password, str) or not is_usable(password):
            return await check()  # which is no guess, and costs no hash: counting it would be cheap to abuse
        attempt = await self._admit(username, address)
        try:
            result = await check()
        except LoginError:
            await self._note_failure(attempt)
            raise
        await self._refuse_if_over(attempt)
        if attempt.pair is not None:
            await self._known.clear(self._known_once, attempt.pair)
            await self._known.add(self._known_once, attempt.pair)
        return result

    async def close(self) -> None:
        """Leave Redis."""
        if self._shared is not None:
            await self._shared.close()

    async def _admit(self, username: str, address: str | None) -> Attempt:
        user = username.lower()  # as names are compared
        network = None if address is None else network_of(address)
        pair = None if network is None else _key("pair", user, network)
        known = pair is not None and not await self._known.is_below(self._known_once, pair)
        own = pair if known and pair is not None else _key("user", user)
        counters = [(self._per_user, own)]
        if network is not None:
            counters.append((self._per_address, _key("address", network)))
        if not known:
            counters.append((self._in_all, _key("all")))
        attempt = Attempt(tuple((limit, key) for limit, key in counters if limit is not None), pair, known)
        await self._refuse_if_over(attempt)
        if known and self._in_all is not None and not await self._failures.is_below(self._in_all, _key("all")):
            await asyncio.sleep(SLOW_SECONDS)
        return attempt

    async def _refuse_if_over(self, attempt: Attempt) -> None:
        for limit, key in attempt.counters:
            if not await self._failures.is_below(limit, key):
                await self._refuse(limit, key)

    async def _note_failure(self, attempt: Attempt) -> None:
        over = [(limit, key) for limit, key in attempt.counters if not await self._failures.add(limit, key)]
        if attempt.known and self._in_all is not None:
            await self._failures.add(self._in_all, _key("all"))
        for limit, key in over:
            await self._refuse(limit, key)

    async def _refuse(self, limit: RateLimitItem, key: str) -> None:
        seconds = ceil(await self._failures.expires_at(limit, key) - self._now())
        raise TooManyAttemptsError(retry_after_seconds=min(max(seconds, 1), self._window_seconds))


def make_throttle(settings: Settings, clock: Clock, epoch: str) -> Throttle:
    """The throttle of a manager. `epoch` names the database.

    Raises:
        ConfigurationError: `redis_url` is set and cannot be used.
    """
    if settings.redis_url is None:
        return Throttle(settings, clock)
    try:
        from asyncauth.login.shared import RedisCounts
    except ImportError:
        raise ConfigurationError("redis_url is set and redis is missing: pip install 'asyncauth[redis]'") from None
    timeout_seconds = settings.database_timeout_seconds
    try:
        shared = RedisCounts(settings.redis_url, f"asyncauth:{epoch}", clock, timeout_seconds)
    except ValueError:
        message = "redis_url cannot be read: write redis://host:port, rediss://… or unix://…"
        raise ConfigurationError(message) from None
    return Throttle(settings, clock, shared)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the /64 that one customer has; of anything else itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))


def _limit(amount: int | None, seconds: int) -> RateLimitItem | None:
    return RateLimitItemPerSecond(amount, seconds, "failed") if amount else None


def _key(*parts: str) -> str:
    """Of one length, whatever was typed; and no name or address stands in Redis."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
