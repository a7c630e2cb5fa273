"""May this user? Users have a role each, roles a permission each, in the sizes of PyCasbin's own benchmarks.

1,100 rules: 100 permissions and 1,000 memberships; then ten and a hundred times as many. Each side is measured in a
process of its own. Peers: PyCasbin's AsyncEnforcer on its RBAC model, and its FastEnforcer, which finds the rules of an
object and an action in an index of its own.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import anyio
from sqlalchemy import insert

from asyncauth.db import tables
from bench.data import MARK, Filler, filled, permission_id
from bench.figures import Figure
from bench.sizes import Sizes

ROOT = Path(__file__).parents[2]
READ = "can_read"
USERS_OF_A_ROLE = ROLES_OF_A_RESOURCE = 10
HERE, CASBIN, FAST = "asyncauth", "PyCasbin's AsyncEnforcer", "its FastEnforcer"
SIDES = {HERE: "bench.peers.rules_here", CASBIN: "bench.peers.rules_casbin", FAST: "bench.peers.rules_casbin"}


def user_of(roles: int) -> int:
    """Who asks: a user in the middle. His role is `role_of` him."""
    return roles * USERS_OF_A_ROLE // 2 + 1


def role_of(user: int) -> int:
    """Each has one."""
    return (user - 1) // USERS_OF_A_ROLE + 1


def resource_of(role: int) -> int:
    """What the role may read."""
    return (role - 1) // ROLES_OF_A_RESOURCE + 1


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """A decision, memory and loading, for each number of rules."""
    figures = []
    for rules in sizes.casbin_rules:
        roles = rules // (1 + USERS_OF_A_ROLE)
        async with filled(url, partial(fill, roles)):
            found = {name: await _run(name, roles, sizes, url) for name in SIDES}
        figures += _figures(rules, found)
    return figures


async def fill(roles: int, filler: Filler) -> None:
    """The same users, roles and permissions as rows."""
    await filler.catalogue(resource_of(roles))
    permissions = {role: permission_id(resource_of(role), READ) for role in range(1, roles + 1)}
    await filler.connection.execute(insert(tables.roles), [{"id": i, "name": f"{MARK} {i}"} for i in permissions])
    held = [{"id": i, "permission_view_id": held, "role_id": i} for i, held in permissions.items()]
    await filler.connection.execute(insert(tables.role_permissions), held)
    await filler.users({user: [role_of(user)] for user in range(1, roles * USERS_OF_A_ROLE + 1)})


async def _run(name: str, roles: int, sizes: Sizes, url: str) -> Mapping[str, float]:
    told = {"fast": name == FAST, "roles": roles, "calls": sizes.calls, "users": sizes.users, "url": url}
    given = json.dumps(told).encode()
    process = await anyio.run_process([sys.executable, "-m", SIDES[name]], cwd=ROOT, input=given, stderr=None)
    found: Mapping[str, float] = json.loads(process.stdout)
    return found


def _figures(rules: int, found: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """Memory and loading are noted and no goals: a manager with its database stands beside a list in memory."""
    notes = {"our users in memory": found[HERE]["users"]}
    notes |= {f"MB, {name}": values["megabytes"] for name, values in found.items()}
    notes |= {f"ms to the first decision, {name}": values["milliseconds"] for name, values in found.items()}
    figures = []
    for what in ("allowed", "refused"):
        peers = {name: values[what] for name, values in found.items() if name != HERE}
        here, limit, name = found[HERE][what], min(peers.values()), f"{rules:,} rules: a decision, {what}"
        noted = notes if what == "allowed" else {}
        figures.append(Figure(name, "µs", here, limit, "no more than PyCasbin", peers=peers, notes=noted))
    return figures
