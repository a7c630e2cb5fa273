"""Logins at once beside warm requests. Floors: the warm requests without them; as many password checks alone."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from asyncauth import AuthManager
from asyncauth.errors import BusyError
from asyncauth.hasher import PasswordHasher
from asyncauth.passwords import make
from bench.data import MARK, Filler, filled
from bench.figures import Figure
from bench.measure import Measure, Medians, Sample, interleaved
from bench.parts import settings, started
from bench.sizes import Sizes
from bench.traffic import Traffic

PASSWORD = "correct horse battery staple"
WARM = 1
ALLOWED_MS = 20
"""What the logins may add to the slowest of 100 warm requests, and to how long the loop is held."""
BEYOND = 10
"""Logins more than there are places in the queue."""
TOKEN, BUSY = "tokens", "503"


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """A burst of logins, then one that is more than the queue can hold."""
    hashed = await asyncio.to_thread(make, PASSWORD)
    concurrency = settings(url).password_hash_concurrency
    too_many = concurrency + sizes.login_queue + BEYOND

    async def fill(filler: Filler) -> None:
        await filler.crowd(max(sizes.logins, too_many))
        await filler.password(hashed)

    limits = {"password_queue_size": sizes.login_queue, "password_queue_seconds": 60}
    async with filled(url, fill), started(url, **limits) as auth:
        hasher = PasswordHasher(concurrency=concurrency, queue_size=sizes.logins, queue_seconds=60)
        found = await interleaved(
            max(1, sizes.rounds // 5),
            _beside(auth, "idle", lambda: asyncio.sleep(sizes.traffic_seconds)),
            _beside(auth, "logins", lambda: _log_in(auth, sizes.logins)),
            _checks_alone(hasher, hashed, sizes.logins),
        )
        ended = await _log_in(auth, too_many)
    return _figures(found, sizes, ended, too_many)


def _figures(found: Medians, sizes: Sizes, ended: Counter[str], too_many: int) -> list[Figure]:
    what, idle = f"{sizes.logins} logins at once", found["idle"] * 1e3
    return [
        Figure(
            f"warm request beside {what}: p99",
            "ms",
            found["logins"] * 1e3,
            idle + ALLOWED_MS,
            f"alone + {ALLOWED_MS}",
            {"alone": idle},
        ),
        Figure(
            f"{what}: loop held",
            "ms",
            found["logins held"] * 1e3,
            found["idle held"] * 1e3 + ALLOWED_MS,
            f"idle + {ALLOWED_MS}",
            {"idle": found["idle held"] * 1e3},
        ),
        Figure(
            f"{what}: until the last has its token",
            "ms",
            found["logins seconds"] * 1e3,
            found["checks"] * 1.5e3,
            "1.5 times the password checks alone",
            {"password checks alone": found["checks"] * 1e3},
        ),
        Figure(
            f"{too_many} logins at once, queue of {sizes.login_queue}: neither a token nor 503",
            "",
            too_many - ended[TOKEN] - ended[BUSY],
            0,
            notes=dict(ended),
        ),
        Figure(f"{too_many} logins at once, queue of {sizes.login_queue}: 503 given (0: yes)", "", not ended[BUSY], 0),
    ]


def _beside(auth: AuthManager, name: str, work: Callable[[], Awaitable[object]]) -> Measure:
    async def measure() -> Sample:
        token = auth.issue_token(WARM)
        await auth.get_user_from_token(token)
        async with Traffic(lambda: auth.get_user_from_token(token)) as traffic:
            start = time.perf_counter()
            await work()
            seconds = time.perf_counter() - start
        return {name: traffic.p99_seconds, f"{name} held": traffic.held_seconds, f"{name} seconds": seconds}

    return measure


def _checks_alone(hasher: PasswordHasher, hashed: str, count: int) -> Measure:
    async def measure() -> Sample:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(hasher.check(hashed, PASSWORD))
        return {"checks": time.perf_counter() - start}

    return measure


async def _log_in(auth: AuthManager, count: int) -> Counter[str]:
    """As many users log in at once; how it ended for how many."""
    ended = Counter[str]()

    async def log_in(user_id: int) -> None:
        try:
            await auth.login(f"{MARK}-{user_id}", PASSWORD)
        except BusyError:
            ended[BUSY] += 1
        else:
            ended[TOKEN] += 1

    async with asyncio.TaskGroup() as group:
        for user_id in range(1, count + 1):
            group.create_task(log_in(user_id))
    return ended
