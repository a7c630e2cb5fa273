"""A user who is not in memory. Floor: the same rows through the database driver alone, on an open connection."""

import time
from statistics import median
from typing import Any

from tests.statements import count_statements

from asyncauth.users import Users
from bench import raw
from bench.data import FAB_RESOURCES, Filler, filled
from bench.figures import Figure
from bench.measure import Heartbeat, Measure, Sample, interleaved
from bench.parts import Parts, parts
from bench.sizes import Sizes

FIRST, SECOND = 1, 2
"""Two users with the same roles."""
ROLES, ROLE_PERMISSIONS = 5, 20
IN_A_ROW = 5
"""Loads of a round: one alone, right after the full collection that a round begins with, would find the processor's
caches filled with that."""
USER_JOIN = """
SELECT u.id, u.username, u.first_name, u.last_name, u.email, u.active, r.id, r.name, a.name, v.name
FROM ab_user u
JOIN ab_user_role ur ON ur.user_id = u.id
JOIN ab_role r ON r.id = ur.role_id
JOIN ab_permission_view_role pr ON pr.role_id = r.id
JOIN ab_permission_view p ON p.id = pr.permission_view_id
JOIN ab_permission a ON a.id = p.permission_id
JOIN ab_view_menu v ON v.id = p.view_menu_id
WHERE u.id = """


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """A user with as many roles and permissions as FAB's own have."""
    async with filled(url, _fill), parts(url) as made, raw.connect(url) as fetch:
        found = await interleaved(sizes.rounds, _cold_user(made), raw_rows("raw", fetch, f"{USER_JOIN}{FIRST}"))
        all_cold, roles_warm = await _statements(made)
    floor = {"raw driver": found["raw"] * 1e3}
    limit = found["raw"] * 1e3 + 3
    return [
        Figure("SQL statements, cold user, roles warm", "", roles_warm, 2),
        Figure("SQL statements, all cold, groups on", "", all_cold, 4),
        Figure("cold user, 100 permissions, roles cold", "ms", found["all cold"] * 1e3, limit, "raw driver + 3", floor),
        Figure("cold user, roles warm", "ms", found["roles warm"] * 1e3, limit, "the same", floor),
    ]


async def _fill(filler: Filler) -> None:
    await filler.catalogue(FAB_RESOURCES)
    for number in range(ROLES):
        await filler.role(number + 1, number * ROLE_PERMISSIONS + 1, ROLE_PERMISSIONS)
    *direct, of_group = range(1, ROLES + 1)
    await filler.users({FIRST: [*direct, of_group], SECOND: direct})
    await filler.group([SECOND], of_group)


async def _statements(made: Parts) -> tuple[int, int]:
    users, _ = made.cold()
    with count_statements(made.engine) as all_cold:
        await users.get(SECOND)
    with count_statements(made.engine) as roles_warm:
        await users.get(FIRST)
    return len(all_cold), len(roles_warm)


def _cold_user(made: Parts) -> Measure:
    async def measure() -> Sample:
        all_cold, roles_warm = [], []
        for _ in range(IN_A_ROW):
            users, _ = made.cold()
            all_cold.append(await loading(users, SECOND))
            roles_warm.append(await loading(users, FIRST))
        return {"all cold": median(all_cold), "roles warm": median(roles_warm)}

    return measure


def raw_rows(name: str, fetch: raw.Fetch, statement: str, *, build: bool = False) -> Measure:
    """The same rows through the driver alone, several times in a row; `build`: and the set of their keys."""

    async def measure() -> Sample:
        seconds = []
        async with Heartbeat() as heartbeat:
            for _ in range(IN_A_ROW):
                start = time.perf_counter()
                rows: Any = await fetch(statement)
                if build:
                    rows = frozenset(f"{action}\0{resource}" for action, resource in rows)
                seconds.append(time.perf_counter() - start)
        assert rows
        return {name: median(seconds), f"{name} held": heartbeat.held_seconds}

    return measure


async def loading(users: Users, user_id: int) -> float:
    """Seconds until the user is there."""
    start = time.perf_counter()
    await users.get(user_id)
    return time.perf_counter() - start
