"""Keys that are read anew in the background, from a file or from an issuer."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable

from asyncauth.errors import AuthError
from asyncauth.tasks import BACKGROUND, Tasks
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet

log = logging.getLogger(__name__)
_JITTER = 0.1


class Refresh:
    """Reads the keys of one ring every `refresh_seconds`, and sooner if a token named an unknown one, but never before
    `retry_seconds` have passed since the last time: a flood of unknown ids costs one reading per `retry_seconds`.

    A reading that fails keeps the keys that are there: an outage of the issuer refuses nobody.
    """

    def __init__(
        self,
        name: str,
        ring: KeyRing,
        read: Callable[[], Awaitable[Iterable[Key]]],
        *,
        refresh_seconds: float,
        retry_seconds: float,
    ) -> None:
        self.name = name
        """Whose keys they are."""
        self.readings = 0
        """Times that the keys were read, or could not be."""
        self.trouble: str | None = None
        """Why the last reading failed."""
        self._ring = ring
        self._read = read
        self._refresh_seconds = refresh_seconds
        self._retry_seconds = min(retry_seconds, refresh_seconds)

    async def run(self, tasks: Tasks) -> None:
        """Read for ever, each time in a task of its own."""
        if self._ring.keys is None:
            await tasks.run(self.refresh(), BACKGROUND)
        while True:
            await self._pause()
            await tasks.run(self.refresh(), BACKGROUND)

    async def refresh(self) -> None:
        """Read the keys now. Trouble is logged when it begins and when it ends, and never raised."""
        self.readings += 1
        self._ring.wanted.clear()
        try:
            self._ring.replace(KeySet(await self._read()))
        except AuthError as error:
            self._note(str(error))
        except Exception:  # a reader that ends takes the whole server with it
            log.exception("cannot read the keys of %s", self.name)
            self.trouble = "reading failed"
        else:
            if self.trouble is not None:
                log.warning("the keys of %s are read again", self.name)
            self.trouble = None

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            kept = "those known stay" if self._ring.keys is not None else "its tokens are answered 503 until then"
            log.warning("cannot read the keys of %s, %s: %s", self.name, kept, trouble)
        self.trouble = trouble

    async def _pause(self) -> None:
        await asyncio.sleep(_spread(self._retry_seconds))
        if self._ring.keys is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_spread(self._refresh_seconds - self._retry_seconds)):
                await self._ring.wanted.wait()


def _spread(seconds: float) -> float:
    """A little longer, so that workers that start together do not ask together for ever."""
    return seconds * random.uniform(1, 1 + _JITTER)  # noqa: S311
