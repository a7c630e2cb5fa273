"""python -m bench.peers.rules_casbin: PyCasbin's side of `rules`.

Its rules come from a file, which costs it less than a database would. Nothing tells it of a change."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import casbin
from casbin.persist.adapters import FileAdapter
from casbin.persist.adapters.asyncio import AsyncFileAdapter

from bench.peers.rules import READ, USERS_OF_A_ROLE, resource_of, role_of, user_of
from bench.peers.weigh import megabytes, microseconds, read_given

MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""
OBJECT, ACTION = 1, 2
"""Places in a request."""


async def measure(given: dict[str, Any], folder: Path) -> dict[str, float]:
    """All users and roles are in memory: it knows no other way."""
    roles, user_id = given["roles"], user_of(given["roles"])
    user, resource = f"user{user_id}", f"data{resource_of(role_of(user_id))}"
    (folder / "model.conf").write_text(MODEL)
    (folder / "policy.csv").write_text("\n".join(_rules(roles)))
    before, start = megabytes(), time.perf_counter()
    enforcer = await _load(folder, fast=given["fast"])

    async def decide(resource: str, allowed: bool, count: int) -> None:
        for _ in range(count):
            assert enforcer.enforce(user, resource, READ) is allowed

    await decide(resource, True, 1)
    loaded = time.perf_counter() - start
    return {
        "milliseconds": loaded * 1e3,
        "megabytes": megabytes() - before,
        "users": roles * USERS_OF_A_ROLE,
        "allowed": await microseconds(lambda count: decide(resource, True, count), given["calls"]),
        "refused": await microseconds(lambda count: decide("none", False, count), given["calls"]),
    }


def _rules(roles: int) -> Iterator[str]:
    for role in range(1, roles + 1):
        yield f"p, role{role}, data{resource_of(role)}, {READ}"
    for user in range(1, roles * USERS_OF_A_ROLE + 1):
        yield f"g, user{user}, role{role_of(user)}"


async def _load(folder: Path, *, fast: bool) -> Any:
    model, policy = str(folder / "model.conf"), str(folder / "policy.csv")
    if fast:
        return casbin.FastEnforcer(model, FileAdapter(policy), cache_key_order=[OBJECT, ACTION])
    enforcer = casbin.AsyncEnforcer(model, AsyncFileAdapter(policy))
    await enforcer.load_policy()
    return enforcer


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        print(json.dumps(anyio.run(measure, read_given(), Path(name))))
