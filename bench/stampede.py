"""Many at once. Floor: as many tasks that do nothing."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from anyio import create_task_group

from asyncauth import AuthManager
from bench.data import FAB_RESOURCES, Filler, filled
from bench.figures import Figure
from bench.measure import Heartbeat, Measure, Sample, interleaved
from bench.parts import Parts, parts, started
from bench.sizes import Sizes

JOINING = 100
"""Tasks that ask for one cold user."""
ROLE_PERMISSIONS = 1_000
WARM = 1


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """One cold user asked for by many, one warm user asked for by many, many cold users with a role each."""

    async def fill(filler: Filler) -> None:
        roles = range(1, sizes.at_once + 1)
        step = 4 * ROLE_PERMISSIONS // 5  # neighbours share a fifth
        await filler.catalogue(FAB_RESOURCES + sizes.at_once * step // 5)
        for role_id in roles:
            await filler.role(role_id, (role_id - 1) * step + 1, ROLE_PERMISSIONS)
        await filler.users({role_id: [role_id] for role_id in roles})

    async with filled(url, fill), parts(url) as made, started(url) as auth:
        loads = await _loads(made)
        warm = await interleaved(sizes.rounds, await _warm(auth, sizes.at_once), _nothing(sizes.at_once))
        rounds = max(1, sizes.rounds // 3)
        cold = await interleaved(rounds, _cold(made, sizes.at_once), _nothing(sizes.at_once))
    nothing = warm["nothing"] * 1e3
    at_once = sizes.at_once
    return [
        Figure(f"loads, {JOINING} tasks ask for one cold user", "", loads, 1),
        Figure(
            f"{at_once} warm calls at once: loop held",
            "ms",
            warm["warm"] * 1e3,
            nothing + 2,
            f"{at_once} empty tasks + 2",
            {f"{at_once} empty tasks": nothing},
        ),
        Figure(
            f"{at_once} cold users with a role of {ROLE_PERMISSIONS:,} permissions each, at once: loop held",
            "ms",
            cold["cold"] * 1e3,
            20,
            beside={f"{at_once} empty tasks": cold["nothing"] * 1e3},
            notes={
                "in processor time": cold["worked"] * 1e3,
                "the worst of all rounds": cold.worst("cold") * 1e3,
                "garbage collections": cold["collecting"] * 1e3,
                "until the last has its user": cold["seconds"] * 1e3,
            },
        ),
    ]


async def _loads(made: Parts) -> int:
    users, loader = made.cold()
    async with create_task_group() as group:
        for _ in range(JOINING):
            group.start_soon(users.get, WARM)
    return loader.loads


async def _warm(auth: AuthManager, count: int) -> Measure:
    token = auth.issue_token(WARM)
    await auth.get_user_from_token(token)

    async def measure() -> Sample:
        heartbeat = await _at_once(lambda _: auth.get_user_from_token(token), count)
        return {"warm": heartbeat.held_seconds}

    return measure


def _nothing(count: int) -> Measure:
    async def nothing(_: int) -> None:
        pass

    async def measure() -> Sample:
        return {"nothing": (await _at_once(nothing, count)).held_seconds}

    return measure


def _cold(made: Parts, count: int) -> Measure:
    async def measure() -> Sample:
        users, _ = made.cold()
        start = time.perf_counter()
        heartbeat = await _at_once(users.get, count)
        return {
            "cold": heartbeat.held_seconds,
            "worked": heartbeat.worked_seconds,
            "collecting": heartbeat.collecting_seconds,
            "seconds": time.perf_counter() - start,
        }

    return measure


async def _at_once(call: Callable[[int], Coroutine[Any, Any, object]], count: int) -> Heartbeat:
    async with Heartbeat() as heartbeat, create_task_group() as group:
        for number in range(1, count + 1):
            group.start_soon(call, number)
    return heartbeat
