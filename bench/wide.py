"""A role with thousands of permissions that is not in memory. Floor: the same rows through the driver alone."""

from statistics import median

from bench import raw
from bench.cold import IN_A_ROW, loading, raw_rows
from bench.data import FAB_RESOURCES, Filler, filled
from bench.figures import Figure
from bench.measure import Heartbeat, Measure, Sample, interleaved
from bench.parts import Parts, parts
from bench.sizes import Sizes

USER = ROLE = 1
ROLE_JOIN = f"""
SELECT a.name, v.name
FROM ab_permission_view_role pr
JOIN ab_permission_view p ON p.id = pr.permission_view_id
JOIN ab_permission a ON a.id = p.permission_id
JOIN ab_view_menu v ON v.id = p.view_menu_id
WHERE pr.role_id = {ROLE}"""
HELD_LIMITS = {5_000: 5.0, 50_000: 10.0}
"""Permissions of the role → milliseconds for which the loop may be held."""


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """A user with one role, of each size."""
    return [figure for permissions in sizes.cold_roles for figure in await _one_role(url, sizes, permissions)]


async def _one_role(url: str, sizes: Sizes, permissions: int) -> list[Figure]:
    async def fill(filler: Filler) -> None:
        await filler.catalogue(FAB_RESOURCES + permissions // 5)
        await filler.role(ROLE, 1, permissions)
        await filler.users({USER: [ROLE]})

    async with filled(url, fill), parts(url) as made, raw.connect(url) as fetch:
        measures = (
            _cold_role(made),
            raw_rows("raw", fetch, ROLE_JOIN),
            raw_rows("raw, set", fetch, ROLE_JOIN, build=True),
        )
        found = await interleaved(sizes.rounds, *measures)
    what = f"cold role, {permissions:,} permissions"
    return [
        Figure(
            what,
            "ms",
            found["cold"] * 1e3,
            found["raw"] * 2e3,
            "twice the raw driver",
            {"raw driver": found["raw"] * 1e3, "raw driver and the same set": found["raw, set"] * 1e3},
        ),
        Figure(
            f"{what}: loop held",
            "ms",
            found["cold held"] * 1e3,
            HELD_LIMITS.get(permissions, 5.0),
            beside={"raw driver": found["raw held"] * 1e3},
            notes={
                "in processor time": found["cold worked"] * 1e3,
                "the worst of all rounds": found.worst("cold held") * 1e3,
                "garbage collections": found["cold collecting"] * 1e3,
            },
        ),
    ]


def _cold_role(made: Parts) -> Measure:
    async def measure() -> Sample:
        seconds = []
        async with Heartbeat() as heartbeat:
            for _ in range(IN_A_ROW):
                users, _ = made.cold()
                seconds.append(await loading(users, USER))
        return {
            "cold": median(seconds),
            "cold held": heartbeat.held_seconds,
            "cold worked": heartbeat.worked_seconds,
            "cold collecting": heartbeat.collecting_seconds,
        }

    return measure
