"""python -m bench.peers.rules_here: our side of `rules`. Each decision begins with the user's id."""

import json
import time
from typing import Any

import anyio

from asyncauth import AuthManager
from bench.data import MARK
from bench.parts import settings
from bench.peers.rules import READ, USERS_OF_A_ROLE, resource_of, role_of, user_of
from bench.peers.weigh import megabytes, microseconds, read_given

ACTION = f"{MARK}_{READ}"


async def measure(given: dict[str, Any]) -> dict[str, float]:
    """Memory is that of the first users, not more than 10,000 by default: who never asks takes none."""
    roles, user_id = given["roles"], user_of(given["roles"])
    resource = f"{MARK}:resource_{resource_of(role_of(user_id))}"
    users = min(given["users"], roles * USERS_OF_A_ROLE)
    before, start = megabytes(), time.perf_counter()
    async with AuthManager(settings(given["url"])) as auth:

        async def decide(resource: str, allowed: bool, count: int) -> None:
            for _ in range(count):
                assert auth.decide(await auth.get_user(user_id), ACTION, resource).allowed is allowed

        await decide(resource, True, 1)
        loaded = time.perf_counter() - start
        for other in range(1, users + 1):
            await auth.get_user(other)
        return {
            "milliseconds": loaded * 1e3,
            "megabytes": megabytes() - before,
            "users": users,
            "allowed": await microseconds(lambda count: decide(resource, True, count), given["calls"]),
            "refused": await microseconds(lambda count: decide(f"{MARK}:none", False, count), given["calls"]),
        }


if __name__ == "__main__":
    print(json.dumps(anyio.run(measure, read_given())))
