"""How the processes talk: lines on standard input and output."""

import asyncio
import sys
from collections.abc import AsyncIterator


def say(value: object) -> None:
    """One line to whoever started this process."""
    print(value, flush=True)


async def follow_orders(ready: object) -> AsyncIterator[tuple[str, float]]:
    """Say that one is ready; then each order with its number."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say(ready)
    try:
        while line := await reader.readline():
            command, value = line.decode().split()
            yield command, float(value)
    finally:
        transport.close()
    raise EOFError("whoever started this process is gone")
