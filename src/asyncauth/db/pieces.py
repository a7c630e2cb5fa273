"""Long work in short pieces, so that the event loop is never held for long."""

import asyncio
import time
from collections.abc import Iterator

PIECE_CHARACTERS = 16 * 1024
MAX_HOLD_SECONDS = 0.001


class Breather:
    """Lets other tasks run whenever the loop has been held for `MAX_HOLD_SECONDS`."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def pause(self) -> None:
        """Call between two pieces of work."""
        if time.perf_counter() - self._since > MAX_HOLD_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


def pieces(text: str, end: str) -> Iterator[str]:
    """Cut a list whose entries all end with `end` into pieces of at least `PIECE_CHARACTERS`, between two entries. The
    last `end` of each piece is left out."""
    start = 0
    while start < len(text):
        stop = text.find(end, start + PIECE_CHARACTERS)
        if stop < 0:
            stop = len(text) - len(end)
        yield text[start:stop]
        start = stop + len(end)
