"""Users in memory: their size, and what they cost the garbage collector. Floor: the same process with the first few.

Measured in a process of its own, which loads every user from an SQLite file in the ordinary way.
"""

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import anyio

from asyncauth import AuthManager
from bench.data import filled
from bench.figures import Figure
from bench.machine import resident_bytes
from bench.parts import started
from bench.sizes import Sizes

ROOT = Path(__file__).parent.parent
COLLECTIONS = 5
KILOBYTES_EACH = 1
FIRST = 20
"""Users loaded before anything is weighed: what the first loads import, compile and connect is not of any user."""


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """Fill the database and ask the other process."""
    async with filled(url, lambda filler: filler.crowd(sizes.cached_users)):
        command = [sys.executable, "-m", "bench.memory", url, str(sizes.cached_users)]
        result = await anyio.run_process(command, cwd=ROOT, stderr=subprocess.STDOUT)
    before, after, seconds_per_load = json.loads(result.stdout)
    what = f"{sizes.cached_users:,} users in memory"
    return [
        Figure(
            what,
            "MB",
            after["megabytes"] - before["megabytes"],
            sizes.cached_users * KILOBYTES_EACH / 1000,
            f"{KILOBYTES_EACH} kB each",
            {"the process without them": before["megabytes"]},
            notes={"ms per load": seconds_per_load * 1e3},
        ),
        Figure(
            f"{what}: full garbage collection",
            "ms",
            after["collection"] * 1e3,
            100,
            beside={"the process without them": before["collection"] * 1e3},
        ),
    ]


async def _main(url: str, users: int) -> None:
    async with started(url) as auth:
        await _load(auth, FIRST)
        before = _weigh()
        start = time.perf_counter()
        await _load(auth, users)
        seconds = time.perf_counter() - start
        print(json.dumps([before, _weigh(), seconds / users]))


async def _load(auth: AuthManager, users: int) -> None:
    for user_id in range(1, users + 1):  # one after another: several at once only get in each other's way on SQLite
        await auth.get_user(user_id)


def _weigh() -> dict[str, float]:
    times = []
    for _ in range(COLLECTIONS):
        start = time.perf_counter()
        gc.collect()
        times.append(time.perf_counter() - start)
    return {"megabytes": resident_bytes() / 1e6, "collection": median(times)}


if __name__ == "__main__":
    anyio.run(_main, sys.argv[1], int(sys.argv[2]))
