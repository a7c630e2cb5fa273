"""Long work in short pieces, so that the event loop is never held for long."""

import asyncio
import time
from collections.abc import Iterator

PIECE_CHARACTERS = 16 * 1024
MAX_HOLD_SECONDS = 0.002


class Breather:
    """Lets other tasks run whenever the loop has been held for `MAX_HOLD_SECONDS`."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def pause(self) -> None:
        """Call between two pieces of work."""
        if time.perf_counter() - self._since > MAX_HOLD_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


def split(text: str) -> Iterator[list[str]]:
    """Cut a comma-separated list into lists of up to `PIECE_CHARACTERS` characters of it."""
    start = 0
    while start < len(text):
        end = text.find(",", start + PIECE_CHARACTERS)
        if end < 0:
            end = len(text)
        yield text[start:end].split(",")
        start = end + 1
