"""Many distinct users, of whom nobody is in memory, beside warm requests. Floor: the warm requests without them."""

import asyncio
from collections.abc import Iterator, Sequence

from asyncauth import AuthManager
from bench.data import filled
from bench.figures import Figure
from bench.measure import Measure, Sample, interleaved
from bench.parts import started
from bench.sizes import Sizes
from bench.traffic import Traffic

LOOK_EVERY = 20
"""Every so many users of the flood it is looked how many are in memory."""
WARM = 1
ALLOWED_MS = 20
"""What the flood may add to the slowest of 100 warm requests, and to how long the loop is held."""


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """So many clients at once, each asking for one user after another whom nobody asked for before; memory has room for
    a fifth of them."""
    users, room = sizes.flood_users, max(2, sizes.flood_users // 5)
    async with filled(url, lambda filler: filler.crowd(users + 1)), started(url, user_cache_size=room) as auth:
        warm = auth.issue_token(WARM)
        tokens = [auth.issue_token(user_id) for user_id in range(WARM + 1, WARM + users + 1)]
        rounds = max(1, sizes.rounds // 5)
        found = await interleaved(
            rounds, _quiet(auth, warm, sizes.traffic_seconds), _flooded(auth, warm, tokens, sizes.at_once)
        )
    what = f"{users:,} distinct users, {sizes.at_once} at once"
    idle = found["idle"] * 1e3
    return [
        Figure(
            f"warm request beside {what}: p99",
            "ms",
            found["flooded"] * 1e3,
            idle + ALLOWED_MS,
            f"alone + {ALLOWED_MS}",
            {"alone": idle},
            notes={"distinct users a second": users / found["seconds"], "worst round": found.worst("flooded") * 1e3},
        ),
        Figure(
            f"{what}: loop held",
            "ms",
            found["held"] * 1e3,
            found["idle held"] * 1e3 + ALLOWED_MS,
            f"idle + {ALLOWED_MS}",
            {"idle": found["idle held"] * 1e3},
            notes={"worst round": found.worst("held") * 1e3},
        ),
        Figure(f"{what}: users in memory at most, with room for {room}", "", found.worst("users"), room),
        Figure(f"{what}: loads", "", found.worst("loads"), users),
    ]


def _quiet(auth: AuthManager, token: str, seconds: float) -> Measure:
    async def measure() -> Sample:
        async with Traffic(lambda: auth.get_user_from_token(token)) as traffic:
            await asyncio.sleep(seconds)
        return {"idle": traffic.p99_seconds, "idle held": traffic.held_seconds}

    return measure


def _flooded(auth: AuthManager, warm: str, tokens: Sequence[str], clients: int) -> Measure:
    async def measure() -> Sample:
        await auth.get_user_from_token(warm)
        before, in_memory, loop = auth.status().loads, [0], asyncio.get_running_loop()
        async with Traffic(lambda: auth.get_user_from_token(warm)) as traffic:
            left, start = iter(enumerate(tokens)), loop.time()
            async with asyncio.TaskGroup() as group:
                for _ in range(clients):
                    group.create_task(_ask(auth, left, in_memory))
            seconds = loop.time() - start
        return {
            "flooded": traffic.p99_seconds,
            "held": traffic.held_seconds,
            "seconds": seconds,
            "users": max(in_memory),
            "loads": auth.status().loads - before,
        }

    return measure


async def _ask(auth: AuthManager, left: Iterator[tuple[int, str]], in_memory: list[int]) -> None:
    for number, token in left:
        await auth.get_user_from_token(token)
        if number % LOOK_EVERY == 0:
            in_memory.append(auth.status().users)
