"""What an event loop reports that no caller sees: errors of tasks and futures that nobody waits for."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def collect_noise() -> Iterator[list[dict[str, Any]]]:
    """What the running loop's exception handler is told inside the block; otherwise it would fail the test."""
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    noise: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: noise.append(context))
    try:
        yield noise
        gc.collect()
    finally:
        loop.set_exception_handler(handler)
