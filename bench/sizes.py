"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of rows, calls and rounds. What the goals speak of are the defaults."""

    rounds: int = 15
    calls: int = 20_000
    """Calls per round where one takes microseconds."""
    users: int = 10_000
    """Users in memory, of whom one is asked for at random."""
    cached_users: int = 100_000
    """Users in memory, whose memory is measured."""
    cold_roles: tuple[int, ...] = (5_000, 50_000)
    """Permissions of a cold role."""
    at_once: int = 200
    """Calls, or cold users with a role each, at once."""

    traffic_seconds: float = 1.0
    """How long warm requests are watched with nothing beside them, in each round."""
    flood_users: int = 1_000
    """Distinct users, `at_once` at a time."""
    logins: int = 20
    """At once."""
    login_queue: int = 64
    """Of `password_queue_size`; more logins at once are refused."""

    http_requests: int = 4_000
    """To each app in each round of `http`; a quarter of it in `peers`."""
    casbin_rules: tuple[int, ...] = (1_100, 11_000, 110_000)
    """Permissions and memberships among which a question is decided."""

    managed_users: int = 100_000
    managed_roles: int = 5_000
    """Users and roles among which administrators look and change."""

    workers: int | None = None
    """Worker processes of `fresh` and `consistency`; None: as many as cores, and four."""
    push: bool = True
    """Whether workers may be woken; else they poll."""
    revokes: int = 120
    """In each run of `fresh`; where nothing pushes, or workers are saturated, a quarter if they are many."""
    change_seconds: float = 0.03
    """From one change to the next: a revoke or a grant."""
    quiet_seconds: float = 5.0
    lease_seconds: float = 2.0
    """`max_staleness_seconds` of the worker that is cut off."""
    decisions: int = 40_000
    """Decisions that are checked, by all workers together."""
    decisions_per_second: float = 1_000.0
    """By each worker."""


FULL = Sizes(revokes=10_000, quiet_seconds=30.0, lease_seconds=10.0, decisions=1_600_000)
"""What the goals of `fresh` and `consistency` speak of: some minutes for each way. More decisions than the million that
are to be checked: who meets a fault gets a 503 in place of one."""
QUICK = Sizes(
    rounds=1,
    calls=100,
    users=20,
    cached_users=50,
    cold_roles=(50, 500),
    at_once=10,
    traffic_seconds=0.1,
    flood_users=40,
    logins=4,
    login_queue=2,
    http_requests=32,
    casbin_rules=(110,),
    managed_users=300,
    managed_roles=20,
    revokes=2,
    quiet_seconds=0.5,
    decisions=8_000,
)
"""For a look at whether everything still runs: the figures mean nothing."""
