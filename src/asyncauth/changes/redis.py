"""Redis as a wake-up for databases that cannot push: who has written or seen a change tells the other workers to look.

A hint and nothing more: without Redis, or with one that loses messages, the follower's own polling finds every change.
"""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


class RedisWaker:
    """Subscribes to one channel and publishes on it.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        epoch: names the database, so that several can share a Redis.
        wake: called on every message and after every new subscription.
        timeout_seconds: deadline of each call.
    """

    def __init__(self, url: str, epoch: str, wake: Callable[[], None], *, timeout_seconds: float) -> None:
        self.listening = False
        self.trouble: str | None = None
        self._client = Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, health_check_interval=5
        )
        self._channel = f"asyncauth:{epoch}"
        self._wake = wake

    async def run(self) -> None:
        """Listen for ever."""
        try:
            while True:
                try:
                    await self._listen()
                except Exception as error:  # noqa: BLE001  whatever it is, the next attempt may go well
                    if self.trouble is None:
                        log.warning("cannot hear from Redis (%s): polling only", type(error).__name__)
                    self.trouble = type(error).__name__
                self.listening = False
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await self._client.aclose()

    async def publish(self) -> None:
        """Tell the others to look. Never fails: they will look anyway."""
        try:
            await self._client.publish(self._channel, b"")
        except (RedisError, OSError) as error:
            log.debug("cannot publish on Redis (%s)", type(error).__name__)

    async def _listen(self) -> None:
        async with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(self._channel)
            self.listening, self.trouble = True, None
            self._wake()
            while True:
                # With a timeout of its own: between messages the connection is quiet for as long as nothing changes.
                if await subscription.get_message(timeout=1.0) is not None:
                    self._wake()
