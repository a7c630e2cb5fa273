"""All hazards: one file each, one line each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench import cold, decide, flood, logins, manage, memory, stampede, verify, warm, wide
from bench.figures import Figure
from bench.fresh.measure import consistency, fresh
from bench.http.measure import measure as http
from bench.peers import fab
from bench.peers.measure import measure as peers
from bench.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Hazard:
    """What can go wrong, and what it takes to measure it.

    Args:
        measure: of a database's URL and sizes, the figures.
        databases: measured on each database that is named; else once, on a throw-away SQLite file.
        loops: measured on each event loop that is named; else once, on asyncio's.
        awake: measured with the processors kept awake: it waits for a database, and what it costs the processor is not
            the question, which pays for being shared.
        default: part of a run that names no hazard.
        short: sizes that differ in such a run, which has five minutes for all.
    """

    measure: Callable[[str, Sizes], Awaitable[list[Figure]]]
    databases: bool = False
    loops: bool = False
    awake: bool = False
    default: bool = True
    short: Mapping[str, Any] = field(default_factory=dict)

    def shortened(self, sizes: Sizes) -> Sizes:
        """The sizes in a run that names no hazard."""
        return replace(sizes, **self.short)


HAZARDS = {
    "verify": Hazard(verify.measure, short={"rounds": 5}),
    "warm": Hazard(warm.measure, databases=True, loops=True, short={"rounds": 7}),
    "decide": Hazard(decide.measure),
    "cold": Hazard(cold.measure, databases=True, loops=True, awake=True),
    "wide": Hazard(wide.measure, databases=True, loops=True, awake=True, short={"rounds": 7}),
    "stampede": Hazard(stampede.measure, databases=True, loops=True, awake=True),
    "flood": Hazard(flood.measure, databases=True, loops=True, awake=True),
    "logins": Hazard(logins.measure, databases=True, loops=True),
    "fresh": Hazard(fresh, databases=True, loops=True, short={"revokes": 40, "quiet_seconds": 2.0}),
    "memory": Hazard(memory.measure, short={"cached_users": 10_000}),
    "http": Hazard(http, short={"http_requests": 1_000}),
    "peers": Hazard(peers, short={"http_requests": 800, "casbin_rules": (1_100, 11_000), "users": 1_000}),
    "fab": Hazard(fab.measure, default=False),  # Airflow takes a minute to make its database
    "manage": Hazard(manage.measure, databases=True, default=False),  # filling the tables takes a minute
    "consistency": Hazard(consistency, databases=True, loops=True, default=False),
}
