"""Failed logins counted in Redis, for many workers together."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio import fail_after
from limits.aio.storage.redis import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from asyncauth.clock import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)
RETRY_SECONDS = 5.0
"""How long Redis is left alone after it has failed: no login waits for it meanwhile."""


class RedisCounts:
    """Redis, or its absence: while it is away, logins go on and None is the answer.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: of all keys, so that several databases can share a Redis.
        timeout_seconds: deadline of each question.

    Raises:
        ValueError: the URL cannot be read.
    """

    def __init__(self, url: str, prefix: str, clock: Clock, timeout_seconds: float) -> None:
        self._storage = RedisStorage(
            f"async+{url.replace('unix://', 'redis+unix://', 1) if url.startswith('unix:') else url}",
            implementation="redispy",
            key_prefix=prefix,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 1),  # type: ignore[arg-type]  # it goes to redis as it is
        )
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._away_until: float | None = None

    async def ask(self, question: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T | None:
        """The answer; None: Redis is away, which goes to the log once."""
        if self._away_until is not None and self._clock.elapsed() < self._away_until:
            return None
        try:
            with fail_after(self._timeout_seconds):
                answer = await question(self._limiter)
        except Exception as error:  # noqa: BLE001  whatever it is, logins go on
            if self._away_until is None:
                log.warning("cannot count failed logins in Redis (%s): each worker counts alone", type(error).__name__)
            self._away_until = self._clock.elapsed() + RETRY_SECONDS
            return None
        if self._away_until is not None:
            log.info("failed logins are counted in Redis again")
            self._away_until = None
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]
